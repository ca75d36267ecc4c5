package sender

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"dfetch/sources/wire"
)

// nextPiece is the next piece of a stream.
func nextPiece(t testing.TB, s *packStream, raw []byte, rate uint64) []byte {
	t.Helper()
	buf := s.pack(raw, rate)
	if buf == nil {
		t.Fatal("no stream")
	}
	defer buf.Release()
	return bytes.Clone(buf.Data[headRoom:])
}

// TestStreamGivesBackWhatItTook sends runs of every kind and length, among them such that fill several blocks and such
// that do not shrink, at rates that change the level, and once the stream's place was taken.
func TestStreamGivesBackWhatItTook(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pool := noise(3, 1<<20)
	rates := []uint64{0, betterBelow / 2, defaultBelow / 2, 10 * defaultBelow}
	in, out := packStream{places: &streams{}}, unpackStream{}
	levels := map[zstd.EncoderLevel]bool{}
	for i := range 400 {
		raw := make([]byte, 1+rnd.IntN(1<<rnd.IntN(19)))
		for at := 0; at < len(raw) && i%3 > 0; at += 700 {
			copy(raw[at:], pool[rnd.IntN(len(pool)/(i+1)):][:min(500, len(raw)-at)])
		}
		if i%50 == 49 {
			in.enc.Store(nil)
		}
		in.since, in.spent = time.Time{}, 0 // a machine that stalls has no say in the levels
		p := nextPiece(t, &in, raw, rates[i/10%len(rates)])
		levels[in.level] = true
		if most := len(raw) + 3*(len(raw)/(128<<10)+1) + 17; len(p) > most {
			t.Errorf("a run of %d bytes became %d, more than %d", len(raw), len(p), most)
		}
		got := make([]byte, len(raw))
		if err := out.unpack(got, p); err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("run %d of %d bytes, packed as %d: %v", i, len(raw), len(p), err)
		}
	}
	if len(levels) != 3 {
		t.Errorf("levels %v, want three", levels)
	}
}

func TestStreamLevel(t *testing.T) {
	for name, c := range map[string]struct {
		rates []uint64
		want  zstd.EncoderLevel
	}{
		"not known":                 {[]uint64{0}, zstd.SpeedFastest},
		"a line":                    {[]uint64{betterBelow / 2}, zstd.SpeedBetterCompression},
		"a start that was slow":     {[]uint64{100_000, 25 << 20}, zstd.SpeedFastest},
		"a little slower":           {[]uint64{defaultBelow + 1, defaultBelow - 1}, zstd.SpeedFastest},
		"much slower":               {[]uint64{defaultBelow + 1, defaultBelow / 3}, zstd.SpeedDefault},
		"slower than everything":    {[]uint64{defaultBelow + 1, betterBelow / 3}, zstd.SpeedBetterCompression},
		"a little below a line":     {[]uint64{betterBelow + 1, betterBelow - 1}, zstd.SpeedDefault},
		"slow, then not known":      {[]uint64{betterBelow / 2, 0}, zstd.SpeedFastest},
		"fast, slow and fast again": {[]uint64{25 << 20, 1 << 20, 25 << 20}, zstd.SpeedFastest},
	} {
		s := packStream{places: &streams{}}
		for _, rate := range c.rates {
			s.since, s.spent = time.Time{}, 0 // as above
			nextPiece(t, &s, []byte("text"), rate)
		}
		if s.level != c.want {
			t.Errorf("%s: level %v, want %v", name, s.level, c.want)
		}
	}
}

// TestStreamLeavesTheProcessorTime: a level that takes too much of the time is not taken again.
func TestStreamLeavesTheProcessorTime(t *testing.T) {
	s := packStream{places: &streams{}}
	at := time.Now()
	for _, c := range []struct {
		spent time.Duration // of each 100 ms
		want  zstd.EncoderLevel
	}{{10 * time.Millisecond, 3}, {50 * time.Millisecond, 2}, {10 * time.Millisecond, 2}, {50 * time.Millisecond, 1}, {90 * time.Millisecond, 1}} {
		s.since, s.spent = time.Time{}, 0
		for range 12 {
			s.note(at, at.Add(c.spent))
			at = at.Add(100 * time.Millisecond)
		}
		nextPiece(t, &s, []byte("text"), betterBelow/2)
		if s.level != c.want {
			t.Errorf("level %v after %v in 100 ms, want %v", s.level, c.spent, c.want)
		}
	}
}

// TestStreamPlaces: a server has so many streams, and one that nobody uses makes room for another.
func TestStreamPlaces(t *testing.T) {
	var places streams
	now := time.Now()
	all := make([]*packStream, maxStreams)
	for i := range all {
		all[i] = &packStream{places: &places}
		if nextPiece(t, all[i], []byte("text"), 0); !places.take(all[i], now.Add(time.Duration(i)*time.Second)) {
			t.Fatalf("no place for stream %d", i)
		}
	}
	late := &packStream{places: &places}
	if places.take(late, now.Add(idleStream-1)) {
		t.Error("a place though none was idle")
	}
	if !places.take(late, now.Add(idleStream)) || all[0].enc.Load() != nil || all[1].enc.Load() == nil {
		t.Error("the place that was idle for longest was not given away")
	}
	all[5].close()
	if !places.take(all[0], now.Add(idleStream)) {
		t.Error("no place though one was given back")
	}
	if n := len(places.used); n != maxStreams {
		t.Errorf("%d places are used, want %d", n, maxStreams)
	}
}

// TestStreamKnowsWhatItSent: what an earlier run had costs next to nothing, far back too.
func TestStreamKnowsWhatItSent(t *testing.T) {
	s := &packStream{places: &streams{}}
	runs := [][]byte{noise(1, 16<<10), noise(2, 16<<10), noise(3, 512<<10)}
	for _, raw := range runs {
		nextPiece(t, s, raw, 0)
	}
	for i, raw := range runs[:2] {
		if n := len(nextPiece(t, s, raw, 0)); n > 200 {
			t.Errorf("run %d of %d bytes cost %d bytes again", i, len(raw), n)
		}
	}
}

func TestStreamRefuses(t *testing.T) {
	first, second := bytes.Repeat([]byte("first"), 300), bytes.Repeat([]byte("second"), 300)
	s := &packStream{places: &streams{}}
	one, two := nextPiece(t, s, first, 0), nextPiece(t, s, second, 0)
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
	s := &packStream{places: &streams{}}
	raw := bytes.Repeat([]byte("ab"), 100)
	f.Add(nextPiece(f, s, raw, 0), nextPiece(f, s, raw, 0), 200, 200)
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
	for name, rate := range map[string]uint64{"line": betterBelow / 2, "link": 10 * defaultBelow} {
		b.Run(name, func(b *testing.B) {
			s := packStream{places: &streams{}, most: levelOf(rate)}
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				s.since = time.Time{}
				s.pack(raw, rate).Release()
			}
		})
	}
}
