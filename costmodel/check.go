package costmodel

import "slices"

// Bounds of one sweep through the index.
const (
	maxCheck   = 64 << 10 // ids
	leastCheck = 256
	checkTime  = 0.05 // seconds, so that the next one is weighed with what this one has taught
	checkShare = 0.01 // of the time that the network takes for all that is wanted, if that is more
)

// check is what is to be looked up in the index.
type check struct {
	ids    int64   // not looked up yet
	hits   float64 // ids found so far, and one
	misses float64 // ids not found so far, and one
}

// checkOp is the next sweep and its rank, unless one is under way. Its price is the lookup's, for each id that will be found,
// and the best read's that can follow. It goes first while the reads would be through before it is, so that they need not
// wait for it.
func (p *Planner) checkOp(dev Device) (Op, float64, bool) {
	if dev != 0 || p.check.ids == 0 || p.checking() {
		return Op{}, 0, false
	}
	n := min(p.check.ids, p.checkLen())
	cost := p.costs.Check(int(n))
	found := float64(n) * p.check.hits / (p.check.hits + p.check.misses)
	cpc := cost/found + p.costs.Read(0).PerUnit*p.groups.chunkLen()
	op := Op{Kind: OpCheck, Len: n, Cost: cost, CPC: cpc}
	op.Useful = int64(cost / cpc * p.groups.chunkLen())
	if p.check.hits >= p.check.misses && p.readsWaiting() < cost {
		return op, 0, true
	}
	return op, cpc, true
}

// readsWaiting is how many seconds the runs take that are not being read yet.
func (p *Planner) readsWaiting() (seconds float64) {
	for d := range p.queues {
		l := &p.queues[d][OpRead]
		read := p.costs.Read(Device(d))
		seconds += read.PerOp*float64(l.live) + read.PerUnit*l.units
	}
	return seconds
}

// checkLen is how many ids the next sweep looks up at most.
func (p *Planner) checkLen() int64 {
	limit := max(checkTime, checkShare*p.network*float64(p.groups.bytes))
	return int64(min(maxCheck, max(leastCheck, limit/max(1e-9, p.costs.check.PerUnit))))
}

// checking says whether a sweep is under way. Two of them get into each other's way.
func (p *Planner) checking() bool {
	return slices.ContainsFunc(p.running, func(o Op) bool { return o.Kind == OpCheck })
}

// awaited says that hashing is probably needless, which what is under way will show. Either a sweep is, and so far at least
// as many ids were found as not: a sweep is short, and reading a file beside it that its runs will name reads it twice.
// Or the runs that are being read have all that is wanted.
func (p *Planner) awaited() bool {
	return p.check.hits >= p.check.misses && p.checking() || p.runsHaveAll()
}

// runsHaveAll says whether the runs that are being read have at least as many chunks of each group as are wanted.
func (p *Planner) runsHaveAll() bool {
	rest := p.groups.chunks
	p.covered = p.covered[:0]
	for _, op := range p.running {
		if op.Kind == OpRead {
			for _, h := range p.runs.at(op.ID).hits {
				p.cover(h)
			}
		}
	}
	for _, h := range p.covered {
		rest -= min(int64(h.Chunks), int64(p.groups.list.at(uint32(h.Group)).chunks))
	}
	return rest <= 0 && len(p.covered) > 0
}

// cover counts what a run that is being read has of a group.
func (p *Planner) cover(h Hit) {
	for i := range p.covered {
		if p.covered[i].Group == h.Group {
			p.covered[i].Chunks += h.Chunks
			return
		}
	}
	p.covered = append(p.covered, h)
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
