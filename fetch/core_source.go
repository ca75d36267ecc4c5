package fetch

import (
	"slices"
	"time"
)

// maxBadInRow is how many chunks in a row may come corrupt before a source is dropped.
const maxBadInRow = 64

// source is what the core knows of one source.
type source struct {
	up          bool
	dropped     bool
	bad         int  // corrupt chunks since the last good one
	idle        bool // found nothing to ask in this round
	outstanding int64
	rate        float64 // bytes a second, smoothed; 0 before the first measurement
	opening     bool    // the rate was rising when it was measured last
	rtt         time.Duration
	mark        time.Time     // up to when busy has been counted
	busy        time.Duration // time with something outstanding, in the present measurement
	bytes       int64         // bytes that came in it
	leases      []lease       // in the order of asking
	zooms       bool          // gives fine lists
	refusals    int           // fine lists that it refused in a row
}

// lease is a request that has not been answered in full.
type lease struct {
	ranges   []Range
	left     int64 // chunks not answered
	deadline time.Time
	expired  bool
}

func (c *Core) sourceUp(now time.Time, ev Event) {
	for len(c.sources) <= int(ev.Source) {
		c.sources = append(c.sources, source{})
	}
	c.sources[ev.Source] = source{up: true, rtt: ev.RTT, mark: now, zooms: ev.Zoom}
}

func (s *source) sample(rtt time.Duration) {
	if rtt > 0 && (s.rtt == 0 || rtt < s.rtt) {
		s.rtt = rtt
	}
}

// arrived measures the delivery rate over spans of a round trip, 20 ms at least, in which something was
// outstanding: idle time says nothing about the path. The rate follows a rise fast, so that the window
// opens as fast as the path does, and a fall slowly.
func (s *source) arrived(now time.Time, n int64) {
	s.bad = 0
	s.bytes += n
	s.busy += now.Sub(s.mark)
	s.mark = now
	if s.busy < max(s.rtt, 20*time.Millisecond) {
		return
	}
	sample := float64(s.bytes) / s.busy.Seconds()
	s.opening = sample > 1.25*s.rate
	if sample > s.rate {
		s.rate = sample
	} else {
		s.rate += 0.2 * (sample - s.rate)
	}
	s.busy, s.bytes = 0, 0
}

// window is how many bytes may be outstanding: twice what the path holds, and the grace for queues.
// While the rate still rises it is four times that: what is measured then is what was asked for.
func (s *source) window(cfg CoreConfig) int64 {
	gain := 2.0
	if s.opening {
		gain = 4
	}
	w := int64(gain * s.rate * (s.rtt + cfg.Grace).Seconds())
	return min(max(w, cfg.MinWindow), cfg.MaxWindow)
}

// finish is how long this source would take for n more bytes: the queue ahead, the round trip, the bytes.
func (s *source) finish(n int64) time.Duration {
	rate := s.rate
	if rate == 0 {
		rate = 1 << 20 // nothing known: neither preferred to a fast source nor left unused
	}
	return s.rtt + time.Duration(float64(s.outstanding+n)/rate*float64(time.Second))
}

// endLeases takes answered ranges off the leases that they belong to, the newest first: a chunk that
// was asked again counts for the later lease.
func (s *source) endLeases(rs []Range) {
	for _, r := range rs {
		open := int64(r.Count)
		for i := len(s.leases) - 1; i >= 0 && open > 0; i-- {
			n := overlap(s.leases[i].ranges, r)
			s.leases[i].left -= n
			open -= n
		}
	}
	s.leases = slices.DeleteFunc(s.leases, func(l lease) bool { return l.left <= 0 })
}

// overlap counts the ordinals of r that lie in rs.
func overlap(rs []Range, r Range) int64 {
	var n int64
	end := r.First + uint64(r.Count)
	for _, q := range rs {
		lo, hi := max(q.First, r.First), min(q.First+uint64(q.Count), end)
		if lo < hi {
			n += int64(hi - lo)
		}
	}
	return n
}
