package wire

import (
	"encoding/binary"
	"fmt"

	"dfetch/recipe"
)

// Limits of fine lists.
const (
	MaxZoom      = 4096    // chunks of one ZOOM
	MaxZoomChunk = 1 << 20 // bytes of a chunk that has a fine list; longer ones get CodeNotHeld
)

// FineList is the answer to a ZOOM for one chunk.
type FineList struct {
	Ordinal uint64
	Code    Code // zero: there is a list
	recipe.FineList
}

const (
	fineSize   = len(recipe.FineEntry{}.Sum) + 2 // bytes of an entry
	maxEntries = MaxZoomChunk / recipe.MinFine
	maxBlocks  = MaxZoomChunk / recipe.FineBlock
)

// MaxFineList is the bytes of the longest answer for one chunk.
const MaxFineList = 3*binary.MaxVarintLen64 + fineSize*maxEntries + 2*maxBlocks

// AppendFineList appends an answer to the body of a FINE frame: ordinal and code, and without a code the number
// of entries, as uvarints, the entries, and the sums of the blocks, of which there are as many as the lengths say.
func AppendFineList(dst []byte, l FineList) []byte {
	dst = binary.AppendUvarint(dst, l.Ordinal)
	dst = binary.AppendUvarint(dst, uint64(l.Code))
	if l.Code != 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(l.Entries)))
	for _, e := range l.Entries {
		dst = append(dst, e.Sum[:]...)
		dst = binary.LittleEndian.AppendUint16(dst, e.Len)
	}
	for _, sum := range l.Blocks {
		dst = binary.LittleEndian.AppendUint16(dst, sum)
	}
	return dst
}

// DecodeFine decodes the body of a FINE frame. Its error is an ErrFrame.
func DecodeFine(body []byte) ([]FineList, error) {
	var lists []FineList
	s := scanner{p: body}
	for len(s.p) > 0 && !s.bad {
		lists = append(lists, s.fineList())
	}
	if s.bad || len(lists) == 0 {
		return nil, fmt.Errorf("fine list %d of %d bytes: %w", len(lists), len(body), ErrFrame)
	}
	return lists, nil
}

func (s *scanner) fineList() FineList {
	l := FineList{Ordinal: s.number(^uint64(0) - 1), Code: Code(s.number(1<<16 - 1))}
	if l.Code != 0 {
		return l
	}
	n := int(s.number(maxEntries))
	p := s.take(n * fineSize)
	if s.bad || n == 0 {
		s.bad = true
		return l
	}
	l.Entries = make([]recipe.FineEntry, n)
	for i := range l.Entries {
		e := &l.Entries[i]
		p = p[copy(e.Sum[:], p):]
		e.Len = binary.LittleEndian.Uint16(p)
		p = p[2:]
		s.bad = s.bad || e.Len > recipe.MaxFine || e.Len == 0 || (e.Len < recipe.MinFine && i < n-1)
	}
	l.Blocks = s.blocks(l.Bytes())
	return l
}

// blocks takes the sums of a chunk of n bytes.
func (s *scanner) blocks(n int64) []uint16 {
	s.bad = s.bad || n > MaxZoomChunk
	if s.bad {
		return nil
	}
	sums := make([]uint16, recipe.FineBlocks(int(n)))
	p := s.take(2 * len(sums))
	if s.bad {
		return nil
	}
	for i := range sums {
		sums[i] = binary.LittleEndian.Uint16(p[2*i:])
	}
	return sums
}
