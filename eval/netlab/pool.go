package netlab

const (
	smallBuffer = 256
	slabBuffers = 64
)

// pool keeps packet buffers of two sizes, so that a million acknowledgements
// don't occupy a million full-size buffers. It grows to what the link holds at
// its fullest (maxPackets bounds that) and is freed with it. Not safe for
// concurrent use.
type pool struct {
	mtu        int
	big, small [][]byte
}

// read returns a buffer that takes any packet.
func (p *pool) read() []byte { return take(&p.big, p.mtu) }

// keep returns the buffer to hold a packet that was read into b: b itself, or a
// small one with its bytes.
func (p *pool) keep(b []byte) []byte {
	if len(b) > smallBuffer {
		return b
	}
	s := take(&p.small, smallBuffer)[:len(b)]
	copy(s, b)
	p.free(b)
	return s
}

func (p *pool) free(b []byte) {
	list := &p.big
	if cap(b) == smallBuffer {
		list = &p.small
	}
	*list = append(*list, b[:cap(b)])
}

func take(list *[][]byte, size int) []byte {
	if len(*list) == 0 {
		slab := make([]byte, slabBuffers*size)
		for i := 0; i < len(slab); i += size {
			*list = append(*list, slab[i:i+size:i+size])
		}
	}
	last := len(*list) - 1
	b := (*list)[last]
	*list = (*list)[:last]
	return b
}
