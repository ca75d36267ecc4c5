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

// Data is the bytes of a chunk. They must not be modified.
func (c *Chunks) Data(ordinal uint64) []byte {
	from := c.at[ordinal]
	return c.data[from : from+int(c.Wants[ordinal].Len)]
}

// Bytes is the length of all chunks together.
func (c *Chunks) Bytes() int64 { return int64(len(c.data)) }
