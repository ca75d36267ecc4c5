package sender

import (
	"testing"
	"time"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// run is a buffer with raw behind the head room.
func run(raw []byte) *sources.Buffer {
	buf := sources.NewBuffer(headRoom + len(raw))
	copy(buf.Data[headRoom:], raw)
	return buf
}

// TestPackerBacksOff: noise is tried seldom, and a little more often on a slow line.
func TestPackerBacksOff(t *testing.T) {
	for rate, want := range map[uint64][2]int{0: {1, 30}, 10 * defaultBelow: {1, 30}, betterBelow / 2: {150, 250}} {
		var p packer
		raw := noise(1, 64<<10)
		tries := 0
		for range 1000 {
			if p.skip == 0 {
				tries++
			}
			buf, enc := p.pack(&packStream{}, run(raw), rate)
			if enc != wire.EncRaw {
				t.Fatal("noise was compressed")
			}
			buf.Release()
		}
		if tries < want[0] || tries > want[1] {
			t.Errorf("%d tries in 1000 runs of noise at %d bytes a second, want %d to %d", tries, rate, want[0], want[1])
		}
	}
}

// TestPackerFallsBack: without a stream each run is packed alone, and so it is where the server has no place left.
func TestPackerFallsBack(t *testing.T) {
	var full streams
	for range maxStreams {
		full.take(&packStream{}, time.Now())
	}
	for name, c := range map[string]struct {
		places *streams
		want   uint8
	}{
		"old client": {nil, wire.EncZstd},
		"no place":   {&full, wire.EncZstd},
		"a place":    {&streams{}, wire.EncStream},
	} {
		var p packer
		stream := packStream{places: c.places}
		buf, enc := p.pack(&stream, run(make([]byte, 10_000)), 0)
		if enc != c.want || len(buf.Data) > headRoom+500 {
			t.Errorf("%s: encoding %d of %d bytes, want encoding %d", name, enc, len(buf.Data)-headRoom, c.want)
		}
		buf.Release()
		if stream.close(); c.places != nil && c.places.used[&stream] != (time.Time{}) {
			t.Errorf("%s: the place is held after the end", name)
		}
	}
}
