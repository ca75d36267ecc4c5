package recipe

import (
	"hash/crc32"
	"sync"
)

// A fine list is a chunk cut again, by the same rolling hash at about 1 KiB. Whoever lacks a chunk but has
// bytes that look like it compares the list with his own bytes, and needs only the sub-chunks that are
// not there. A list is made when somebody asks for it; it is not part of a recipe.
//
// A sub-chunk is told by its length and the first 8 bytes of its hash. That proves nothing: what is put
// together from sub-chunks counts only if its hash is the chunk's id.
//
// An edit of a few bytes spoils a sub-chunk, often two. So a list also has a short sum for each FineBlock bytes of the
// chunk. They are compared only where the sub-chunks beside, or the ends of a stretch, show what should lie there.

// FineList is what a chunk is made of.
type FineList struct {
	Entries []FineEntry // its sub-chunks, in order; their lengths sum up to the chunk's
	Blocks  []uint16    // BlockSum of each FineBlock bytes; the last block may be shorter
}

// FineEntry is one sub-chunk of a fine list.
type FineEntry struct {
	Sum [8]byte // the first bytes of its hash
	Len uint16  // its bytes: 512 to 4096, the last of a list 1 to 4096
}

// Sizes of sub-chunks, in bytes. The last one of a list may be shorter than MinFine.
const (
	MinFine     = 512
	MaxFine     = 4 << 10
	fineAvgBits = 9
)

// FineBlock is the bytes of a block of a fine list.
const FineBlock = 128

// FineBlocks is how many blocks a chunk of n bytes has.
func FineBlocks(n int) int { return (n + FineBlock - 1) / FineBlock }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BlockSum is the sum of a block: the lower 16 bits of its CRC-32C. One in 65 536 other blocks has the same.
func BlockSum(block []byte) uint16 { return uint16(crc32.Checksum(block, castagnoli)) }

// FineListOf is the fine list of a chunk. It panics if h is not valid.
func FineListOf(h Hash, chunk []byte) FineList {
	l := FineList{Entries: Fine(h, nil, chunk), Blocks: make([]uint16, 0, FineBlocks(len(chunk)))}
	for len(chunk) > 0 {
		n := min(FineBlock, len(chunk))
		l.Blocks = append(l.Blocks, BlockSum(chunk[:n]))
		chunk = chunk[n:]
	}
	return l
}

// Bytes is how long the chunk is.
func (l FineList) Bytes() int64 {
	n := int64(0)
	for _, e := range l.Entries {
		n += int64(e.Len)
	}
	return n
}

// fineProfile cuts fine lists, whatever profile cut the chunks.
var fineProfile = Profile{Name: "fine", Polynomial: Rabin16.Polynomial, Min: MinFine, AvgBits: fineAvgBits, Max: MaxFine}

var fineCutter = sync.OnceValue(func() *Cutter {
	c, err := NewCutter(fineProfile)
	if err != nil {
		panic(err)
	}
	return c
})

// Fine appends the sub-chunks of data to dst, in order; their lengths sum up to that of data.
// Data that begins elsewhere but holds the same bytes gets the same entries for them, from the first
// common cut on to the last. It panics if h is not valid.
func Fine(h Hash, dst []FineEntry, data []byte) []FineEntry {
	cutter := fineCutter()
	for len(data) > 0 {
		n := cutter.Next(data)
		dst = append(dst, FineEntry{Sum: fineSum(h, data[:n]), Len: uint16(n)})
		data = data[n:]
	}
	return dst
}

func fineSum(h Hash, data []byte) (sum [8]byte) {
	id := h.Chunk(data)
	copy(sum[:], id[:])
	return sum
}
