package sender

import (
	"dfetch/sources"
	"dfetch/sources/wire"
)

// The most runs between two tries. On a slow line there is time for more of them.
const (
	maxSkip     = 64
	maxSkipSlow = 4
)

// packer decides which runs to compress. It tries while the network is the limit, and tries less
// often while the data does not shrink.
type packer struct {
	skip  int // runs to pass over before the next try
	tries int // without success, one after the other
}

// pack compresses a run that lies in buf behind the head room, for a network of that rate: as the stream's next piece, or
// alone where there is no stream. It takes buf and returns what is to be sent, and its encoding.
func (p *packer) pack(stream *packStream, buf *sources.Buffer, rate uint64) (*sources.Buffer, uint8) {
	if p.skip > 0 {
		p.skip--
		return buf, wire.EncRaw
	}
	packed, enc := packRun(stream, buf.Data[headRoom:], rate)
	p.note(packed != nil && shrinks(len(buf.Data)-headRoom, len(packed.Data)-headRoom), rate)
	if packed == nil {
		return buf, wire.EncRaw
	}
	buf.Release()
	return packed, enc
}

// note notes whether a try brought anything.
func (p *packer) note(good bool, rate uint64) {
	if good {
		p.tries, p.skip = 0, 0
		return
	}
	p.tries = min(p.tries+1, 6)
	p.skip = min(1<<p.tries, maxSkip)
	if 0 < rate && rate < betterBelow {
		p.skip = min(p.skip, maxSkipSlow)
	}
}

// packRun makes a buffer with the packed run behind the head room; nil if it is better sent as it is.
func packRun(stream *packStream, raw []byte, rate uint64) (*sources.Buffer, uint8) {
	if buf := stream.pack(raw, rate); buf != nil {
		return buf, wire.EncStream
	}
	return packAlone(raw), wire.EncZstd
}

// packAlone compresses a run into a zstd frame of its own; nil if it does not shrink.
func packAlone(raw []byte) *sources.Buffer {
	buf := sources.NewBuffer(headRoom + len(raw))
	out := encoder.EncodeAll(raw, buf.Data[headRoom:headRoom])
	if !shrinks(len(raw), len(out)) {
		buf.Release()
		return nil
	}
	buf.Data = buf.Data[:headRoom+len(out)]
	if packed := buf.Data[headRoom:]; &packed[0] != &out[0] {
		copy(packed, out) // the encoder needed more room on the way than in the end
	}
	return buf
}

// shrinks says whether packing is worth what unpacking costs.
func shrinks(raw, packed int) bool { return packed <= raw-raw/16 }
