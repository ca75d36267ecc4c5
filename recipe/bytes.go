package recipe

import (
	"encoding/binary"
	"math"
)

// byteReader takes apart the bytes of a node. Its first error sticks, and everything read after it
// is zero. Strings share one copy of the bytes.
type byteReader struct {
	raw []byte
	str string
	pos int
	bad string // what was wrong first; empty for nothing
}

func newByteReader(raw []byte) byteReader { return byteReader{raw: raw, str: string(raw)} }

func (r *byteReader) left() int { return len(r.raw) - r.pos }

func (r *byteReader) fail(what string) {
	if r.bad == "" {
		r.bad = what
	}
	r.pos = len(r.raw)
}

func (r *byteReader) byte() byte {
	if r.left() < 1 {
		r.fail("cut short")
		return 0
	}
	r.pos++
	return r.raw[r.pos-1]
}

func (r *byteReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.raw[r.pos:])
	if n <= 0 {
		r.fail("bad number")
		return 0
	}
	r.pos += n
	return v
}

// uint32 is a uvarint of at most 32 bits.
func (r *byteReader) uint32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.fail("number over 32 bits")
		return 0
	}
	return uint32(v)
}

// int63 is a uvarint that fits a positive int64.
func (r *byteReader) int63() int64 {
	v := r.uvarint()
	if v > math.MaxInt64 {
		r.fail("number over 63 bits")
		return 0
	}
	return int64(v)
}

func (r *byteReader) id() (id ID) {
	copy(id[:], r.take(len(id)))
	return id
}

func (r *byteReader) take(n int) []byte {
	if n > r.left() {
		r.fail("cut short")
		return nil
	}
	r.pos += n
	return r.raw[r.pos-n : r.pos : r.pos]
}

// string reads a length and that many bytes. A length over max is an error that names what.
func (r *byteReader) string(what, entry string, max int) (string, error) {
	n := r.uvarint()
	if n > uint64(max) {
		return "", &LimitError{What: what, Entry: entry, Limit: uint64(max), Got: n}
	}
	if n > uint64(r.left()) {
		r.fail("cut short")
		return "", nil
	}
	r.pos += int(n)
	return r.str[r.pos-int(n) : r.pos], nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// sums are what a reference declares of what lies below it.
type sums struct{ entries, bytes, chunks uint64 }

// take subtracts c. It says false, and changes nothing, if c is more than is left.
func (s *sums) take(c sums) bool {
	if c.entries > s.entries || c.bytes > s.bytes || c.chunks > s.chunks {
		return false
	}
	s.entries -= c.entries
	s.bytes -= c.bytes
	s.chunks -= c.chunks
	return true
}

// add adds c, and says false if a sum leaves 63 bits.
func (s *sums) add(c sums) bool {
	if c.entries > math.MaxInt64-s.entries || c.bytes > math.MaxInt64-s.bytes || c.chunks > math.MaxInt64-s.chunks {
		return false
	}
	s.entries += c.entries
	s.bytes += c.bytes
	s.chunks += c.chunks
	return true
}
