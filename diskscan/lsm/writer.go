package lsm

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// The end of a table, numbers little endian:
//
//	magic (8 bytes), rows u64, root offset u64, root length u32, depth u32, filter offset u64, filter lines u32, crc32c u32
const (
	endSize = 48
	magic   = "dfrows\x00\x01"
)

// end is what the end of a table says.
type end struct {
	rows   uint64
	root   span
	depth  uint32 // levels of blocks above the rows; at least one
	filter uint64 // where it begins
	lines  uint32 // of the filter
}

// span is where a block lies.
type span struct {
	off uint64
	len uint32
}

func (e *end) encode() []byte {
	b := append(make([]byte, 0, endSize), magic...)
	b = binary.LittleEndian.AppendUint64(b, e.rows)
	b = binary.LittleEndian.AppendUint64(b, e.root.off)
	b = binary.LittleEndian.AppendUint32(b, e.root.len)
	b = binary.LittleEndian.AppendUint32(b, e.depth)
	b = binary.LittleEndian.AppendUint64(b, e.filter)
	b = binary.LittleEndian.AppendUint32(b, e.lines)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A block above the rows has a hundred keys mostly, and leastKeys of long ones. maxDepth bounds the levels.
const (
	leastKeys = 4
	maxDepth  = 16
)

// decodeEnd reads the end of a table of size bytes, and checks that what it names lies in the table.
func decodeEnd(raw []byte, size uint64) (e end, err error) {
	le := binary.LittleEndian
	if len(raw) != endSize || string(raw[:8]) != magic || le.Uint32(raw[endSize-4:]) != crc32.Checksum(raw[:endSize-4], castagnoli) {
		return end{}, ErrDamaged
	}
	e = end{
		rows: le.Uint64(raw[8:]), root: span{off: le.Uint64(raw[16:]), len: le.Uint32(raw[24:])},
		depth: le.Uint32(raw[28:]), filter: le.Uint64(raw[32:]), lines: le.Uint32(raw[40:]),
	}
	filled := e.filter + uint64(e.lines)*filterLine + endSize
	if e.filter > size || filled != size || e.root.off > e.filter || !e.root.fits(e.filter) ||
		e.depth == 0 || e.depth > maxDepth || e.lines == 0 || e.rows > e.filter/3 {
		return end{}, ErrDamaged
	}
	return e, nil
}

// fits says whether a block may lie in the first limit bytes.
func (s span) fits(limit uint64) bool {
	return s.len >= sumSize && s.len <= maxBlock && s.off <= limit && uint64(s.len) <= limit-s.off
}

// tableWriter writes a table, from rows that come sorted.
type tableWriter struct {
	out    *bufio.Writer
	off    uint64
	levels []level // the rows' first; a level's full block gets a row in the one above it
	filter *filterWriter
	rows   uint64
}

// level is the block of one level that is being made.
type level struct {
	block blockWriter
	first []byte // key
	rows  int
}

// newTableWriter begins a table of at most so many rows.
func newTableWriter(out io.Writer, rows int) *tableWriter {
	return &tableWriter{out: bufio.NewWriterSize(out, 256<<10), levels: make([]level, 1), filter: newFilterWriter(rows)}
}

func (w *tableWriter) add(r row) error {
	w.filter.add(r.key)
	w.rows++
	return w.addTo(0, r)
}

// addTo adds a row to a level.
func (w *tableWriter) addTo(at int, r row) error {
	if at == len(w.levels) {
		w.levels = append(w.levels, level{})
	}
	l := &w.levels[at]
	if l.rows == 0 {
		l.first = append(l.first[:0], r.key...)
	}
	l.block.add(r)
	l.rows++
	if len(l.block.buf) < blockSize || at > 0 && l.rows < leastKeys {
		return nil
	}
	return w.closeBlock(at)
}

// closeBlock writes the block of a level and notes it in the level above.
func (w *tableWriter) closeBlock(at int) error {
	s, err := w.write(at)
	if err != nil {
		return err
	}
	return w.addTo(at+1, row{key: w.levels[at].first, value: s.encode()})
}

// write writes the block of a level.
func (w *tableWriter) write(at int) (span, error) {
	raw := w.levels[at].block.close()
	w.levels[at].rows = 0
	s := span{off: w.off, len: uint32(len(raw))}
	w.off += uint64(len(raw))
	_, err := w.out.Write(raw)
	return s, err
}

// finish writes what is left: the last block of each level, the highest of which is the root, the filter and the end.
func (w *tableWriter) finish() error {
	at := 0
	for ; at == 0 || at+1 < len(w.levels); at++ {
		if w.levels[at].rows == 0 && (at > 0 || w.rows > 0) {
			continue
		}
		if err := w.closeBlock(at); err != nil {
			return err
		}
	}
	e := end{rows: w.rows, depth: uint32(at), lines: uint32(w.filter.n)}
	var err error
	if e.root, err = w.write(at); err != nil {
		return err
	}
	e.filter = w.off
	if _, err := w.out.Write(w.filter.lines); err != nil {
		return err
	}
	if _, err := w.out.Write(e.encode()); err != nil {
		return err
	}
	return w.out.Flush()
}

func (s span) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, s.off), uint64(s.len))
}

func decodeSpan(raw []byte, limit uint64) (s span, err error) {
	off, n := binary.Uvarint(raw)
	if n <= 0 {
		return s, ErrDamaged
	}
	size, m := binary.Uvarint(raw[n:])
	if m <= 0 || n+m != len(raw) || size > maxBlock {
		return s, ErrDamaged
	}
	s = span{off: off, len: uint32(size)}
	if !s.fits(limit) {
		return span{}, ErrDamaged
	}
	return s, nil
}
