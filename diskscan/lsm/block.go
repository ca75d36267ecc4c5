package lsm

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// Bounds of a row and of a block. A block is closed when it has blockSize bytes, so one with a long row, or with a few long
// keys, is longer.
const (
	MaxKey   = 8 << 10  // bytes
	MaxValue = 64 << 10 // bytes

	blockSize = 4 << 10
	maxBlock  = blockSize + MaxKey + MaxValue + 64
)

// ErrDamaged says that a table does not hold what was written.
var ErrDamaged = errors.New("index table is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumSize is the length of the checksum at the end of a block.
const sumSize = 4

// row is a key with its value, or with the news that it was deleted.
type row struct {
	key, value []byte
	gone       bool
}

// blockWriter makes a block: sorted rows, each without what its key shares with the one before, and a checksum.
//
//	row: uvarint shared, uvarint len(rest of key), uvarint (0: gone, else 1+len(value)), rest of key, value
type blockWriter struct {
	buf  []byte
	last []byte // key
}

func (w *blockWriter) add(r row) {
	shared := 0
	if len(w.buf) > 0 {
		shared = sharedPrefix(w.last, r.key)
	}
	n := uint64(0)
	if !r.gone {
		n = 1 + uint64(len(r.value))
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(shared))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(r.key)-shared))
	w.buf = binary.AppendUvarint(w.buf, n)
	w.buf = append(w.buf, r.key[shared:]...)
	if !r.gone {
		w.buf = append(w.buf, r.value...)
	}
	w.last = append(w.last[:0], r.key...)
}

// close ends the block. The result is valid until the next add.
func (w *blockWriter) close() []byte {
	b := binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(w.buf, castagnoli))
	w.buf = b[:0]
	return b
}

func sharedPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// openBlock checks a block and returns its rows.
func openBlock(raw []byte) ([]byte, error) {
	n := len(raw) - sumSize
	if n < 0 || binary.LittleEndian.Uint32(raw[n:]) != crc32.Checksum(raw[:n], castagnoli) {
		return nil, ErrDamaged
	}
	return raw[:n], nil
}

// blockReader goes through the rows of a block. What it returns is valid until it goes on.
type blockReader struct {
	rest []byte
	row  row
	err  error // the block is not what a blockWriter made
}

// reset begins with another block.
func (b *blockReader) reset(rows []byte) {
	b.rest, b.err = rows, nil
	b.row = row{key: b.row.key[:0]}
}

// next goes on to the next row; false at the end.
func (b *blockReader) next() bool {
	if len(b.rest) == 0 || b.err != nil {
		return false
	}
	shared, own, size := b.number(), b.number(), b.number()
	length := max(size, 1) - 1
	if b.err != nil || shared > len(b.row.key) || shared+own > MaxKey || length > MaxValue || own+length > len(b.rest) {
		b.err = ErrDamaged
		return false
	}
	b.row.key = append(b.row.key[:shared], b.rest[:own]...)
	b.row.value = b.rest[own : own+length : own+length]
	b.row.gone = size == 0
	b.rest = b.rest[own+length:]
	return true
}

// number reads a length.
func (b *blockReader) number() int {
	v, n := binary.Uvarint(b.rest)
	if n <= 0 || v > maxBlock {
		b.err = ErrDamaged
		return 0
	}
	b.rest = b.rest[n:]
	return int(v)
}
