package fetch

import (
	"time"

	"dfetch/costmodel"
)

// hashed takes in the end of a slice of a file.
func (c *Core) hashed(now time.Time, ev Event) {
	s := c.search
	c.worked(ev)
	if ev.Late > 0 {
		s.passed(ev.Group, ev.First)
	}
	if r, ok := s.take(costmodel.OpHash, ev.ID); ok {
		if !ev.Stalled {
			c.compareWhole(r.op, ev)
		}
		s.end(now, r, ev)
	}
}

// worked takes in what reading and hashing took.
func (c *Core) worked(ev Event) {
	if ev.Stalled {
		return // it tells nothing of what a byte takes
	}
	c.cpu.Hashed(ev.Spent, ev.Units)
	c.search.crowd.ended(ev, c.inflight > 0)
}

// ended takes in the end of an operation other than a listing.
func (s *search) ended(now time.Time, kind costmodel.OpKind, ev Event) {
	if r, ok := s.take(kind, ev.ID); ok {
		s.end(now, r, ev)
	}
}

// end takes in the end of an operation that is no longer among those under way.
func (s *search) end(now time.Time, r running, ev Event) {
	if r.late {
		s.planner.OnTime(r.op)
	}
	if ev.Stalled {
		s.batchEnded(now, r, 0)
		s.planner.Abandoned(now, r.op, ev.Failed)
		return
	}
	s.progress = now
	if !r.late {
		s.abreast.ended(now, ev.Seconds, s.active())
	}
	if r.op.Kind != costmodel.OpCheck { // sweeps are not in the plan, and others with what they should take
		s.hold.ended += min(ev.Seconds, r.op.Cost)
	}
	s.batchEnded(now, r, diskTime(ev))
	res := costmodel.Result{Seconds: ev.Seconds, Units: ev.Units, Found: ev.Found, Late: ev.Late, Failed: ev.Failed}
	if ev.Cached {
		res.Residency = costmodel.Cached
	}
	s.planner.Done(r.op, res)
}

// diskTime is how long an operation kept the disk busy: what lies in memory takes none of it.
func diskTime(ev Event) time.Duration {
	if ev.Cached {
		return 0
	}
	return time.Duration(ev.Seconds * float64(time.Second))
}
