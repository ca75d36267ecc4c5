package fetch

import (
	"math/rand/v2"
	"testing"
)

// Numbers of ids come back, whatever is left out on either side; a long listing takes one entry.
func TestNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var s numbers
	want := map[uint32]uint32{}
	for id, number := uint32(0), uint32(7); id < 5000; id, number = id+1, number+1 {
		if rng.IntN(100) == 0 {
			number += rng.Uint32N(50) // not kept by the cost model
		}
		s.set(id, number)
		want[id] = number
	}
	for id, number := range want {
		if got := s.of(id); got != number {
			t.Fatalf("id %d has number %d, want %d", id, got, number)
		}
	}
	if len(s.runs) > 100 {
		t.Errorf("%d runs for about 50 jumps", len(s.runs))
	}
}
