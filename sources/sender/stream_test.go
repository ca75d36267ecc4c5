package sender

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"dfetch/sources/wire"
)

// newPackStream is a stream with a slot for itself.
func newPackStream(t testing.TB, rate uint64) *packStream {
	t.Helper()
	s := &packStream{slots: make(chan struct{}, 1)}
	if !s.open(rate) {
		t.Fatal("no stream")
	}
	return s
}

// nextPiece is the next piece of a stream.
func nextPiece(t testing.TB, s *packStream, raw []byte) []byte {
	t.Helper()
	buf := s.pack(raw)
	if buf == nil {
		t.Fatal("the encoder failed")
	}
	defer buf.Release()
	return bytes.Clone(buf.Data[headRoom:])
}

// TestStreamGivesBackWhatItTook sends runs of every kind and length, among them such that fill several blocks and such
// that do not shrink.
func TestStreamGivesBackWhatItTook(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pool := noise(3, 1<<20)
	for _, rate := range []uint64{0, lineRate / 2} {
		in, out := newPackStream(t, rate), unpackStream{}
		for i := range 300 {
			raw := make([]byte, rnd.IntN(1<<rnd.IntN(19)))
			for at := 0; at < len(raw) && i%3 > 0; at += 700 {
				copy(raw[at:], pool[rnd.IntN(len(pool)/i):][:min(500, len(raw)-at)])
			}
			p := nextPiece(t, in, raw)
			if most := len(raw) + 3*(len(raw)/(128<<10)+1) + 14; len(p) > most {
				t.Errorf("a run of %d bytes became %d, more than %d", len(raw), len(p), most)
			}
			got := make([]byte, len(raw))
			if err := out.unpack(got, p); err != nil || !bytes.Equal(got, raw) {
				t.Fatalf("run %d of %d bytes, packed as %d: %v", i, len(raw), len(p), err)
			}
		}
	}
}

// TestStreamKnowsWhatItSent: what an earlier run had costs next to nothing, far back too.
func TestStreamKnowsWhatItSent(t *testing.T) {
	s := newPackStream(t, 0)
	runs := [][]byte{noise(1, 16<<10), noise(2, 16<<10), noise(3, 512<<10)}
	for _, raw := range runs {
		nextPiece(t, s, raw)
	}
	for i, raw := range runs[:2] {
		if n := len(nextPiece(t, s, raw)); n > 200 {
			t.Errorf("run %d of %d bytes cost %d bytes again", i, len(raw), n)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	first, second := bytes.Repeat([]byte("first"), 300), bytes.Repeat([]byte("second"), 300)
	s := newPackStream(t, 0)
	one, two := nextPiece(t, s, first), nextPiece(t, s, second)
	for name, c := range map[string]struct {
		piece  []byte
		rawLen int
	}{
		"garbage":      {[]byte("garbage, and not what a stream has"), len(second)},
		"nothing":      {nil, len(second)},
		"cut":          {two[:len(two)-1], len(second)},
		"longer":       {append(bytes.Clone(two), 0), len(second)},
		"two at once":  {append(bytes.Clone(two), two...), len(second)},
		"more is said": {two, len(second) + 1},
	} {
		var u unpackStream
		if err := u.unpack(make([]byte, len(first)), one); err != nil {
			t.Fatal(err)
		}
		if err := u.unpack(make([]byte, c.rawLen), c.piece); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
	var u unpackStream
	if err := u.unpack(make([]byte, len(second)), two); !errors.Is(err, wire.ErrFrame) {
		t.Errorf("a stream without its start: %v, want ErrFrame", err)
	}
}

// TestStreamWindowIsBounded: a peer can't have the client keep more than the window.
func TestStreamWindowIsBounded(t *testing.T) {
	// Magic number, a descriptor without content size, a window of 2 MiB, an empty raw block.
	head := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (21 - 10) << 3, 0, 0, 0}
	var u unpackStream
	if err := u.unpack(make([]byte, 1), head); !errors.Is(err, wire.ErrFrame) {
		t.Errorf("a window of 2 MiB: %v, want ErrFrame", err)
	}
}

func FuzzUnpackStream(f *testing.F) {
	s := newPackStream(f, 0)
	raw := bytes.Repeat([]byte("ab"), 100)
	f.Add(nextPiece(f, s, raw), nextPiece(f, s, raw), 200, 200)
	f.Add([]byte{}, []byte{}, 0, 1)
	f.Fuzz(func(t *testing.T, one, two []byte, oneLen, twoLen int) {
		var u unpackStream
		if oneLen < 0 || twoLen < 0 || oneLen > 1<<20 || twoLen > 1<<20 {
			return
		}
		if err := u.unpack(make([]byte, oneLen), one); err != nil {
			return
		}
		if err := u.unpack(make([]byte, twoLen), two); err == nil && len(u.in) > 0 {
			t.Fatalf("%d bytes of a piece are left", len(u.in))
		}
	})
}

func BenchmarkStream(b *testing.B) {
	rnd, raw := rand.New(rand.NewPCG(1, 2)), make([]byte, 32<<10)
	for at := range raw {
		raw[at] = "the quick brown fox jumps over a lazy dog"[rnd.IntN(41)]
	}
	for name, rate := range map[string]uint64{"line": lineRate / 2, "link": 10 * lineRate} {
		b.Run(name, func(b *testing.B) {
			s := newPackStream(b, rate)
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				s.pack(raw).Release()
			}
		})
	}
}
