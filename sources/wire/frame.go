package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Type is what a frame is.
type Type uint8

// Types of frames. Their numbers are part of the protocol.
const (
	TypeHello    Type = 1  // client: who am I, what do I want
	TypeWelcome  Type = 2  // server: the recipe's root
	TypeError    Type = 3  // fatal; the last frame
	TypePing     Type = 4  // 8 bytes
	TypePong     Type = 5  // the same 8 bytes
	TypeNodes    Type = 8  // client: send nodes
	TypeMore     Type = 9  // client: room for more nodes
	TypeNode     Type = 10 // server: one node
	TypeNodesEnd Type = 11 // server: no more of this request
	TypeGet      Type = 16 // client: send chunks
	TypeCancel   Type = 17 // client: don't send them
	TypeTaken    Type = 18 // server: requests for chunks, parts and fine lists that it is done with; 4 bytes
	TypeData     Type = 19 // server: a run of chunks
	TypeFail     Type = 20 // server: chunks that will not come
	TypeGetParts Type = 21 // client: send parts of chunks
	TypeParts    Type = 22 // server: parts of chunks
	TypeZoom     Type = 24 // client: send fine lists
	TypeFine     Type = 25 // server: fine lists
)

// optional is the bit of types that a peer skips if it does not know them.
const optional Type = 0x80

// Limits of frames, in bytes of the body.
const (
	MaxControl   = 64 << 10
	MaxWelcome   = 128 << 10 // a root and what is said beside it
	MaxNodeFrame = 1<<20 + 64
	// MaxRun is the payload of a DATA frame, unless one chunk alone is larger.
	MaxRun       = 1 << 20
	headerSize   = 5
	readerBuffer = 16 << 10 // one TLS record
)

// ErrFrame means that the peer sent something that is not the protocol.
var ErrFrame = errors.New("bad frame")

// Reader reads frames: Next, then the body by Body, ReadFull or Control, then Next again. What is
// left of a body is skipped. It is used by one goroutine.
type Reader struct {
	r       *bufio.Reader
	left    int // bytes of the body not read yet
	maxData int
	scratch []byte
}

// NewReader reads frames from r, whose DATA and PARTS frames have at most maxData bytes in all.
func NewReader(r io.Reader, maxData int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, readerBuffer), maxData: maxData}
}

// SetMaxData changes the limit of DATA and PARTS frames.
func (r *Reader) SetMaxData(n int) { r.maxData = n }

// Next reads the header of the next frame. Unknown optional frames are skipped. Reading at the end
// of the stream gives io.EOF; inside a frame it gives io.ErrUnexpectedEOF.
func (r *Reader) Next() (Type, int, error) {
	for {
		if err := r.skip(); err != nil {
			return 0, 0, err
		}
		var head [headerSize]byte
		if _, err := io.ReadFull(r.r, head[:]); err != nil {
			return 0, 0, err
		}
		t, n := Type(head[0]), binary.LittleEndian.Uint32(head[1:])
		limit, known := r.limit(t)
		if !known && t&optional == 0 {
			return 0, 0, fmt.Errorf("type %d is not known: %w", t, ErrFrame)
		}
		if uint64(n) > uint64(limit) {
			return 0, 0, fmt.Errorf("type %d has %d bytes, limit %d: %w", t, n, limit, ErrFrame)
		}
		r.left = int(n)
		if known {
			return t, r.left, nil
		}
	}
}

// Ready says whether what Next finds lies here whole, so that reading it does not wait. It may be called between frames.
func (r *Reader) Ready() bool {
	here := uint64(r.r.Buffered())
	for at := uint64(r.left); at+headerSize <= here; {
		p, err := r.r.Peek(int(at) + headerSize)
		if err != nil {
			return false
		}
		t, n := Type(p[at]), binary.LittleEndian.Uint32(p[at+1:])
		at += headerSize + uint64(n)
		if _, known := r.limit(t); known || t&optional == 0 {
			return at <= here
		}
	}
	return false
}

// limit is the largest body of a type.
func (r *Reader) limit(t Type) (n int, known bool) {
	switch t {
	case TypeData, TypeParts:
		return r.maxData, true
	case TypeNode:
		return MaxNodeFrame, true
	case TypeWelcome:
		return MaxWelcome, true
	case TypeHello, TypeError, TypeNodes, TypeMore, TypeNodesEnd, TypeGet, TypeCancel, TypeFail, TypeZoom, TypeFine:
		return MaxControl, true
	case TypeGetParts:
		return MaxPartsTable, true
	case TypePing, TypePong:
		return 8, true
	case TypeTaken:
		return 4, true
	}
	return MaxControl, false
}

func (r *Reader) skip() error {
	n, err := r.r.Discard(r.left)
	r.left -= n
	return noEOF(err)
}

// Left is how many bytes of the body are to be read.
func (r *Reader) Left() int { return r.left }

// ReadFull fills p with bytes of the body; too few left break the protocol.
func (r *Reader) ReadFull(p []byte) error {
	if len(p) > r.left {
		return fmt.Errorf("body ends %d bytes early: %w", len(p)-r.left, ErrFrame)
	}
	n, err := io.ReadFull(r.r, p)
	r.left -= n
	return noEOF(err)
}

// Control reads the rest of the body. The bytes are valid until the next call.
func (r *Reader) Control() ([]byte, error) {
	if cap(r.scratch) < r.left {
		r.scratch = make([]byte, max(r.left, 4<<10))
	}
	p := r.scratch[:r.left]
	return p, r.ReadFull(p)
}

// noEOF is for reads inside a frame.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// AppendHeader appends the header of a frame whose body has n bytes.
func AppendHeader(dst []byte, t Type, n int) []byte {
	dst = append(dst, byte(t))
	return binary.LittleEndian.AppendUint32(dst, uint32(n))
}

// AppendFrame appends a whole frame.
func AppendFrame(dst []byte, t Type, body []byte) []byte {
	return append(AppendHeader(dst, t, len(body)), body...)
}
