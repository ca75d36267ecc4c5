package diskscan

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"dfetch/recipe"
)

// Of what was read, the chunks that are what they should be stay, with their bytes, and the others are counted.
func TestSiftLeavesTheRightChunks(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		buf := make([]byte, 0, 1<<16)
		var group []Chunk
		var want []byte
		var wantC []Chunk
		off := int64(0)
		for range 1 + r.IntN(20) {
			n := 1 + r.IntN(3000)
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			c := Chunk{ID: recipe.BLAKE3.Chunk(b), Offset: off, Len: n}
			off += int64(n)
			if r.IntN(3) == 0 {
				b[r.IntN(n)] ^= 1
			} else {
				want, wantC = append(want, b...), append(wantC, c)
			}
			group = append(group, c)
			buf = append(buf, b...)
		}
		p := &pass{d: &Disk{}, run: &Run{}}
		p.d.cfg.Hash = recipe.BLAKE3
		f := &Found{Data: buf, buf: buf[:0]}
		p.verify(f, group)
		if !bytes.Equal(f.Data, want) || len(f.Chunks) != len(wantC) || p.res.Stale != len(group)-len(wantC) {
			t.Fatalf("seed %d: %d chunks of %d bytes, want %d of %d; %d stale", seed, len(f.Chunks), len(f.Data), len(wantC), len(want), p.res.Stale)
		}
		for i := range wantC {
			if f.Chunks[i] != wantC[i] {
				t.Fatalf("seed %d chunk %d", seed, i)
			}
		}
	}
}
