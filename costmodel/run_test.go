package costmodel

import (
	"math/rand/v2"
	"testing"
)

// The longest common run is that of trying all places, however often names repeat.
func TestLongestRun(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	path := func() (p []uint64) {
		for range rnd.IntN(12) {
			p = append(p, rnd.Uint64N(3))
		}
		return p
	}
	for range 5000 {
		a, b := path(), path()
		want := 0
		for i := range a {
			for j := range b {
				want = max(want, commonStart(a[i:], b[j:]))
			}
		}
		if got := longestRun(a, b); got != want {
			t.Fatalf("%v and %v: %d, want %d", a, b, got, want)
		}
	}
}
