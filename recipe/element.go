package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// dataSeeker is what a reader of sparse files may have besides ReadAt.
type dataSeeker interface {
	// NextData returns the first offset at or after off that may hold anything but zeros;
	// io.EOF if there is none. An error means that it is not known.
	NextData(off int64) (int64, error)
}

const readAhead = 1 << 20 // bytes of a read; they stay in the processor's cache until they are hashed

// elements cuts a file into its elements: holes, and chunks of the data between them.
//
// The element that begins at an offset depends on the offset and on the bytes from there on, and on nothing
// before (what is expected there only spares the search for its end; see guess).
// A hole is a maximal run of zero blocks of HoleAlign bytes, MinHole bytes at least; the
// last block of the file may be short. No chunk reaches into a hole.
type elements struct {
	src    io.ReaderAt
	size   int64
	cutter *Cutter
	hash   Hash

	buf  []byte // capacity is fixed; holds the bytes from base on
	base int64

	scan int64 // blocks before it are known to be zero or not
	run  int64 // where the zero blocks before scan began; -1 if the last block was not zero
	hole int64 // where the next hole begins; -1 if none is known

	// Chunks that lie in buf are cut and hashed some at a time, which is faster than one by one.
	most int      // chunks that are cut ahead
	lens []uint32 // of those that were
	ids  []ID     // theirs
	done int      // of them, that were given out
	at   int64    // where the next of them begins
	cast forecast
}

// cutAhead is how many chunks are hashed together: enough to fill the lanes of a processor.
const cutAhead = 16

// newElements makes a reader of no file yet. ahead is how much it reads at a time, or more if a chunk may be longer. With
// 0, nothing is cut that is not asked for.
func newElements(c *Cutter, h Hash, ahead int) *elements {
	e := &elements{cutter: c, hash: h, buf: make([]byte, 0, max(ahead, 2*c.lookAhead())), most: 1}
	if ahead > 0 {
		e.most = cutAhead
	}
	e.ids = make([]ID, e.most)
	return e
}

// lookAhead is how many bytes must be known to cut one element.
func (c *Cutter) lookAhead() int { return c.max + MinHole }

// open starts at offset pos of a file of which nothing is expected.
func (e *elements) open(src io.ReaderAt, size, pos int64) {
	e.src, e.size = src, size
	e.buf, e.base = e.buf[:0], pos
	e.expect(nil)
	e.rescan(pos)
}

func (e *elements) rescan(pos int64) {
	e.scan, e.run, e.hole = alignUp(pos), -1, -1
	e.lens, e.done = e.lens[:0], 0
}

// next returns the element at pos, which is below the file's size. A hole is cut off at stop, and no chunk that
// begins there is looked at.
func (e *elements) next(pos, stop int64) (Ref, error) {
	if e.done < len(e.lens) && e.at == pos {
		return e.give(), nil
	}
	if err := e.fill(pos, int64(e.cutter.lookAhead())); err != nil {
		return Ref{}, err
	}
	if e.guess(pos, stop) {
		return e.give(), nil
	}
	if e.holeAt(pos) {
		e.cast.known = false
		end, err := e.holeEnd(min(stop, e.size))
		return Ref{Bytes: end - pos, Hole: true}, err
	}
	e.cut(pos, stop)
	return e.give(), nil
}

// give returns the next of the chunks that were cut.
func (e *elements) give() Ref {
	ref := Ref{ID: e.ids[e.done], Bytes: int64(e.lens[e.done]), Chunks: 1}
	e.done++
	e.at += ref.Bytes
	e.cast.prev, e.cast.known = ref.ID, true
	return ref
}

// cut cuts and hashes the chunk at pos, and those that follow it before stop or a hole, as far as the buffer tells.
func (e *elements) cut(pos, stop int64) {
	e.lens, e.done, e.at = e.lens[:0], 0, pos
	for end := pos; ; {
		limit := min(e.size, end+int64(e.cutter.max))
		if hole := e.findHole(end, limit); hole >= 0 {
			limit = min(limit, hole)
		}
		n := e.cutter.Next(e.buf[end-e.base : limit-e.base])
		e.lens = append(e.lens, uint32(n))
		end += int64(n)
		if len(e.lens) >= e.cast.ahead || end >= min(stop, e.size) || !e.holds(end, int64(e.cutter.lookAhead())) || e.holeAt(end) {
			break
		}
	}
	e.hash.Chunks(e.ids, e.buf[pos-e.base:], e.lens)
	e.cast.ahead = min(2*e.cast.ahead, e.most)
}

// holeAt says whether a hole begins at pos. The buffer must hold what an element there takes.
func (e *elements) holeAt(pos int64) bool {
	return e.findHole(pos, min(e.size, pos+int64(e.cutter.max))) == pos
}

// holds says whether buf holds n bytes from pos on, or all up to the file's end.
func (e *elements) holds(pos, n int64) bool {
	return pos >= e.base && e.base+int64(len(e.buf)) >= min(pos+n, e.size)
}

// fill makes buf hold n bytes from pos on, or all up to the file's end.
func (e *elements) fill(pos, n int64) error {
	if e.holds(pos, n) {
		return nil
	}
	e.lens, e.done = e.lens[:0], 0 // what was cut ahead lay in the buffer
	kept := 0
	if pos >= e.base && pos < e.base+int64(len(e.buf)) {
		kept = copy(e.buf[:cap(e.buf)], e.buf[pos-e.base:])
	}
	e.base = pos
	e.buf = e.buf[:min(int64(cap(e.buf)), e.size-pos)]
	got, err := e.src.ReadAt(e.buf[kept:], pos+int64(kept))
	if got == len(e.buf)-kept {
		return nil
	}
	e.buf = e.buf[:0]
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read at %d: %w", pos+int64(kept+got), err)
}

// findHole returns where the first hole of pos…limit begins, or -1. It looks MinHole bytes beyond the limit if it has to.
func (e *elements) findHole(pos, limit int64) int64 {
	if e.hole < 0 && e.size-pos >= MinHole {
		for e.hole < 0 && (e.scan < limit || e.run >= 0 && e.scan < e.size) {
			e.scanBlock()
		}
	}
	return e.hole
}

// scanBlock looks at the block at scan, which is in the buffer.
func (e *elements) scanBlock() {
	end := min(e.scan+HoleAlign, e.size)
	switch {
	case !isZero(e.buf[e.scan-e.base : end-e.base]):
		e.run = -1
	case e.run < 0:
		e.run = e.scan
	}
	e.scan = end
	if e.run >= 0 && end-e.run >= MinHole {
		e.hole = e.run
	}
}

// holeEnd goes on from scan to the end of the hole or to stop, whichever comes first.
func (e *elements) holeEnd(stop int64) (int64, error) {
	for e.scan < stop {
		if e.scan >= e.base+int64(len(e.buf)) {
			if e.skip(stop); e.scan >= stop {
				break
			}
		}
		if err := e.fill(e.scan, HoleAlign); err != nil {
			return 0, err
		}
		end := min(e.scan+HoleAlign, e.size)
		if !isZero(e.buf[e.scan-e.base : end-e.base]) {
			break
		}
		e.scan = end
	}
	end := min(e.scan, stop)
	e.rescan(end)
	return end, nil
}

// skip moves scan over zeros that the file system knows of.
func (e *elements) skip(stop int64) {
	if d := nextData(e.src, e.scan); d > e.scan {
		e.scan = min(d, stop)
	}
}

// zeros returns the end of the zero blocks that begin at pos.
func (e *elements) zeros(pos int64) (int64, error) {
	e.rescan(pos)
	return e.holeEnd(e.size)
}

// nextData returns the block that holds the first data at or after off, as far as the file system
// knows: off itself if it does not, MaxInt64 if no data follow.
func nextData(src io.ReaderAt, off int64) int64 {
	s, ok := src.(dataSeeker)
	if !ok {
		return off
	}
	d, err := s.NextData(off)
	switch {
	case errors.Is(err, io.EOF):
		return math.MaxInt64
	case err != nil:
		return off
	}
	return max(off, d&^(HoleAlign-1))
}

func alignUp(off int64) int64 { return (off + HoleAlign - 1) &^ (HoleAlign - 1) }

var zeroBlock [HoleAlign]byte

// isZero says whether a block of at most HoleAlign bytes is all zeros.
func isZero(b []byte) bool {
	if len(b) > 0 && b[0] != 0 {
		return false
	}
	return bytes.Equal(b, zeroBlock[:len(b)])
}
