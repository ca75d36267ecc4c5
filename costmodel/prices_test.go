package costmodel

import (
	"math/rand/v2"
	"testing"
)

// Kept prices are those that would be worked out anew, whatever was measured, wanted or brought in between.
func TestKeptPricesArePresent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	p, g, _ := wantOne(Config{}, "a", 64)
	residency := func() Residency { return []Residency{Cold, Cached}[rnd.IntN(2)] }
	for i := range 3000 {
		dev := Device(rnd.IntN(3))
		switch rnd.IntN(6) {
		case 0:
			p.costs.ObserveStat(dev, rnd.IntN(500), rnd.Float64()*1e-2)
		case 1:
			p.costs.ObserveRead(dev, residency(), rnd.Int64N(8<<20), rnd.Float64()*1e-1)
		case 2:
			p.Want(g, 1, rnd.Int64N(1<<15)+1)
		case 3:
			p.Arrived(g, 1, 1)
		case 4:
			p.AddSource(SourceFile{Path: NewPath([]string{"d"}, string(rune('a'+i%20))), Size: 1 << 20})
		case 5:
			p.costs.Calibrate(dev, residency(), Rate{PerOp: rnd.Float64()}, Rate{PerUnit: rnd.Float64() * 1e-6})
		}
		for dev := range Device(3) {
			kept := *p.prices(dev)
			if want := p.price(dev, kept.of); kept != want {
				t.Fatalf("step %d, device %d: %+v instead of %+v", i, dev, kept, want)
			}
		}
	}
}

// A file's slices are counted without running over.
func TestSlices(t *testing.T) {
	pr := prices{slice: 8 << 20}
	for bytes, want := range map[int64]float64{0: 0, 1: 1, 8 << 20: 1, 8<<20 + 1: 2, 16 << 20: 2, 1<<63 - 1: 1 << 40} {
		if got := pr.slices(bytes); got != want {
			t.Errorf("%d bytes: %v slices, want %v", bytes, got, want)
		}
	}
}
