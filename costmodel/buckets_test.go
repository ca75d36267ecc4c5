package costmodel

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the hashes, a chain has the elements whose hashes end alike, in the order in which they came.
func TestBucketsHoldAll(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b buckets
	var hashes, nexts []uint32
	after := func(e uint32) (*uint32, uint32) { return &nexts[e-1], hashes[e-1] }
	for n := range 5000 {
		if n%3 == 0 {
			b.grow(after)
		}
		hashes, nexts = append(hashes, uint32(rng.IntN(1<<(1+n%20)))), append(nexts, 0)
		head := b.of(hashes[n])
		nexts[n], *head = *head, uint32(n+1)
		if n%97 != 0 {
			continue
		}
		for e := range n + 1 {
			var chain []uint32
			for at := *b.of(hashes[e]); at != 0; at = nexts[at-1] {
				chain = append(chain, at)
			}
			if !slices.Contains(chain, uint32(e+1)) {
				t.Fatalf("%d elements: %d is not in its chain", n+1, e+1)
			}
			if !slices.IsSortedFunc(chain, func(a, b uint32) int { return int(b) - int(a) }) {
				t.Fatalf("%d elements: chain %d is not the newest first", n+1, chain)
			}
		}
	}
}
