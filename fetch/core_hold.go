package fetch

import (
	"math"
	"slices"
	"time"

	"dfetch/costmodel"
)

// Chunks that the disk will very likely bring soon are not asked of the network: what would be asked in
// vain keeps the line busy when it is known what is really missing. For a chunk that the disk brings with
// probability p after T seconds, asking saves (1−p)·T on the average, and costs p times what the line
// needs to get rid of what was asked in vain (drain). So it is held back while (1−p)·T < p·drain, but not
// for more than a few drains: a network that is asked for nothing is not known to be fast either.

// Bounds of holding back.
const (
	planPause     = 5 * time.Millisecond  // between two decisions what to hold back, at least
	planParts     = 50                    // of the time, one in so many may go to planning
	maxOpening    = 50 * time.Millisecond // the first look at the disk, before anything is asked; at most two round trips
	openingShare  = 0.1                   // of what the network takes at least, for that look
	firstBytes    = 14600                 // that a path brings in its first round trip; twice as many in each one after
	holdDrains    = 4                     // longer than so many drains nothing is held back
	maxHold       = time.Second           // at most, while nothing ends on the disk
	youngRTTs     = 4                     // a decision that is a round trip divided by this away is near
	holdSlow      = 4                     // times as long as it should, an operation may take
	holdSlack     = 5 * time.Millisecond  // and so much more
	farRTT        = 5 * time.Millisecond  // a nearer source brings the lists before the disk has read anything, as fast as it likes
	promiseDrains = 10                    // at most, for what the disk is known to have
	unsentBytes   = 192 << 10             // that a sender has handed to the system and can't take back
	unsentTime    = 75 * time.Millisecond // of a far path's rate, if that is more
	mostUnsent    = 1 << 20
	drainUnsure   = 2 // round trips to get rid of requests, while the rate is unknown
)

// drain is how long a source's line is busy with what it was asked for in vain and can't be taken back.
func (s *source) drain() time.Duration {
	if s.path.Rate() == 0 {
		return drainUnsure * s.path.MinRTT()
	}
	unsent := int64(unsentBytes)
	if s.path.MinRTT() >= farRTT {
		unsent = min(mostUnsent, max(unsent, int64(unsentTime.Seconds()*s.path.Rate())))
	}
	return s.path.MinRTT() + time.Duration(float64(min(s.path.Want(), unsent))/s.path.Rate()*float64(time.Second))
}

// nearest is the source with the shortest round trip; nil if none is up.
func (c *Core) nearest() *source {
	var near *source
	for i := range c.sources {
		if s := &c.sources[i]; s.askable() && (near == nil || s.path.MinRTT() < near.path.MinRTT()) {
			near = s
		}
	}
	return near
}

// likelyRate is the rate by which a source is judged. Before it was measured it is the most that a far source
// can bring, a window each round trip; 0 for a near one, which may be as fast as it likes.
func (s *source) likelyRate() float64 {
	switch rate := s.path.Rate(); {
	case rate > 0:
		return rate
	case s.path.MinRTT() < farRTT:
		return 0
	}
	return float64(s.path.Want()) / s.path.MinRTT().Seconds()
}

// firstRate is the likely rate of all sources together; negative if that of one is not known.
func (c *Core) firstRate() float64 {
	var sum float64
	for i := range c.sources {
		s := &c.sources[i]
		if !s.askable() {
			continue
		}
		rate := s.likelyRate()
		if rate == 0 {
			return -1
		}
		sum += rate
	}
	return sum
}

// leastDrain is the drain of the source that is free soonest; 0 without a source.
func (c *Core) leastDrain() float64 {
	var least time.Duration
	for i := range c.sources {
		if s := &c.sources[i]; s.askable() {
			if d := s.drain(); least == 0 || d < least {
				least = d
			}
		}
	}
	return least.Seconds()
}

// longestHold is the time in seconds within which the disk must bring what is held back. While a path
// gets faster with each round trip it is none: it may turn out to be faster than the disk.
func (c *Core) longestHold(drain float64) float64 {
	for i := range c.sources {
		if s := &c.sources[i]; s.askable() && s.path.Opening() {
			return 0
		}
	}
	return holdDrains * drain
}

// worthHolding says whether a group's chunks are better left to the disk for now.
func (s *search) worthHolding(g *group) bool {
	h := &s.hold
	p, seconds := s.planner.Chance(g.id)
	if p == 0 {
		return s.trustsLater(g)
	}
	seconds = s.through(seconds)
	return (1-p)*seconds < p*h.drain && seconds < h.longest || s.trusts(g, p, seconds)
}

// holdIfWorth marks a group, or not, and says which.
func (s *search) holdIfWorth(g *group) bool {
	if g.held = g.known && s.worthHolding(g); g.held {
		s.hold.chunks += g.unasked
	}
	return g.held
}

// patience is how long nothing may come from the disk before what it was to bring is asked of the network
// all the same: the operations under way may be slower than was thought.
func (s *search) patience() time.Duration {
	if s.trusting() {
		return trustPause
	}
	cost := 0.0
	for i := range s.running {
		cost += s.running[i].op.Cost
	}
	return min(maxHold, time.Duration(s.hold.drain*float64(time.Second)), holdSlack+time.Duration(holdSlow*cost*float64(time.Second)))
}

// heldUntil is until when the marked groups are held back; the zero time if none are.
func (s *search) heldUntil() time.Time {
	if s.hold.patience == 0 {
		return time.Time{}
	}
	from := s.progress
	if s.trusting() {
		from = s.gain // what is trusted has to bring something
	}
	return from.Add(s.hold.patience)
}

// hold is which groups are held back: those that are marked, and the youngest, of which it has not been
// decided yet.
type hold struct {
	patience time.Duration // the marked ones are, while the disk does not pause for so long; 0: none are
	young    int           // groups from this number on
	next     time.Time     // until then: the next decision
	decided  int           // groups that the last decision knew
	chunks   int           // of those that are marked, never asked for when that was decided
	drain    float64       // seconds to get rid of requests made in vain
	longest  float64       // within so many seconds the disk must bring what is held back
	ahead    float64       // the same of what it surely brings
	ended    float64       // seconds of the plan's operations that have ended since the last decision
	alone    float64       // see Core.alone
	trust
}

// holding says whether some groups are held back at present.
func (s *search) holding(now time.Time) bool {
	return s != nil && (now.Before(s.heldUntil()) || now.Before(s.hold.next))
}

// holds says whether a group is held back.
func (s *search) holds(now time.Time, group uint32) bool {
	h := &s.hold
	n := int(group)
	return n < len(s.groups) && (s.groups[n].held && now.Before(s.heldUntil()) || n >= h.young && now.Before(h.next))
}

// holdYoung holds back the groups that came after the last decision if the next one is near: nearer
// than what is asked for now could come.
func (c *Core) holdYoung(now time.Time) {
	s := c.search
	if s == nil {
		return
	}
	c.decideYoung(now)
	s.hold.young, s.hold.next = s.hold.decided, time.Time{}
	near, v := c.nearest(), c.cpu.AllowPlan(now)
	if near == nil || v.Allow || s.refused || len(s.groups) == s.hold.decided || !s.anyFile() {
		return
	}
	if v.Again.Sub(now) <= near.path.MinRTT()/youngRTTs {
		s.hold.next = v.Again
	}
}

// anyFile says whether the disk may have anything.
func (s *search) anyFile() bool { return s.waiting || len(s.running) > 0 }

// lookAgain is when to decide again about what is held back.
func (c *Core) lookAgain(now time.Time) time.Time {
	s := c.search
	if !s.holding(now) || c.unasked == 0 {
		return time.Time{}
	}
	again := earlier(c.cpu.AllowPlan(now).Again, s.hold.next)
	if until := s.heldUntil(); now.Before(until) {
		again = earlier(again, until)
	}
	return again
}

// heldBack says whether a chunk is to be left alone for now. holding is search.holding.
func (c *Core) heldBack(now time.Time, ch *chunk, holding bool) bool {
	return c.zooming(ch) || ch.promised > 0 || holding && c.search.holds(now, ch.group)
}

// opening says until when nothing is asked because the disk gets its first look; the zero time when
// that is over.
func (c *Core) opening(now time.Time) time.Time {
	s := c.search
	if s == nil || s.opened || c.wanted == 0 {
		return time.Time{}
	}
	if s.openAt.IsZero() {
		s.openAt = now
	}
	near := c.nearest()
	if near == nil {
		return time.Time{}
	}
	rtt := near.path.MinRTT()
	trips := 1 + math.Log2(1+float64(c.wantedBytes+s.expectedBytes)/firstBytes)
	until := s.openAt.Add(min(2*rtt, maxOpening, time.Duration(openingShare*trips*float64(rtt))))
	if now.Before(until) && s.looking() {
		return until
	}
	s.opened = true
	c.order(now) // with what the first look has shown
	return time.Time{}
}

// listing says whether a directory is being listed.
func (s *search) listing() bool { return s.does(costmodel.OpStat) }

// looking says whether it will soon show what the disk has: a directory is being listed, or the index asked.
func (s *search) looking() bool { return s.listing() || s.does(costmodel.OpCheck) }

// does says whether an operation of a kind is under way.
func (s *search) does(kind costmodel.OpKind) bool {
	return slices.ContainsFunc(s.running, func(r running) bool { return r.op.Kind == kind })
}

// expect notes that chunks of the file that was announced last will be planned, so that the disk can be
// searched while their lists are on the way.
func (c *Core) expect(f *WantedFile) {
	s := c.search
	near := c.nearest()
	g := s.newest()
	if !g.known || f.Chunks <= 0 || near == nil || near.path.MinRTT() < farRTT {
		return
	}
	s.expected, s.expectedBytes = f.Chunks, f.Size
	s.planner.Want(g.id, int(f.Chunks), f.Size)
}

// newest is the file that was announced last.
func (s *search) newest() *group { return &s.groups[len(s.groups)-1] }

// planExpected takes planned chunks off those that were expected of a group, and gives those that were not.
func (s *search) planExpected(g *group, chunks int, bytes int64) (int, int64) {
	if s.expected == 0 || g != s.newest() {
		return chunks, bytes
	}
	n, b := min(int64(chunks), s.expected), min(bytes, s.expectedBytes)
	s.expected -= n
	s.expectedBytes -= b
	return chunks - int(n), bytes - b
}

// expectNoMore drops what was expected of the newest file and not planned: it needs nothing of that.
func (c *Core) expectNoMore() {
	s := c.search
	if s == nil || s.expected == 0 && s.expectedBytes == 0 {
		return
	}
	s.planner.Arrived(s.newest().id, int(s.expected), s.expectedBytes)
	s.expected, s.expectedBytes = 0, 0
}

// promise is the chunks of a run that is to be read.
type promise struct {
	run    uint32 // costmodel.RunID
	ranges []Range
	until  time.Time // not before that of the promise before it
}

// promise holds the chunks of a run back until it was read, but not for long. What is missing between
// them waits too: it is known then what lies there instead.
func (c *Core) promise(now time.Time, run uint32, rs []Range) {
	s := c.search
	drain := time.Duration(c.leastDrain() * float64(time.Second))
	if len(rs) == 0 || drain == 0 {
		return
	}
	rs = c.widen(c.closeGaps(rs))
	until := now.Add(min(maxHold, promiseDrains*drain))
	if n := len(s.promises); n > 0 && until.Before(s.promises[n-1].until) {
		until = s.promises[n-1].until
	}
	s.promises = append(s.promises, promise{run, rs, until})
	c.each(rs, func(ch *chunk) { ch.promised++ })
}

// widen adds what is missing right before the first and right behind the last of some ranges.
func (c *Core) widen(rs []Range) []Range {
	first, last := &rs[0], &rs[len(rs)-1]
	for n := 0; n < maxGap && c.waits(first.First-1, first.First); n++ {
		first.First--
		first.Count++
	}
	for n := 0; n < maxGap && c.waits(last.First+uint64(last.Count), last.First); n++ {
		last.Count++
	}
	return rs
}

// waits says whether a chunk has never been asked for and belongs to the file of another one.
func (c *Core) waits(ord, other uint64) bool {
	ch, o := c.at(ord), c.at(other)
	return ch != nil && o != nil && ch.group == o.group && ch.fresh() && ch.promised == 0
}

// closeGaps adds what lies between ranges of one file that are close to each other.
func (c *Core) closeGaps(rs []Range) []Range {
	out := []Range{rs[0]}
	for _, r := range rs[1:] {
		last := &out[len(out)-1]
		end := last.First + uint64(last.Count)
		if r.First < end || r.First-end > maxGap || !c.sameFile(end-1, r.First) {
			out = append(out, r)
			continue
		}
		last.Count = uint32(r.First - last.First + uint64(r.Count))
	}
	return out
}

// sameFile says whether two chunks belong to one file.
func (c *Core) sameFile(a, b uint64) bool {
	x, y := c.at(a), c.at(b)
	return x != nil && y != nil && x.group == y.group
}

// release lets go of the chunks of a run.
func (c *Core) release(run uint32) {
	s := c.search
	i := slices.IndexFunc(s.promises, func(p promise) bool { return p.run == run })
	if i < 0 {
		return
	}
	c.letGo(s.promises[i].ranges)
	s.promises = slices.Delete(s.promises, i, i+1)
}

// letGo takes back that chunks are promised.
func (c *Core) letGo(rs []Range) {
	c.each(rs, func(ch *chunk) {
		if ch.promised == 0 {
			return // it was planned after the promise
		}
		if ch.promised--; ch.promised == 0 && ch.state == chunkWanted && ch.held == 0 && !c.zooming(ch) {
			c.enqueue(ch)
		}
	})
}

// reading says whether a run is being read.
func (s *search) reading(run uint32) bool {
	return slices.ContainsFunc(s.running, func(r running) bool { return r.op.Kind == costmodel.OpRead && r.op.ID == run })
}

// releaseLate lets go of what was promised and does not come. It says when to look again.
func (c *Core) releaseLate(now time.Time) time.Time {
	s := c.search
	if s == nil || len(s.promises) == 0 {
		return time.Time{}
	}
	if first := s.promises[0].until; !s.refused && now.Before(first) {
		return first
	}
	var next time.Time
	s.promises = slices.DeleteFunc(s.promises, func(p promise) bool {
		if now.Before(p.until) && (!s.refused || s.reading(p.run)) {
			next = earlier(next, p.until)
			return false
		}
		c.letGo(p.ranges)
		return true
	})
	return next
}
