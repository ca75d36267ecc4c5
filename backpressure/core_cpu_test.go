package backpressure

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Planning takes at most a fiftieth of the time and comes at most ten times a second.
func TestPlanBudget(t *testing.T) {
	for _, took := range []time.Duration{10 * time.Microsecond, time.Millisecond, 50 * time.Millisecond} {
		c := NewCPU(CPUConfig{Cores: 2})
		now, spent, plans := start, time.Duration(0), 0
		for now.Before(start.Add(100 * time.Second)) {
			v := c.AllowPlan(now, false, false)
			checkVerdict(t, now, v)
			if !v.Allow {
				now = v.Again
				continue
			}
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

func TestPlanWaits(t *testing.T) {
	c := NewCPU(CPUConfig{})
	for _, tt := range []struct {
		readable, fed bool
		want          string
	}{{true, false, ReasonReadable}, {false, true, ReasonFed}, {true, true, ReasonReadable}, {false, false, ""}} {
		v := c.AllowPlan(start, tt.readable, tt.fed)
		checkVerdict(t, start, v)
		if v.Reason != tt.want {
			t.Errorf("%+v: got %q", tt, v.Reason)
		}
	}
}

// Hashing leaves a core to network data, and gets it back when none has come for a while.
func TestHashers(t *testing.T) {
	for cores, want := range map[int][2]int{0: {1, 1}, 1: {1, 1}, 2: {1, 2}, 8: {7, 8}} {
		c := NewCPU(CPUConfig{Cores: cores})
		if got := c.Hashers(start); got != want[1] {
			t.Errorf("%d cores, no data: %d", cores, got)
		}
		c.Readable(start)
		if got := c.Hashers(start.Add(quiet - 1)); got != want[0] {
			t.Errorf("%d cores, data: %d", cores, got)
		}
		if got := c.Hashers(start.Add(quiet)); got != want[1] {
			t.Errorf("%d cores, later: %d", cores, got)
		}
	}
}

func TestHashVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	c := NewCPU(CPUConfig{Cores: 4})
	now := start
	for range 2000 {
		now = now.Add(time.Duration(rng.Int64N(1e8)))
		if rng.IntN(3) == 0 {
			c.Readable(now)
		}
		n := rng.IntN(6)
		v := c.AllowHash(now, n)
		checkVerdict(t, now, v)
		if v.Allow != (n < c.Hashers(now)) {
			t.Fatalf("%d hash, %d may: %+v", n, c.Hashers(now), v)
		}
	}
}

// Making data smaller is for idle cores and slow networks.
func TestCompress(t *testing.T) {
	c := NewCPU(CPUConfig{Cores: 2})
	if v := c.AllowCompress(start, true); !v.Allow {
		t.Errorf("unknown processor: %s", v.Reason)
	}
	if v := c.AllowCompress(start, false); v.Allow || v.Reason != ReasonEnough {
		t.Errorf("fast network: %+v", v)
	}
	now := start
	for i := range int64(3) {
		c.Sample(now, CPUSample{Idle: 10 * i, Total: 100 * i})
		now = now.Add(sampleWindow)
	}
	v := c.AllowCompress(now, true)
	checkVerdict(t, now, v)
	if v.Allow || v.Reason != ReasonBusy {
		t.Errorf("a tenth idle: %+v", v)
	}
	c.Sample(now, UnknownCPU)
	if v := c.AllowCompress(now, true); !v.Allow {
		t.Errorf("unknown again: %s", v.Reason)
	}
}
