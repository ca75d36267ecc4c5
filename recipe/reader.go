package recipe

import "io"

// Position is a place in a file from which cutting can go on: a place where an element begins, or one
// inside a hole. The zero value is the start of the file.
type Position struct {
	Offset int64
	InHole bool // the bytes before Offset belong to a hole, which zeros from Offset on continue
}

// ElementReader cuts files into their elements one by one and shows each chunk's bytes. It can stop
// at any Position and go on from there later, with the elements that Cut finds. It serves one goroutine,
// and one file after the other in one buffer.
type ElementReader struct {
	e  *elements
	at Position
}

// NewElementReader makes a reader of no file yet. It refuses a profile outside the allow-list and an unknown hash.
func NewElementReader(p Profile, h Hash) (*ElementReader, error) {
	cutter, err := NewCutter(p)
	if err != nil {
		return nil, err
	}
	if !h.Valid() {
		return nil, bad("", "unknown hash %d", h)
	}
	return &ElementReader{e: newElements(cutter, h, readAhead)}, nil
}

// Open starts at a position of a file of the given size. On src see CutConfig.Source.
func (r *ElementReader) Open(src io.ReaderAt, size int64, at Position) {
	r.at = at
	r.e.open(src, size, at.Offset)
}

// Expect says what the chunks of the file are expected to be, until the next Open. The elements are those that Cut finds
// as long as the expected chunks are such as Cut makes; an expected chunk that no builder would have made counts as an
// element where its content lies.
func (r *ElementReader) Expect(f Follows) { r.e.expect(f) }

// Span is how many bytes can be cut from a position where the reader was opened while all that it showed of
// them stays valid, if Next is called with a stop no farther.
func (r *ElementReader) Span() int64 { return int64(cap(r.e.buf) - r.e.cutter.lookAhead()) }

// Position is where the next element begins.
func (r *ElementReader) Position() Position { return r.at }

// Next returns the next element and, for a chunk, its bytes, which are valid until the next call (but see Span).
// A hole is cut off at the first multiple of HoleAlign from stop on, and goes on with the next call.
// At the end of the file the error is io.EOF; a file that is shorter than its size is io.ErrUnexpectedEOF.
func (r *ElementReader) Next(stop int64) (Ref, []byte, error) {
	pos := r.at.Offset
	if pos >= r.e.size {
		return Ref{}, nil, io.EOF
	}
	stop = min(max(alignUp(stop), pos+HoleAlign), r.e.size)
	ref, err := r.cut(pos, stop)
	if err != nil {
		return Ref{}, nil, err
	}
	r.at = Position{Offset: pos + ref.Bytes, InHole: ref.Hole && pos+ref.Bytes == stop}
	if ref.Hole {
		return ref, nil, nil
	}
	return ref, r.e.buf[pos-r.e.base:][:ref.Bytes], nil
}

// cut returns the element at pos: what is left of a hole, or a new one.
func (r *ElementReader) cut(pos, stop int64) (Ref, error) {
	if r.at.InHole {
		r.e.cast.known = false
		r.e.rescan(pos)
		end, err := r.e.holeEnd(stop)
		if err != nil || end > pos {
			return Ref{Bytes: end - pos, Hole: true}, err
		}
	}
	return r.e.next(pos, stop)
}
