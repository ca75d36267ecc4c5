package fetch

import (
	"time"

	"dfetch/backpressure"
)

// machine takes in what is known of the disk, the processor and the writer.
func (c *Core) machine(now time.Time, ev Event) {
	if ev.Disk != nil {
		c.disk.Sample(now, *ev.Disk)
		c.disk.Writeback(ev.Writeback)
	}
	if ev.CPU != nil {
		c.cpu.Sample(now, *ev.CPU, c.brought, c.netRate(now))
	}
	if ev.Writer != nil {
		c.disk.Writer(now, *ev.Writer)
	}
}

// mayPlan says whether planning may be a part of the next decision. Only of such a one does it matter how long it takes.
func (c *Core) mayPlan(now time.Time) bool {
	s := c.search
	return s != nil && c.nearest() != nil && (!s.opened || c.unasked > 0 && c.cpu.AllowPlan(now).Allow)
}

// decided takes in how long a decision took, if planning was a part of it.
func (c *Core) decided(now time.Time, ev Event) {
	if c.search != nil && c.search.justPlanned {
		c.search.justPlanned = false
		c.cpu.Planned(now, time.Duration(ev.Seconds*float64(time.Second)))
	}
}

// mayRequest says whether the disk can take more of what the network would bring, and notes when to
// ask again if not.
func (c *Core) mayRequest(now time.Time) bool {
	c.disk.Inflight(c.inflight)
	v := c.disk.Allow(now, backpressure.Sender)
	c.requestAt = v.Again
	return v.Allow
}
