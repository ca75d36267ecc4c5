package wire

import (
	"encoding/binary"
	"fmt"
)

// Limits of parts.
const (
	MaxPartsTable = 16 << 10 // bytes of a table of parts
	MaxPartChunks = 512      // chunks of one table
	MaxPartSpans  = 64       // spans of one chunk
)

// Span is a stretch of a chunk, in bytes.
type Span struct{ Off, Len uint32 }

// Part is stretches of one chunk: 1 to MaxPartSpans, ascending, not empty, not overlapping.
type Part struct {
	Ordinal uint64
	Spans   []Span
}

// Bytes is the length of a part's stretches.
func (p *Part) Bytes() int64 {
	n := int64(0)
	for _, s := range p.Spans {
		n += int64(s.Len)
	}
	return n
}

// AppendPart appends a part to a table: its ordinal and the number of its spans, then for each how far it
// begins behind the end of the one before it, and its length; all as uvarints.
func AppendPart(dst []byte, p Part) []byte {
	dst = binary.AppendUvarint(dst, p.Ordinal)
	dst = binary.AppendUvarint(dst, uint64(len(p.Spans)))
	at := uint32(0)
	for _, s := range p.Spans {
		dst = binary.AppendUvarint(dst, uint64(s.Off-at))
		dst = binary.AppendUvarint(dst, uint64(s.Len))
		at = s.Off + s.Len
	}
	return dst
}

// DecodeParts decodes a table, which is the body of a GET_PARTS. It returns the bytes of all
// parts together, too. Its error is an ErrFrame.
func DecodeParts(table []byte) (parts []Part, bytes int64, err error) {
	if len(table) == 0 || len(table) > MaxPartsTable {
		return nil, 0, fmt.Errorf("table of %d bytes, want 1 to %d: %w", len(table), MaxPartsTable, ErrFrame)
	}
	s := scanner{p: table}
	for len(s.p) > 0 && !s.bad {
		if len(parts) == MaxPartChunks {
			return nil, 0, fmt.Errorf("table of more than %d chunks: %w", MaxPartChunks, ErrFrame)
		}
		p := s.part()
		parts = append(parts, p)
		bytes += p.Bytes()
	}
	if s.bad {
		return nil, 0, fmt.Errorf("part %d of a table: %w", len(parts)-1, ErrFrame)
	}
	return parts, bytes, nil
}

// scanner takes numbers off bytes. After the first that is not there, or too large, it is bad.
type scanner struct {
	p   []byte
	bad bool
}

// number takes a uvarint of at most limit.
func (s *scanner) number(limit uint64) uint64 {
	v, n := binary.Uvarint(s.p)
	if s.bad || n <= 0 || v > limit {
		s.bad = true
		return 0
	}
	s.p = s.p[n:]
	return v
}

// take takes n bytes; nil if there are fewer.
func (s *scanner) take(n int) []byte {
	if s.bad || len(s.p) < n {
		s.bad = true
		return nil
	}
	p := s.p[:n]
	s.p = s.p[n:]
	return p
}

func (s *scanner) part() Part {
	p := Part{Ordinal: s.number(^uint64(0) - 1)}
	n := s.number(MaxPartSpans)
	if s.bad || n == 0 || uint64(len(s.p)) < 2*n {
		s.bad = true
		return p
	}
	p.Spans = make([]Span, n)
	const end = uint64(1<<32 - 1)
	at := uint64(0)
	for i := range p.Spans {
		off := at + s.number(end-at)
		size := s.number(end - off)
		s.bad = s.bad || size == 0
		p.Spans[i] = Span{Off: uint32(off), Len: uint32(size)}
		at = off + size
	}
	return p
}

// Parts is the header of a PARTS frame. A table follows, then the payload: the parts one after the other.
type Parts struct {
	Enc    uint8
	RawLen uint32 // bytes of the parts
	Pace
}

const partsSize = 1 + 4 + paceSize + 2

// AppendPartsFrame appends a PARTS frame without its payload of n bytes. The table has at most
// MaxPartsTable bytes.
func AppendPartsFrame(dst []byte, d Parts, table []byte, n int) []byte {
	dst = AppendHeader(dst, TypeParts, partsSize+len(table)+n)
	dst = append(dst, d.Enc)
	dst = binary.LittleEndian.AppendUint32(dst, d.RawLen)
	dst = d.Pace.append(dst)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(table)))
	return append(dst, table...)
}

// ReadParts reads the header and the table of a PARTS body, whose payload remains. maxRaw bounds the raw
// bytes, which are the sum of the parts.
func ReadParts(r *Reader, maxRaw int) (Parts, []Part, error) {
	var head [partsSize]byte
	if err := r.ReadFull(head[:]); err != nil {
		return Parts{}, nil, err
	}
	d := Parts{Enc: head[0], RawLen: binary.LittleEndian.Uint32(head[1:]), Pace: readPace(head[5:])}
	table := make([]byte, binary.LittleEndian.Uint16(head[5+paceSize:]))
	if err := r.ReadFull(table); err != nil {
		return Parts{}, nil, err
	}
	parts, bytes, err := DecodeParts(table)
	switch {
	case err != nil:
		return Parts{}, nil, err
	case bytes != int64(d.RawLen) || bytes > int64(maxRaw):
		return Parts{}, nil, fmt.Errorf("PARTS of %d raw bytes, its parts have %d, limit %d: %w", d.RawLen, bytes, maxRaw, ErrFrame)
	case d.Enc > EncStream:
		return Parts{}, nil, fmt.Errorf("PARTS in encoding %d: %w", d.Enc, ErrFrame)
	case d.Enc == EncRaw && r.Left() != int(d.RawLen):
		return Parts{}, nil, fmt.Errorf("PARTS of %d raw bytes in %d: %w", d.RawLen, r.Left(), ErrFrame)
	}
	return d, parts, nil
}
