package fetch

import (
	"math"
	"testing"
	"time"
)

// Two operations of 10 ms that end in 10 ms are abreast; one alone is not, and time with nothing under way does not count.
func TestOperationsAbreast(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, abreastNow := range []int{1, 2} {
		var a abreast
		for range 100 {
			a.began(now)
			now = now.Add(10 * time.Millisecond)
			for i := range abreastNow {
				a.ended(now, 10e-3, abreastNow-1-i)
			}
			now = now.Add(time.Second)
		}
		if got := a.times(); math.Abs(got-float64(abreastNow)) > 0.01 {
			t.Errorf("%.2f instead of %d", got, abreastNow)
		}
	}
}

// One long operation beside many short ones does not make the disk many times as fast.
func TestLongOperationAbreast(t *testing.T) {
	now := time.Unix(1000, 0)
	var a abreast
	a.began(now)
	for range 2000 {
		now = now.Add(5 * time.Millisecond)
		a.ended(now, 5e-3, 1)
	}
	a.ended(now, 10, 0)
	for range 10 {
		now = now.Add(5 * time.Millisecond)
		a.ended(now, 5e-3, 0)
	}
	if got := a.times(); got > 2 {
		t.Errorf("%.1f at a time", got)
	}
}

// What files from memory wait for the processor while the network brings something, the disk will not need once the
// network is held back; what they wait without it, and what a cold disk takes, it will.
func TestWaitingForTheNetworkIsNoWork(t *testing.T) {
	hashed := func(seconds, spent float64, cached bool) Event {
		return Event{Kind: EvHashed, ID: 1 << 20, Seconds: seconds, Spent: spent, Cached: cached, Units: 1000}
	}
	tests := []struct {
		name        string
		quiet, busy Event
		want        float64
	}{
		{"in the network's crowd", hashed(1e-3, 8e-4, true), hashed(4e-3, 8e-4, true), 0.25},
		{"in another crowd", hashed(4e-3, 8e-4, true), hashed(4e-3, 8e-4, true), 1},
		{"on a cold disk", hashed(1e-3, 8e-4, false), hashed(4e-3, 8e-4, false), 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newOldTree(4, 4000).c
			for range 20 {
				c.Step(time.Unix(1000, 0), test.quiet)
			}
			c.inflight = 1 << 20
			for range 20 {
				c.Step(time.Unix(1000, 0), test.busy)
			}
			if got := c.alone(); math.Abs(got-test.want) > 0.01 {
				t.Errorf("%.2f of the time instead of %.2f", got, test.want)
			}
			if c.inflight = 0; c.alone() != 1 {
				t.Error("without the network there is no crowd")
			}
		})
	}
}

// The time until the disk is through counts from now.
func TestThroughCountsFromNow(t *testing.T) {
	s := newOldTree(4, 4000).c.search
	s.hold.ended, s.hold.alone, s.abreast.mean = 1, 0.5, 2
	if got := s.through(4); got != 0.75 {
		t.Errorf("%.2f s instead of 0.75", got)
	}
	if got := s.through(0.5); got != 0 {
		t.Errorf("%.2f s for what has ended", got)
	}
}

// What the disk does at once is through sooner than what its operations take together.
func TestOperationsAtOnceBringTheRestNearer(t *testing.T) {
	o := newOldTree(500, 4000)
	o.until(t, "in luck", o.lucky)
	o.c.search.abreast = abreast{mark: o.now}
	var under []uint32
	for range 100 {
		for _, a := range o.next() {
			switch a.Kind {
			case ActHash:
				under = append(under, a.ID)
			case ActStat:
				o.step(o.listing(a.ID))
			}
		}
		if o.now = o.now.Add(10 * time.Millisecond); len(under) > 0 {
			o.step(Event{Kind: EvHashed, ID: under[0], Seconds: 0.03, Units: o.size, Failed: true})
			under = under[1:]
		}
	}
	if times := o.c.search.abreast.times(); times < 2 || times > 3.5 {
		t.Errorf("operations of 30 ms that end each 10 ms are %.1f at once", times)
	}
}
