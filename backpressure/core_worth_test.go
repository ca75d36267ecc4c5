package backpressure

import (
	"math/rand/v2"
	"testing"
)

// "With an extremely fast sender and network, dsync transfers all data over the network instead of
// transferring the data more slowly from the receiver's local disk; with a slow network, it will
// aggressively search the receiver's disk for even a few chunks of useful data."
func TestWorth(t *testing.T) {
	slice := Offer{Cost: 0.08, Useful: 8 * mib, Units: 8 * mib} // 8 MiB at 100 MB/s, all useful
	rare := slice
	rare.Useful = 80 << 10 // a hundredth useful
	for _, tt := range []struct {
		name  string
		offer Offer
		rate  float64
		queue int64
		quiet float64
		want  bool
	}{
		{"T1", slice, 190e3, 0, 0, true},
		{"T1, a few chunks", rare, 190e3, 0, 0, true},
		{"LAN", slice, 1e9, 0, 0, false},
		{"LAN, a few chunks", rare, 1e9, 1e9, 0, false},
		{"LAN, chunks far down the queue", slice, 1e9, 1e9, 0, true},
		{"unknown, dearer than a LAN", slice, -1, 1e9, 0, false},
		{"unknown, cheaper than a LAN", Offer{Cost: 0.02, Useful: 8 * mib, Units: 8 * mib}, -1, 1e9, 0, true},
		{"unknown, a few chunks", rare, -1, 1e9, 0, false},
		{"no network", rare, 0, 0, 0, true},
		{"before the network can bring anything", rare, -1, 0, 0.1, true},
		{"not done when the network begins", rare, -1, 0, 0.05, false},
		{"nothing useful", Offer{Cost: 0.08, Units: 8 * mib}, 190e3, 1e9, 0, false},
		{"nothing useful, no network", Offer{Cost: 0.08, Units: 8 * mib}, 0, 0, 0, true},
	} {
		o := tt.offer
		o.Quiet = tt.quiet
		o.Rate, o.Queue = tt.rate, tt.queue
		var w Worth
		v := w.Allow(start, o)
		checkVerdict(t, start, v)
		if v.Allow != tt.want {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
}

// A cheaper, more useful operation, a slower network or a longer queue never turns yes into no.
func TestWorthIsMonotonic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		o := Offer{Cost: rng.Float64(), Useful: rng.Int64N(mib), Units: rng.Int64N(8 * mib), Queue: rng.Int64N(1 << 30), Rate: 1 + rng.Float64()*1e9}
		var a, b Worth
		v := a.Allow(start, o)
		checkVerdict(t, start, v)
		better := o
		switch rng.IntN(4) {
		case 0:
			better.Cost *= rng.Float64()
		case 1:
			better.Useful += rng.Int64N(mib)
		case 2:
			better.Rate = 1 + better.Rate*rng.Float64()
		case 3:
			better.Queue *= 2
		}
		if v.Allow && better.Rate <= o.Rate && !b.Allow(start, better).Allow {
			t.Fatalf("yes to %+v, no to %+v", o, better)
		}
	}
}

// A rate that wavers by a few percent about the price does not switch the search on and off.
func TestWorthDoesNotOscillate(t *testing.T) {
	var w Worth
	flips, was := 0, true
	for i := range 1000 {
		o := Offer{Cost: 1, Useful: 1e6, Rate: 1e6 * (1 + 0.04*float64(i%3-1))}
		if v := w.Allow(start, o); v.Allow != was {
			was = v.Allow
			flips++
		}
	}
	if flips > 1 {
		t.Errorf("%d changes", flips)
	}
}
