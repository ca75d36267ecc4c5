package costmodel

import (
	"slices"
	"time"
)

// Bounds of one sweep through the index.
const (
	maxCheck   = 64 << 10 // ids
	leastCheck = 256
	checkTime  = 0.05 // seconds, so that the next one is weighed with what this one has taught
	checkShare = 0.01 // of the time that the network takes for all that is wanted, if that is more
)

// check is what is to be looked up in the index.
type check struct {
	ids    int64     // not looked up yet
	hits   float64   // ids found so far, and one
	misses float64   // ids not found so far, and one
	due    time.Time // when the sweep that is under way is late
}

// checkOp is the next sweep and its rank, unless one is under way. Its price is the lookup's, for each id that will be found,
// and the best read's that can follow. It goes first while the reads would be through before it is, so that they need not
// wait for it.
func (p *Planner) checkOp(dev Device) (Op, float64, bool) {
	if dev != 0 || p.check.ids == 0 || p.checking() || p.indexShut() {
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
	for d := range p.devices {
		if p.quiet(Device(d)) {
			continue
		}
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

// awaited says that listing and hashing are probably needless, which what is under way will show. Either a sweep is, and so far
// at least as many ids were found as not: reading a file beside it that its runs will name reads it twice, and listings take
// the processor that it needs. Or the runs that are being read have all that is wanted. Either must not be late.
func (p *Planner) awaited() bool { return p.sweepTells() || p.runsHaveAll() }

// sweepTells says whether a sweep is under way that is not late and will probably find much.
func (p *Planner) sweepTells() bool {
	return p.check.hits >= p.check.misses && p.now.Before(p.check.due) && p.checking()
}

// A run or sweep may take so many times as long as it should, and so many seconds more. After that nothing waits for it.
const (
	runSlow  = 4
	runSlack = 5e-3
)

// maxAwaited bounds how long a search waits for a sweep: a long one is no reason to do nothing else.
const maxAwaited = 250 * time.Millisecond

// expectRun notes when a run that is about to be read should have been, behind the others of its device at the latest.
func (p *Planner) expectRun(op Op) {
	seconds := op.Cost
	for _, o := range p.running {
		if o.Kind == OpRead && o.Dev == op.Dev {
			seconds += o.Cost
		}
	}
	p.runs.at(op.ID).due = p.expected(seconds)
}

// expected is when an operation is late that should take some seconds from now on.
func (p *Planner) expected(seconds float64) time.Time {
	return p.now.Add(time.Duration(min(runSlow*seconds+runSlack, maxPerOp) * float64(time.Second)))
}

// runsHaveAll says whether the runs that are being read, and are not late, have at least as many chunks of each group as are
// wanted. What a run has is what was wanted of it when it was found: chunks of it that have come another way since still
// count, at most until it is late, for others of their group.
func (p *Planner) runsHaveAll() bool {
	rest, most := p.groups.chunks, int64(0)
	p.eachTimelyRun(func(r *run) {
		for _, h := range r.hits {
			most += int64(h.Chunks)
		}
	})
	if most < rest {
		return false
	}
	p.covered = p.covered[:0]
	p.eachTimelyRun(func(r *run) {
		for _, h := range r.hits {
			p.cover(h)
		}
	})
	for _, h := range p.covered {
		rest -= min(int64(h.Chunks), int64(p.groups.list.at(uint32(h.Group)).chunks))
	}
	return rest <= 0 && len(p.covered) > 0
}

// firstLate is when the first of the runs that are being read, or the sweep, will be late.
func (p *Planner) firstLate() (at time.Time) {
	if p.sweepTells() {
		at = p.check.due
	}
	p.eachTimelyRun(func(r *run) {
		if at.IsZero() || r.due.Before(at) {
			at = r.due
		}
	})
	return at
}

// eachTimelyRun calls f with the runs that are being read and are not late.
func (p *Planner) eachTimelyRun(f func(*run)) {
	for _, op := range p.running {
		if op.Kind != OpRead {
			continue
		}
		if r := p.runs.at(op.ID); p.now.Before(r.due) {
			f(r)
		}
	}
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
