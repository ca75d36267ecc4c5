package recipe

import "sync"

// A fine list is a chunk cut again, by the same rolling hash at about 1 KiB. Whoever lacks a chunk but has
// bytes that look like it compares the list with his own bytes, and needs only the sub-chunks that are
// not there. A list is made when somebody asks for it; it is not part of a recipe.
//
// A sub-chunk is told by its length and the first 8 bytes of its hash. That proves nothing: what is put
// together from sub-chunks counts only if its hash is the chunk's id.

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

// fineProfile cuts fine lists, whatever profile cut the chunks.
var fineProfile = Profile{Name: "fine", Polynomial: Rabin16.Polynomial, Min: MinFine, AvgBits: fineAvgBits, Max: MaxFine}

var fineCutter = sync.OnceValue(func() *Cutter {
	c, err := NewCutter(fineProfile)
	if err != nil {
		panic(err)
	}
	return c
})

// Fine appends the fine list of data to dst: its sub-chunks in order, whose lengths sum up to that of data.
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
