package tree

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestExtentsAgainstBits compares the set with one bool per byte.
func TestExtentsAgainstBits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var set extents
		var bits [64]bool
		for range 20 {
			e := Extent{rng.Int64N(60), rng.Int64N(5)}
			if before := set.without(e).bytes(); before != missing(bits[:], e) {
				t.Fatalf("%v without %v: %d bytes", set, e, before)
			}
			set.add(e)
			for i := e.Off; i < e.end(); i++ {
				bits[i] = true
			}
			checkBits(t, set, bits[:])
			probe := Extent{rng.Int64N(60), 1 + rng.Int64N(4)}
			if got := set.has(probe); got != (missing(bits[:], probe) == 0) {
				t.Fatalf("%v has %v: %v", set, probe, got)
			}
		}
	}
}

func missing(bits []bool, e Extent) (n int64) {
	for i := e.Off; i < e.end(); i++ {
		if !bits[i] {
			n++
		}
	}
	return n
}

func checkBits(t *testing.T, set extents, bits []bool) {
	t.Helper()
	got := make([]bool, len(bits))
	for i, e := range set {
		if e.Len <= 0 || i > 0 && set[i-1].end() >= e.Off {
			t.Fatalf("not a set: %v", set)
		}
		for k := e.Off; k < e.end(); k++ {
			got[k] = true
		}
	}
	if !slices.Equal(got, bits) {
		t.Fatalf("%v is not %v", set, bits)
	}
}
