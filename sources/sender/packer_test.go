package sender

import (
	"testing"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// run is a buffer with raw behind the head room.
func run(raw []byte) *sources.Buffer {
	buf := sources.NewBuffer(headRoom + len(raw))
	copy(buf.Data[headRoom:], raw)
	return buf
}

// TestPackerBacksOff: noise is tried seldom, but always where the line is so slow that a try costs nothing.
func TestPackerBacksOff(t *testing.T) {
	for rate, want := range map[uint64][2]int{0: {1, 30}, 10 * lineRate: {1, 30}, lineRate / 2: {1000, 1000}} {
		var p packer
		raw := noise(1, 64<<10)
		tries := 0
		for range 1000 {
			if p.skip == 0 || slowLine(rate) {
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

// TestPackerFallsBack: without a stream each run is packed alone, and so it is where the server has no slot left.
func TestPackerFallsBack(t *testing.T) {
	full := make(chan struct{}, 1)
	full <- struct{}{}
	for name, c := range map[string]struct {
		slots chan struct{}
		want  uint8
	}{
		"old client": {nil, wire.EncZstd},
		"no slot":    {full, wire.EncZstd},
		"slot":       {make(chan struct{}, 1), wire.EncStream},
	} {
		var p packer
		stream := packStream{slots: c.slots}
		buf, enc := p.pack(&stream, run(make([]byte, 10_000)), 0)
		if enc != c.want || len(buf.Data) > headRoom+500 {
			t.Errorf("%s: encoding %d of %d bytes, want encoding %d", name, enc, len(buf.Data)-headRoom, c.want)
		}
		buf.Release()
		held := len(c.slots)
		stream.close()
		if c.want == wire.EncStream && (held != 1 || len(c.slots) != 0) {
			t.Errorf("%s: %d slots held, %d after the end", name, held, len(c.slots))
		}
	}
}
