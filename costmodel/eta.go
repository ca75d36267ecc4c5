package costmodel

import "math"

// plan is the order of the next operations, as far as it was looked ahead.
type plan struct {
	number uint32
	stale  bool
	finish float64 // seconds for the planned operations and those under way
	never  float64 // seconds for what no planned operation brings, without the network
	order  queue   // scratch: planned operations by CPC
	ops    []planned
	passed []passed
	tops   []laneTop // scratch
}

type planned struct {
	kind OpKind
	id   uint32
}

// passed is an item to put back into its lane.
type passed struct {
	dev  Device
	kind OpKind
	it   item
}

// laneTop is the best item of a lane.
type laneTop struct {
	passed
	rank float64
}

// Plan looks ahead: it goes through the next operations in the order in which they would be done and
// computes when each group's chunks will come. A plan to which nothing has happened is kept; how
// often it may be made anew is the caller's business.
func (p *Planner) Plan() {
	pl := &p.plan
	if pl.number > 0 && !pl.stale {
		return
	}
	pl.stale = false
	pl.number++
	finish := 0.0
	for _, op := range p.running {
		if p.quiet(op.Dev) {
			continue
		}
		p.toEnd(&op)
		finish += op.Cost
		p.eachPair(op, func(g uint32, prob float64) { p.deliver(g, prob, finish) })
	}
	p.collect()
	for len(pl.order.items) > 0 {
		finish = p.planNext(finish)
	}
	pl.finish, pl.never = finish, p.scanRest(finish)
}

// planNext takes the best planned operation, or puts it back if those before it have left it too little.
func (p *Planner) planNext(finish float64) float64 {
	pl := &p.plan
	top := pl.order.pop()
	o := pl.ops[top.id]
	cpc := p.cpc(o.kind, o.id, viewPlan)
	if math.IsInf(cpc, 1) {
		return finish
	}
	// Worth only shrinks here, so an operation comes back at most once for each halving.
	if float32(cpc) > 2*top.key && len(pl.order.items) > 0 && float32(cpc) > pl.order.items[0].key {
		pl.order.push(item{key: float32(cpc), id: top.id})
		return finish
	}
	op := p.op(o.kind, o.id, cpc)
	p.toEnd(&op)
	finish += op.Cost
	p.eachPair(op, func(g uint32, prob float64) { p.deliver(g, prob, finish) })
	return finish
}

// toEnd makes the hashing of a slice that of the file's whole rest.
func (p *Planner) toEnd(op *Op) {
	if op.Kind == OpHash {
		f := p.files.at(op.ID)
		op.Len, op.Cost = f.rests(), p.hashCost(f)
	}
}

// deliver adds to a group's expected time what an operation at this place brings of it.
func (p *Planner) deliver(id uint32, prob, finish float64) {
	g := p.groups.list.at(id)
	if g.plan != p.plan.number {
		g.plan, g.left, g.eta = p.plan.number, 1, 0
	}
	g.eta += g.left * float32(prob*finish)
	g.left *= float32(1 - prob)
}

// collect fills the plan with the best operations of all lanes.
func (p *Planner) collect() {
	pl := &p.plan
	pl.ops, pl.passed, pl.order.items, pl.tops = pl.ops[:0], pl.passed[:0], pl.order.items[:0], pl.tops[:0]
	for d := range p.devices {
		if p.quiet(Device(d)) {
			continue
		}
		for k := range opKinds {
			p.collectTop(Device(d), k)
		}
	}
	for len(pl.ops) < p.cfg.PlanOps && len(pl.tops) > 0 {
		p.collectOne()
	}
	for _, b := range pl.passed {
		p.queues[b.dev][b.kind].push(b.it)
	}
}

// collectTop notes the top of a lane, if there is one.
func (p *Planner) collectTop(dev Device, kind OpKind) {
	l := p.lane(kind, dev)
	if !p.settle(l, kind, dev) {
		return
	}
	it := l.items[0]
	if cpc := p.cpc(kind, it.id, viewAll); !math.IsInf(cpc, 1) {
		p.plan.tops = append(p.plan.tops, laneTop{passed{dev, kind, it}, p.rank(kind, it.id, cpc)})
	}
}

// collectOne moves the best item of all lanes into the plan.
func (p *Planner) collectOne() {
	pl := &p.plan
	best := 0
	for i := range pl.tops {
		if pl.tops[i].before(&pl.tops[best]) {
			best = i
		}
	}
	top := pl.tops[best]
	last := len(pl.tops) - 1
	pl.tops[best] = pl.tops[last]
	pl.tops = pl.tops[:last]
	p.lane(top.kind, top.dev).pop()
	pl.passed = append(pl.passed, top.passed)
	pl.order.push(item{key: float32(top.rank), id: uint32(len(pl.ops))})
	pl.ops = append(pl.ops, planned{top.kind, top.it.id})
	p.collectTop(top.dev, top.kind)
}

// before also decides between equal ranks: the lower device goes first, and in it the first kind.
func (t *laneTop) before(other *laneTop) bool {
	if t.rank != other.rank {
		return t.rank < other.rank
	}
	return t.dev < other.dev || t.dev == other.dev && t.kind < other.kind
}

// scanRest is the time until all that is known of the disk has been looked at; infinite if nothing
// is left to look at. Devices that do not answer do not count. planned is what the planned operations take.
func (p *Planner) scanRest(planned float64) float64 {
	rest, left := 0.0, 0
	for _, op := range p.running {
		if !p.quiet(op.Dev) {
			left++
		}
	}
	for d := range p.devices {
		dev := Device(d)
		if p.quiet(dev) {
			continue
		}
		read := p.costs.Read(dev)
		for k := range opKinds {
			l := &p.queues[d][k]
			left += l.live
			if k == OpStat {
				rest += l.units * p.costs.Stat(dev)
			} else {
				rest += read.PerOp*float64(l.live) + read.PerUnit*l.units
			}
		}
	}
	if left == 0 {
		return math.Inf(1)
	}
	return max(rest, planned)
}

// ETA is the expected time in seconds until the disk has brought a chunk of the group, as of the last
// plan. What the search does not find counts with the rest of the search and the network after it;
// if nothing is left to search, it is infinite. Chunks with the highest ETA go to the network first.
func (p *Planner) ETA(id GroupID) float64 {
	g := p.groups.list.at(uint32(id))
	never := p.plan.never + p.network*float64(g.bytes)
	if p.plan.number == 0 {
		return math.Inf(1)
	}
	if g.plan != p.plan.number {
		return never
	}
	if g.left == 0 {
		return float64(g.eta)
	}
	return float64(g.eta) + float64(g.left)*never
}
