package fetch

import (
	"math"
	"slices"
	"time"

	"dfetch/backpressure"
)

// maxBadInRow is how many chunks in a row may come corrupt before a source is dropped.
const maxBadInRow = 64

// source is what the core knows of one source.
type source struct {
	up       bool
	dropped  bool
	bad      int  // corrupt chunks since the last good one
	idle     bool // found nothing to ask in this round
	path     backpressure.Path
	leases   []lease // in the order of asking
	zooms    bool    // gives fine lists
	refusals int     // fine lists that it refused in a row

	zoomed  []uint64  // chunks of whose fine lists some have not come
	owed    int       // how many have not
	zoomDue time.Time // when it is late with them
	late    bool      // it was, and has sent none since
}

// lease is a request that has not been answered in full.
type lease struct {
	ranges   []Range
	left     int64 // chunks not answered
	last     int64 // bytes of the last chunk
	deadline time.Time
	expired  bool
}

func (c *Core) sourceUp(now time.Time, ev Event) {
	for len(c.sources) <= int(ev.Source) {
		c.sources = append(c.sources, source{})
	}
	path := backpressure.PathConfig{Min: c.cfg.MinWindow, Max: c.cfg.MaxWindow, Grace: c.cfg.Grace}
	c.sources[ev.Source] = source{up: true, path: backpressure.NewPath(now, path, ev.RTT), zooms: ev.Zoom}
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

// netRate is the rate of all sources together, or what bounds it before any was measured; negative
// while it is unknown, 0 without a source.
func (c *Core) netRate(now time.Time) float64 { return c.rateBy(now, (*backpressure.Path).Rate) }

// meanRate is netRate over a longer time.
func (c *Core) meanRate(now time.Time) float64 { return c.rateBy(now, (*backpressure.Path).Mean) }

func (c *Core) rateBy(now time.Time, rate func(*backpressure.Path) float64) float64 {
	var sum, most float64
	up := false
	for i := range c.sources {
		if s := &c.sources[i]; s.askable() {
			up = true
			sum += rate(&s.path)
			most += s.path.AtMost(now)
		}
	}
	if !up {
		return c.cfg.NetRate
	}
	if sum == 0 {
		sum = most
	}
	if c.cfg.MaxRate > 0 {
		sum = min(sum, c.cfg.MaxRate)
	}
	if math.IsInf(sum, 1) {
		return c.firstRate()
	}
	return sum
}

// netQuiet is how many seconds no source can bring anything yet.
func (c *Core) netQuiet(now time.Time) float64 {
	quiet := time.Hour
	for i := range c.sources {
		if s := &c.sources[i]; s.askable() {
			quiet = min(quiet, s.path.Quiet(now))
		}
	}
	return quiet.Seconds()
}
