package costmodel

import "slices"

// maxCheck bounds the ids of one sweep through the index.
const maxCheck = 64 << 10

// check is what is to be looked up in the index.
type check struct {
	ids    int64   // not looked up yet
	hits   float64 // ids found so far, and one
	misses float64 // ids not found so far, and one
}

// checkOp is the next sweep. Its price is the lookup's, for each id that will be found, and the best
// read's that can follow.
func (p *Planner) checkOp(dev Device) (Op, float64, bool) {
	n := min(p.check.ids, maxCheck)
	if dev != 0 || n == 0 {
		return Op{}, 0, false
	}
	cost := p.costs.Check(int(n))
	found := float64(n) * p.check.hits / (p.check.hits + p.check.misses)
	cpc := cost/found + p.costs.Read(0).PerUnit*p.groups.chunkLen()
	op := Op{Kind: OpCheck, Len: n, Cost: cost, CPC: cpc}
	op.Useful = int64(cost / cpc * p.groups.chunkLen())
	return op, cpc, true
}

// awaited says that a sweep is under way that may make hashing needless: so far at least as many ids were found as
// not. A sweep is short, and reading a file beside it that its runs will name reads it twice.
func (p *Planner) awaited() bool {
	return p.check.hits >= p.check.misses && slices.ContainsFunc(p.running, func(o Op) bool { return o.Kind == OpCheck })
}

func (c *check) take(n int64) bool {
	if n <= 0 || n > c.ids {
		return false
	}
	c.ids -= n
	return true
}

func (c *check) done(r Result) {
	c.hits += float64(min(int64(r.Found), r.Units))
	c.misses += float64(max(0, r.Units-int64(r.Found)))
}
