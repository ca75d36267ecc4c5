package fetch

import (
	"math"
	"time"

	"dfetch/costmodel"
)

// When nearly all files that were hashed had something that is wanted, the disk probably has an older version of
// the whole tree, and the search is trusted to bring the rest as well: files that a plan does not reach, and
// those that no listing has shown yet. They are left to it as long as it will be through before the network
// could bring what is missing. The network is then asked for less than it could bring beside the disk. That
// costs a part of the time that the search takes, and saves all that would come in vain. It ends with
// a few files that have nothing though they were likely to; unlikely ones tell less.
//
// How soon the disk will be through counts from now, not from the last plan; with as many operations at a time as it does
// (core_pace.go); and as if the network left it the processor, since it is the network that is held back. A path that still
// gets faster is taken to do so to the end: what the disk brings before that could is no loss. How fast one that does not is
// counts over many spans. While most is held back, or the path still opens, it is asked for no more than shows how fast it is: most of
// that comes in vain, and what opens a path as fast as it can be opened keeps a slow one busy for long.

// Bounds of trust.
const (
	surely      = 0.9                    // probability of what counts as certain
	likely      = 0.5                    // the same where the processor does better without the network
	aheadOf     = 2                      // times that the disk must be faster than the network
	aheadBehind = 4                      // and so many times more for a file that the network can take from its end
	trustPause  = 250 * time.Millisecond // without a chunk from the disk ends it
	slowedBy    = 1.5                    // times as long the search may seem to take while the network takes its processor
	mostBarren  = 64                     // directories in a row that show nothing wanted end it for files not seen yet
)

// trust is what is known, since the last decision, of what is trusted to the search.
type trust struct {
	sure     float64 // probability of what counts as certain
	later    float64 // seconds for the files that wait behind the plan
	certain  bool    // one that the network could take from its end
	lists    bool    // directories wait to be listed, and are worth it
	unplaced int     // groups for which no file has been seen
}

// trusts says whether a group that a plan brings with probability p, after some seconds, is left to the search.
func (s *search) trusts(g *group, p, seconds float64) bool {
	if h := &s.hold; h.sure == surely && s.behind.on && s.groups[s.behind.group].id == g.id {
		sure := p >= s.hold.sure && seconds < s.hold.ahead/aheadBehind
		s.hold.certain = s.hold.certain || sure
		return sure
	}
	return seconds < s.hold.ahead && (p >= s.hold.sure || p > 0 && s.planner.Lucky() && s.planner.Namesake(g.id))
}

// trusting says whether the search is trusted with more than the next few operations.
func (s *search) trusting() bool { return s.planner.Lucky() || s.hold.certain }

// beCareful has paths asked for little while most of what was never asked for is left to a search in luck, or a path still
// gets faster beside it.
func (c *Core) beCareful(now time.Time) {
	s := c.search
	careful := s != nil && c.unasked > 0 && s.planner.Lucky() && now.Before(s.heldUntil())
	for i := range c.sources {
		path := &c.sources[i].path
		path.BeCareful(careful && (path.Opening() || 2*s.hold.chunks >= c.unasked))
	}
}

// trustsLater is trusts for a group of which the plan knows nothing.
func (s *search) trustsLater(g *group) bool {
	h := &s.hold
	if !s.planner.Placed(g.id) {
		h.unplaced++
		return h.lists && s.barren < mostBarren && s.through(s.planner.Planned()+h.later) < h.ahead
	}
	p, cost := s.planner.Later(g.id)
	h.later += cost
	return s.trusts(g, p, s.through(s.planner.Planned()+h.later))
}

// through is after how many seconds from now the disk will be through with operations that took so many together when
// the last decision was made.
func (s *search) through(seconds float64) float64 {
	return max(0, seconds-s.hold.ended) * s.hold.alone / s.abreast.times()
}

// setBounds decides how long things may be held back.
func (c *Core) setBounds(now time.Time) {
	s := c.search
	h := &s.hold
	*h = hold{decided: len(s.groups), drain: c.leastDrain(), alone: c.alone(), trust: trust{sure: surely}}
	h.longest = c.longestHold(h.drain)
	rate := c.netRate(now)
	if h.ahead = c.ahead(c.meanRate(now)); c.cpu.SearchAlone() && rate > 0 {
		h.sure, h.certain = likely, true
		return
	}
	if h.ahead > 0 && h.longest > 0 {
		_, h.lists = s.listingWorth(now, c, rate)
	}
}

// ahead is within how many seconds the disk must be through with what is trusted to it, beside a network of that rate.
func (c *Core) ahead(rate float64) float64 {
	near := c.nearest()
	alone := float64(c.wantedBytes) / rate
	switch {
	case rate <= 0 || near == nil:
		return 0
	case c.cpu.SearchAlone():
		return slowedBy * alone
	case c.search.hold.longest == 0:
		least := leastAlone(float64(c.wantedBytes), rate, max(near.path.MinRTT(), time.Microsecond))
		if c.cfg.MaxRate > 0 {
			least = max(least, float64(c.wantedBytes)/c.cfg.MaxRate)
		}
		return least
	}
	return alone / aheadOf
}

// decideYoung decides what is held back of the groups that came after the last decision.
func (c *Core) decideYoung(now time.Time) {
	s := c.search
	if s.refused || !s.planner.Lucky() || !now.Before(s.heldUntil()) {
		return
	}
	s.hold.drain = c.leastDrain()
	s.hold.longest = c.longestHold(s.hold.drain)
	s.hold.ahead = c.ahead(c.meanRate(now))
	s.hold.alone = c.alone()
	for i := s.hold.decided; i < len(s.groups); i++ {
		g := &s.groups[i]
		s.holdIfWorth(g)
	}
	s.hold.decided = len(s.groups)
}

// listingWorth is the best listing, if the search is in luck and it is worth it.
func (s *search) listingWorth(now time.Time, c *Core, rate float64) (costmodel.Op, bool) {
	if !s.planner.Lucky() {
		return costmodel.Op{}, false
	}
	op, ok := s.planner.NextStat()
	if !ok || math.IsInf(op.CPC, 1) {
		return op, false
	}
	worth, o := s.worth, s.offer(now, c, op, rate)
	return op, c.cpu.AllowSearch(now, o).Allow && worth.Allow(now, o).Allow
}

// leastAlone is how many seconds a network needs at least for some bytes, if it brings rate bytes a second by now and gets
// faster with each round trip: it may bring twice as much in each to the end.
func leastAlone(bytes, rate float64, rtt time.Duration) float64 {
	return rtt.Seconds() * math.Log2(1+bytes/(rate*rtt.Seconds()))
}

// alone is what the disk needs for what it has to do once the network is asked for no more, as a part of what that takes
// at present.
func (c *Core) alone() float64 {
	if c.inflight == 0 {
		return 1
	}
	return c.search.crowd.alone()
}
