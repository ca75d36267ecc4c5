package sender

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/sources/wire"
)

// TestSlowLinkIsCompressed moves zeros and noise over a slow link: the zeros cost next to nothing, and so does
// noise that came before.
func TestSlowLinkIsCompressed(t *testing.T) {
	for name, c := range map[string]struct {
		data     []byte
		min, max int64 // wire bytes
	}{
		"zeros": {make([]byte, 32<<20), 0, 12 << 20},
		"noise": {noise(1, 8<<20), 8 << 20, 9 << 20},
		"alike": {alike(32 << 20), 0, 8 << 20},
	} {
		w := flatWorld(t, []spec{{"file", c.data}})
		synctest.Test(t, func(t *testing.T) {
			sink := newCollector()
			client := linkRig(t, w, 0, 1<<20, ServerConfig{}, sink)
			check(t, client.Request(w.wants))
			sink.settled(t, len(w.wants))
			if len(sink.got) != len(w.wants) {
				t.Fatalf("%s: %d of %d chunks came: %v", name, len(sink.got), len(w.wants), sink.failed)
			}
			if n := client.Stats().WireBytes; n < c.min || n > c.max {
				t.Errorf("%s: %d bytes on the wire, want %d to %d", name, n, c.min, c.max)
			}
		})
	}
}

// alike is noise that repeats itself, mostly further away than a run is long.
func alike(n int) []byte {
	const size = 1000
	rnd, pool := rand.New(rand.NewPCG(1, 2)), noise(2, 64*size)
	data := make([]byte, 0, n+size)
	for len(data) < n {
		data = append(data, pool[size*rnd.IntN(64):][:size]...)
	}
	return data[:n]
}

func TestUnpackRefuses(t *testing.T) {
	packed := encoder.EncodeAll(make([]byte, 1000), nil)
	for name, c := range map[string]struct {
		payload []byte
		rawLen  int
	}{
		"garbage": {[]byte("garbage"), 7},
		"longer":  {packed, 999},
		"shorter": {packed, 1001},
		"cut":     {packed[:len(packed)-1], 1000},
	} {
		if _, err := unpack(nil, wire.EncZstd, c.payload, c.rawLen); !errors.Is(err, wire.ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(encoder.EncodeAll(bytes.Repeat([]byte("ab"), 100), nil), 200)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, payload []byte, rawLen int) {
		out, err := unpack(nil, wire.EncZstd, payload, rawLen)
		if err == nil && len(out) != rawLen {
			t.Fatalf("%d bytes, %d were announced", len(out), rawLen)
		}
	})
}

// TestPackGivesBackWhatItTook packs short texts that hardly shrink: there the encoder may need more room on
// the way than in the end, and leaves the buffer that it was given.
func TestPackGivesBackWhatItTook(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 400)
	for i := range words {
		words[i] = make([]byte, 2+rnd.IntN(9))
		for k := range words[i] {
			words[i][k] = byte(' ' + rnd.IntN(95))
		}
	}
	for range 20_000 {
		var raw []byte
		for size := 100 + rnd.IntN(300); len(raw) < size; {
			raw = append(raw, words[rnd.IntN(len(words))]...)
		}
		buf := packAlone(raw)
		if buf == nil {
			continue
		}
		got, err := unpack(make([]byte, 0, len(raw)), wire.EncZstd, buf.Data[headRoom:], len(raw))
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%d bytes, packed as %d: %v", len(raw), len(buf.Data)-headRoom, err)
		}
		buf.Release()
	}
}

// TestSlowPathIsCompressedAtOnce: where the kernel knows that a path is slow, nobody has to wait for it first.
func TestSlowPathIsCompressedAtOnce(t *testing.T) {
	for rate, want := range map[uint64]bool{0: false, 200 << 10: true, 2 << 20: true, 110 << 20: false} {
		p := newPacer(wire.TCP{}, &net.TCPAddr{IP: net.IPv6loopback})
		p.zstd = true
		p.take(wire.TCPInfo{Rate: rate})
		if p.packs(time.Now()) != want {
			t.Errorf("packs at %d bytes a second: %v", rate, !want)
		}
	}
}
