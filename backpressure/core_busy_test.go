package backpressure

import (
	"testing"
	"time"
)

func TestSearchGivesWayToAFastNetwork(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCPU(CPUConfig{Cores: 2})
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
