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

func TestSearchGivesWayToAFastNetwork(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCPU(CPUConfig{})
	if v := c.AllowSearch(now, 500e6); !v.Allow {
		t.Error("refused though nothing is known of the processor")
	}
	c.Sample(now, CPUSample{Idle: 0, Total: 0})
	now = now.Add(time.Second)
	c.Sample(now, CPUSample{Idle: 5, Total: 100})
	if v := c.AllowSearch(now, 500e6); v.Allow || v.Reason == "" || !v.Again.After(now) {
		t.Errorf("busy processor, fast network: %+v", v)
	}
	if v := c.AllowSearch(now, 1e6); !v.Allow {
		t.Errorf("busy processor, slow network: %+v", v)
	}
	for i := range int64(20) {
		now = now.Add(time.Second)
		c.Sample(now, CPUSample{Idle: 5 + 90*(i+1), Total: 100 * (i + 2)})
	}
	if v := c.AllowSearch(now, 500e6); !v.Allow {
		t.Errorf("idle again: %+v", v)
	}
}
