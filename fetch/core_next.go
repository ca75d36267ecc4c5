package fetch

import (
	"slices"
	"time"
)

// Next gives the decisions that the events so far call for, and when to ask again at the latest; the
// zero time means not before the next event.
func (c *Core) Next(now time.Time) (actions []Action, wake time.Time) {
	c.expire(now)
	c.refill(now)
	if c.search != nil {
		c.search.justPlanned = false
	}
	again := c.searchNext(now)
	c.compareDue()
	c.reorder(now)
	overdue := c.zoomLate(now)
	c.zoomNext(now)
	late := c.releaseLate(now)
	opening := c.opening(now)
	c.holdYoung(now)
	c.beCareful(now)
	for opening.IsZero() && c.tokens > 0 && c.mayRequest(now) {
		id, ok := c.bestSource(now)
		if !ok || !c.ask(now, id) {
			break
		}
	}
	c.endgame(now)
	actions, c.actions = c.actions, nil
	again = earlier(earlier(earlier(c.requestAt, overdue), again), earlier(opening, earlier(late, c.lookAgain(now))))
	return actions, earlier(c.nextDeadline(), again)
}

// earlier is the first of two times, of which the zero time is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// refill adds what MaxRate allows since the last time, up to a tenth of a second's worth.
func (c *Core) refill(now time.Time) {
	if c.cfg.MaxRate == 0 {
		c.tokens = 1
		return
	}
	if !c.filledAt.IsZero() {
		c.tokens += c.cfg.MaxRate * now.Sub(c.filledAt).Seconds()
	}
	c.tokens = min(c.tokens, max(c.cfg.MaxRate/10, 1))
	c.filledAt = now
}

// slice is the size of one request: small enough to be spread over sources, large enough to be cheap.
func (s *source) slice(cfg CoreConfig) int64 {
	n := min(s.path.Limit()/4, 1<<20)
	if cfg.MaxRate > 0 {
		n = min(n, int64(cfg.MaxRate/20))
	}
	return max(n, 16<<10)
}

// bestSource is the source that would finish another request first, among those with room for one.
func (c *Core) bestSource(now time.Time) (SourceID, bool) {
	best, found := SourceID(0), false
	var bestTime time.Duration
	for i := range c.sources {
		s := &c.sources[i]
		want := s.slice(c.cfg)
		if !s.askable() || s.idle || !s.path.Allow(now, want-s.coming(want)).Allow || c.inflight+want > c.cfg.MaxInflight {
			continue
		}
		if t := s.path.Finish(want); !found || t < bestTime {
			best, bestTime, found = SourceID(i), t, true
		}
	}
	return best, found
}

func (s *source) askable() bool { return s.up && !s.dropped }

// coming is how much of the outstanding bytes may have come already, beyond a slice: those of a long chunk that is
// next to arrive. It counts as outstanding until it is whole, and alone may fill a small window.
func (s *source) coming(slice int64) int64 {
	if len(s.leases) == 0 || s.leases[0].left > 1 {
		return 0
	}
	return max(0, s.leases[0].last-slice)
}

// ask leases the next chunks to a source. It says false when no source could be given anything.
func (c *Core) ask(now time.Time, id SourceID) bool {
	s := &c.sources[id]
	p := c.pick(now, id, s.slice(c.cfg))
	if p.chunks == 0 {
		s.idle = true // until something is queued
		s.path.Satisfied()
		return c.anyBusy()
	}
	c.lease(now, id, p)
	return true
}

// anyBusy says whether a source is left that has not been found to have nothing to do.
func (c *Core) anyBusy() bool {
	for i := range c.sources {
		if c.sources[i].askable() && !c.sources[i].idle {
			return true
		}
	}
	return false
}

// picked is chunks for one request.
type picked struct {
	ranges        []Range
	chunks, bytes int64
	last          int64 // bytes of the last one
}

func (p *picked) add(ch *chunk) {
	p.ranges = appendOrdinal(p.ranges, ch.ordinal)
	p.chunks++
	p.last = ch.bytes()
	p.bytes += p.last
}

func (c *Core) lease(now time.Time, id SourceID, p picked) {
	s := &c.sources[id]
	s.path.Asked(now, p.bytes)
	c.inflight += p.bytes
	if c.cfg.MaxRate > 0 {
		c.tokens -= float64(p.bytes)
	}
	expect := s.path.Finish(0)
	s.leases = append(s.leases, lease{
		ranges: p.ranges, left: p.chunks, last: p.last, deadline: now.Add(max(4*expect, c.cfg.MinLease)),
	})
	c.actions = append(c.actions, Action{Kind: ActRequest, Source: id, Ranges: p.ranges})
}

// pick marks up to limit bytes of chunks as held by a source: those that came back first, then the
// never asked in recipe order. One chunk is always taken if there is one. Those that are held back are left.
func (c *Core) pick(now time.Time, id SourceID, limit int64) (p picked) {
	bit := uint64(1) << id
	take := func(ch *chunk) {
		ch.held |= bit
		if !ch.asked {
			ch.asked = true
			c.nowAsked(ch)
		}
		p.add(ch)
	}
	c.pickAgain(bit, limit, &p.bytes, take)
	if c.search != nil {
		c.pickPassed(now, limit, &p.bytes, take)
		c.pickOrdered(now, limit, &p.bytes, take)
		c.pickBehind(now, limit, &p.bytes, take)
	}
	at, holding := &c.fresh, c.search.holding(now)
	if holding {
		c.scan = max(c.scan, c.fresh)
		at = &c.scan
	}
	for ; *at < len(c.chunks) && p.bytes < limit; *at++ {
		if ch := &c.chunks[*at]; ch.fresh() && !c.heldBack(now, ch, holding) {
			take(ch)
		}
	}
	return p
}

// pickAgain takes chunks of the queue of those that were asked before, up to the limit, and drops the settled
// ones on the way.
func (c *Core) pickAgain(bit uint64, limit int64, bytes *int64, take func(*chunk)) {
	if len(c.again) == 0 {
		return
	}
	slices.Sort(c.again)
	kept := c.again[:0]
	for i, ord := range c.again {
		if *bytes >= limit {
			kept = append(kept, c.again[i:]...)
			break
		}
		ch := c.at(ord)
		switch {
		case ch == nil:
		case ch.state != chunkWanted:
			ch.queued = false
		case (ch.held|ch.tried)&bit != 0 || c.zooming(ch) || ch.promised > 0:
			kept = append(kept, ord)
		default:
			ch.queued = false
			take(ch)
		}
	}
	c.again = kept
}

// expire opens the chunks of overdue leases to other sources. The lease itself stays: the bytes may
// still come.
func (c *Core) expire(now time.Time) {
	for i := range c.sources {
		s := &c.sources[i]
		s.idle = false
		s.path.Satisfied()
		for j := range s.leases {
			l := &s.leases[j]
			if l.expired || now.Before(l.deadline) {
				continue
			}
			l.expired = true
			c.each(l.ranges, func(ch *chunk) {
				if ch.state == chunkWanted && ch.held&(1<<i) != 0 {
					c.enqueue(ch)
				}
			})
		}
	}
}

// endgame gives a source with nothing to do the last open lease of a slower one as well, if it would
// end it sooner.
func (c *Core) endgame(now time.Time) {
	if !c.planDone || c.unasked > 0 {
		return
	}
	for i := range c.sources {
		s := &c.sources[i]
		if !s.askable() || s.path.Outstanding() > 0 {
			continue
		}
		slow := c.slowest(SourceID(i))
		if slow == nil || slow.path.Finish(0) < 2*s.path.Finish(min(slow.path.Outstanding(), s.slice(c.cfg))) {
			continue
		}
		last := slow.leases[len(slow.leases)-1]
		c.duplicate(now, SourceID(i), last.ranges)
	}
}

// slowest is the source, other than id, whose queue will be empty last.
func (c *Core) slowest(id SourceID) *source {
	var slow *source
	for i := range c.sources {
		s := &c.sources[i]
		if SourceID(i) == id || len(s.leases) == 0 {
			continue
		}
		if slow == nil || s.path.Finish(0) > slow.path.Finish(0) {
			slow = s
		}
	}
	return slow
}

func (c *Core) duplicate(now time.Time, id SourceID, rs []Range) {
	bit := uint64(1) << id
	var p picked
	limit := c.sources[id].slice(c.cfg)
	c.each(rs, func(ch *chunk) {
		if ch.state == chunkWanted && (ch.held|ch.tried)&bit == 0 && p.bytes < limit {
			ch.held |= bit
			p.add(ch)
		}
	})
	if p.chunks > 0 {
		c.lease(now, id, p)
	}
}

func (c *Core) nextDeadline() time.Time {
	var wake time.Time
	if c.tokens <= 0 && c.wanted > 0 {
		wait := (1 - c.tokens) / c.cfg.MaxRate * float64(time.Second)
		wake = c.filledAt.Add(time.Duration(wait) + time.Millisecond)
	}
	for i := range c.sources {
		for _, l := range c.sources[i].leases {
			if !l.expired && (wake.IsZero() || l.deadline.Before(wake)) {
				wake = l.deadline
			}
		}
	}
	return wake
}
