package backpressure

import (
	"testing"
	"time"
)

// Planning takes at most a fiftieth of the time and comes at most ten times a second.
func TestPlanBudget(t *testing.T) {
	for _, took := range []time.Duration{10 * time.Microsecond, time.Millisecond, 50 * time.Millisecond} {
		c := NewCPU(CPUConfig{})
		now, spent, plans := start, time.Duration(0), 0
		for now.Before(start.Add(100 * time.Second)) {
			v := c.AllowPlan(now)
			checkVerdict(t, now, v)
			if !v.Allow {
				now = v.Again
				continue
			}
			c.Planned(now, 0)
			now = now.Add(took)
			spent += took
			plans++
			c.Planned(now, took)
		}
		if plans > 1001 || spent > 2*time.Second+took {
			t.Errorf("%v a plan: %d plans, %v of 100 s", took, plans, spent)
		}
		if plans < 35 {
			t.Errorf("%v a plan: only %d plans", took, plans)
		}
	}
}

// What is told later of a plan never brings the next one forward.
func TestPlanBudgetOnlyGrows(t *testing.T) {
	c := NewCPU(CPUConfig{})
	c.Planned(start, 100*time.Millisecond)
	c.Planned(start, time.Microsecond)
	if v := c.AllowPlan(start.Add(4 * time.Second)); v.Allow {
		t.Error("a plan of 100 ms was forgotten")
	}
}

// contest is a machine whose cores, two of them, are all busy while a fast network brings data.
type contest struct {
	cpu     *CPU
	now     time.Time
	ticks   int64
	counts  Counts
	network float64 // seconds of a core for a byte
	hash    float64
}

const fast = 500e6

// run lets time pass. In each window, the cores' time goes to the search by the given share; while the search is alone all of it does.
func (c *contest) run(windows int, share float64) {
	for range windows {
		if c.cpu.SearchAlone() {
			share = 1
		}
		c.now = c.now.Add(sampleWindow)
		c.ticks += 20
		hashed := int64(0.2 * share / c.hash)
		c.counts.Found += hashed
		c.counts.Received += int64(0.2 * (1 - share) / c.network)
		c.cpu.Hashed(0.2*share, hashed)
		c.cpu.Sample(c.now, CPUSample{Total: c.ticks}, c.counts, fast)
	}
}

func newContest(network, hash float64) *contest {
	c := &contest{cpu: NewCPU(CPUConfig{}), now: start, network: network, hash: hash}
	c.cpu.Sample(c.now, CPUSample{}, c.counts, fast)
	return c
}

// half is a slice of a file of which half is wanted.
var half = Offer{Cost: 1, Useful: 4 << 20, Units: 8 << 20, Rate: fast}

// Beside a network that keeps all cores busy, what takes less of the processor for a useful byte goes ahead.
func TestSearchOnABusyProcessor(t *testing.T) {
	for name, tt := range map[string]struct {
		network, hash float64
		allow, alone  bool
	}{
		"hashing is much cheaper":                  {10e-9, 2e-9, true, true},
		"hashing is cheaper, but not a half of it": {2.5e-9, 2e-9, false, false},
		"the network is cheaper":                   {2e-9, 3e-9, false, false},
	} {
		c := newContest(tt.network, tt.hash)
		c.run(5, 0.3)
		if v := c.cpu.AllowSearch(c.now, half); v.Allow != tt.allow {
			t.Errorf("%s: %+v", name, v)
		} else if !v.Allow && (v.Reason != ReasonBusy || !v.Again.After(c.now)) {
			t.Errorf("%s: refusal %+v", name, v)
		}
		if got := c.cpu.SearchAlone(); got != tt.alone {
			t.Errorf("%s: alone is %v", name, got)
		}
	}
}

// What a byte of the network takes is not known before some have come; then the network has precedence, if it is fast.
func TestSearchOnABusyProcessorUnknown(t *testing.T) {
	c := newContest(10e-9, 2e-9)
	if v := c.cpu.AllowSearch(c.now, half); !v.Allow {
		t.Error("refused though nothing is known of the processor")
	}
	c.run(1, 1)
	if v := c.cpu.AllowSearch(c.now, half); v.Allow || c.cpu.SearchAlone() {
		t.Errorf("nothing is known of the network: %+v, alone %v", v, c.cpu.SearchAlone())
	}
	slow := half
	slow.Rate = 1e6
	if v := c.cpu.AllowSearch(c.now, slow); !v.Allow {
		t.Errorf("slow network: %+v", v)
	}
}

// A search that is alone and brings less than the network did is not so for long, and not soon again.
func TestSearchAloneMustBringMore(t *testing.T) {
	c := newContest(10e-9, 2e-9)
	c.run(5, 0.3)
	if !c.cpu.SearchAlone() {
		t.Fatal("not alone")
	}
	for range mostBad {
		c.now = c.now.Add(sampleWindow)
		c.ticks += 20
		c.counts.Found++
		c.cpu.Sample(c.now, CPUSample{Total: c.ticks}, c.counts, fast)
	}
	if c.cpu.SearchAlone() {
		t.Error("alone though it brings nothing")
	}
	c.run(5, 0.3)
	if c.cpu.SearchAlone() {
		t.Error("alone again at once")
	}
	c.run(10, 0.3)
	if !c.cpu.SearchAlone() {
		t.Error("not alone again after a while")
	}
}

func TestSearchOnAnIdleProcessor(t *testing.T) {
	c := newContest(2e-9, 3e-9)
	c.run(5, 0.3)
	if v := c.cpu.AllowSearch(c.now, half); v.Allow {
		t.Error("busy processor, fast network: allowed")
	}
	for i := range int64(20) {
		c.now = c.now.Add(sampleWindow)
		c.ticks += 20
		c.cpu.Sample(c.now, CPUSample{Idle: 18 * (i + 1), Total: c.ticks}, c.counts, fast)
	}
	if v := c.cpu.AllowSearch(c.now, half); !v.Allow {
		t.Errorf("idle again: %+v", v)
	}
	c.cpu.Sample(c.now, UnknownCPU, c.counts, fast)
	if v := c.cpu.AllowSearch(c.now, half); !v.Allow {
		t.Errorf("nothing is known any more: %+v", v)
	}
}
