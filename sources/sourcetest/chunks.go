package sourcetest

import (
	"math/rand/v2"

	"dfetch/recipe"
	"dfetch/sources"
)

// Chunks is the content of a transfer: n chunks with ordinals from 0 on.
type Chunks struct {
	Wants []sources.Want
	data  []byte
	at    []int // where each chunk starts in data
}

// NewChunks makes n chunks of 1 byte to 32 KiB. Equal seeds make equal chunks.
func NewChunks(seed uint64, n int) *Chunks {
	rng := rand.New(rand.NewPCG(seed, 0))
	c := new(Chunks)
	for i := range n {
		size := 1 + rng.IntN(32<<10)
		c.at = append(c.at, len(c.data))
		for range (size + 7) / 8 {
			v := rng.Uint64()
			c.data = append(c.data, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
		}
		c.data = c.data[:c.at[i]+size]
		id := recipe.BLAKE3.Chunk(c.data[c.at[i]:])
		c.Wants = append(c.Wants, sources.Want{Ordinal: uint64(i), ID: id, Len: uint32(size)})
	}
	return c
}

// Patched is the wants with patches: of each chunk of two bytes or more, one to four random spans are missing.
// A patch's Fill calls fill with what it made of the chunk; what fill returns is its error.
func (c *Chunks) Patched(seed uint64, fill func(ordinal uint64, chunk []byte) error) []sources.Want {
	rng := rand.New(rand.NewPCG(seed, 2))
	wants := append([]sources.Want(nil), c.Wants...)
	for i := range wants {
		w := &wants[i]
		if w.Len < 2 {
			continue
		}
		w.Patch = &sources.Patch{Missing: someSpans(rng, w.Len), Fill: func(chunk []byte) error {
			copy(chunk, c.Data(w.Ordinal))
			for _, s := range w.Patch.Missing {
				clear(chunk[s.Off : s.Off+s.Len])
			}
			return fill(w.Ordinal, chunk)
		}}
	}
	return wants
}

// someSpans is one to four spans within n bytes, not all of them.
func someSpans(rng *rand.Rand, n uint32) []sources.Span {
	var spans []sources.Span
	for at, count := uint32(0), 1+rng.IntN(4); len(spans) < count && at < n-1; {
		s := sources.Span{Off: at + rng.Uint32N(n-1-at)}
		s.Len = 1 + rng.Uint32N(n-1-s.Off)
		spans = append(spans, s)
		at = s.Off + s.Len
	}
	return spans
}

// Data is the bytes of a chunk. They must not be modified.
func (c *Chunks) Data(ordinal uint64) []byte {
	from := c.at[ordinal]
	return c.data[from : from+int(c.Wants[ordinal].Len)]
}

// Bytes is the length of all chunks together.
func (c *Chunks) Bytes() int64 { return int64(len(c.data)) }
