package costmodel

import "math"

// maxRekeys bounds how many operations Next looks at again in a lane because their worth has changed.
const maxRekeys = 256

// rekeyFrom is by how much an operation's worth must have fallen for it to change its place.
const rekeyFrom = 1e-3

// maxAside bounds how many operations Next passes over because others under way may bring the same.
const maxAside = 32

func (p *Planner) enqueueDir(id uint32) {
	d := p.dirs.at(id)
	p.follow(d.dev)
	p.insert(OpStat, d.dev, id, p.dirKey(d.dev, id), &d.state, &d.key)
}

func (p *Planner) enqueueFile(id uint32) {
	f := p.files.at(id)
	d := p.dirs.at(f.dir)
	_, _, full := p.worth(f, viewAll)
	p.follow(d.dev)
	p.insert(OpHash, d.dev, id, p.fileKey(d.dev, id, f, full), &f.state, &f.key)
	for i := range int(f.pairs) {
		group, prob := p.pair(f, i)
		p.settleHome(id, group, prob, false)
	}
	if cpc := float32(ratio(p.hashCost(f), full)); d.best == 0 || cpc < d.best {
		d.best = cpc
	}
}

func (p *Planner) enqueueRun(id uint32) {
	r := p.runs.at(id)
	p.follow(r.dev)
	p.insert(OpRead, r.dev, id, p.key(OpRead, r.dev, id), &r.state, &r.key)
}

// insert queues an operation if it is worth anything.
func (p *Planner) insert(kind OpKind, dev Device, id uint32, k float64, st *state, key *float32) {
	*st = idle
	if math.IsInf(k, 1) {
		return
	}
	l := p.lane(kind, dev)
	p.devices = max(p.devices, dev.index()+1)
	*st, *key = queued, float32(k)
	l.live++
	l.units += p.units(kind, id)
	l.put(p, kind, item{key: *key, id: id})
}

func (p *Planner) lane(kind OpKind, dev Device) *lane { return &p.queues[dev.index()][kind] }

// put adds an item. Those that are out of date are dropped when they are the most.
func (l *lane) put(p *Planner, kind OpKind, it item) {
	l.push(it)
	if len(l.items) > 2*l.live+64 {
		p.compact(l, kind)
	}
}

// compact leaves one item for each queued operation. One that was taken out and came back with the key that it had
// has two valid ones: the first is kept.
func (p *Planner) compact(l *lane, kind OpKind) {
	l.keep(func(it item) bool {
		st, key := p.slot(kind, it.id)
		if *st != queued || *key != it.key {
			return false
		}
		*st = counted
		return true
	})
	for _, it := range l.items {
		st, _ := p.slot(kind, it.id)
		*st = queued
	}
}

// remove takes a queued operation out of its lane; its item goes when it comes up.
func (p *Planner) remove(kind OpKind, id uint32, to state) {
	st, _ := p.slot(kind, id)
	if *st == queued {
		l := &p.queues[p.device(kind, id).index()][kind]
		l.live--
		l.units -= p.units(kind, id)
	}
	*st = to
}

// slot returns where an operation's state and key are kept.
func (p *Planner) slot(kind OpKind, id uint32) (*state, *float32) {
	switch kind {
	case OpStat:
		d := p.dirs.at(id)
		return &d.state, &d.key
	case OpHash:
		f := p.files.at(id)
		return &f.state, &f.key
	default:
		r := p.runs.at(id)
		return &r.state, &r.key
	}
}

func (p *Planner) device(kind OpKind, id uint32) Device {
	switch kind {
	case OpStat:
		return p.dirs.at(id).dev
	case OpHash:
		return p.dirs.at(p.files.at(id).dir).dev
	default:
		return p.runs.at(id).dev
	}
}

// units are the bytes of an operation, or 1 for a STAT.
func (p *Planner) units(kind OpKind, id uint32) float64 {
	switch kind {
	case OpStat:
		return 1
	case OpHash:
		return float64(p.files.at(id).rests())
	default:
		return float64(p.runs.at(id).bytes)
	}
}

// cpc is an operation's seconds for each wanted chunk.
func (p *Planner) cpc(kind OpKind, id uint32, v view) float64 {
	switch kind {
	case OpStat:
		return p.dirCPC(id)
	case OpHash:
		return p.fileCPC(p.files.at(id), v)
	default:
		return p.runCPC(p.runs.at(id))
	}
}

// rank compares operations of different lanes: by CPC, or as another order wants it.
func (p *Planner) rank(kind OpKind, id uint32, cpc float64) float64 {
	switch {
	case kind == OpRead || kind == OpCheck || p.cfg.Order == ByCPC:
		return cpc
	case p.cfg.Order == AllStats && kind == OpStat:
		return -1
	case p.cfg.Order == AllStats:
		return cpc
	case kind == OpStat:
		return float64(2 * p.hops(id))
	default:
		return float64(2*p.hops(p.files.at(id).dir) + 1)
	}
}

// hops is the number of steps from a directory to the nearest one with a wanted file.
func (p *Planner) hops(dir uint32) int {
	var buf [maxDepth]uint64
	_, best := p.groups.dirs.nearTree(p.comps(&buf, dir))
	return int(math.Round(math.Log(max(minCommonality, best)) / math.Log(hopDecay)))
}

// head returns the best operation of a lane.
func (p *Planner) head(dev Device, kind OpKind) choice {
	if kind == OpCheck {
		op, rank, ok := p.checkOp(dev)
		return choice{found: ok, kind: kind, dev: dev, cpc: op.CPC, rank: rank}
	}
	l := p.lane(kind, dev)
	if len(l.items) == 0 {
		return choice{}
	}
	p.aside = p.aside[:0]
	best, bestCPC := item{}, math.Inf(1)
	p.follow(dev)
	for len(p.aside) < maxAside && p.settle(l, kind, dev) {
		top := l.items[0]
		optimistic := p.cpc(kind, top.id, viewAll)
		if optimistic >= bestCPC {
			break
		}
		now := optimistic
		if kind == OpHash { // what the others are worth is the same in each view
			now = p.fileCPC(p.files.at(top.id), viewOpen)
		}
		if now < bestCPC {
			best, bestCPC = top, now
		}
		if now <= optimistic || p.cfg.Order != ByCPC {
			break
		}
		p.aside = append(p.aside, l.pop())
	}
	for _, it := range p.aside {
		l.push(it)
	}
	if math.IsInf(bestCPC, 1) {
		return choice{}
	}
	return choice{true, kind, dev, best.id, bestCPC, p.rank(kind, best.id, bestCPC)}
}

// settle makes the top of a lane a valid one with its present key; false if the lane is empty.
func (p *Planner) settle(l *lane, kind OpKind, dev Device) bool {
	for rekeys := 0; len(l.items) > 0; {
		top := l.items[0]
		st, key := p.slot(kind, top.id)
		if *st != queued || *key != top.key {
			l.pop()
			continue
		}
		now := p.key(kind, dev, top.id)
		if float32(now) <= top.key*(1+rekeyFrom) || rekeys == maxRekeys {
			return true
		}
		rekeys++
		if math.IsInf(now, 1) {
			l.pop()
			p.remove(kind, top.id, idle)
			continue
		}
		*key = float32(now)
		l.items[0].key = *key
		l.sink(0)
	}
	return false
}

// op describes an operation.
func (p *Planner) op(kind OpKind, id uint32, cpc float64) Op {
	op := Op{Kind: kind, Dev: p.device(kind, id), ID: id, CPC: cpc}
	pr := p.prices(op.Dev)
	switch kind {
	case OpStat:
		op.Cost = pr.stat
		op.Useful = int64(op.Cost / cpc * pr.chunk)
	case OpHash:
		f := p.files.at(id)
		op.Offset, op.Len = f.hashed, min(pr.slice, f.rests())
		op.Cost = pr.read.Seconds(float64(op.Len))
		_, bytes, _ := p.worth(f, viewOpen)
		op.Useful = int64(bytes * float64(op.Len) / float64(max(1, f.rests())))
	case OpRead:
		r := p.runs.at(id)
		op.Len = r.bytes
		op.Cost = pr.read.Seconds(float64(op.Len))
		_, bytes := p.runWorth(r)
		op.Useful = int64(bytes)
	}
	return op
}

// take moves an operation from its lane to those under way.
func (p *Planner) take(op Op) bool {
	if op.Kind == OpCheck {
		return p.check.take(op.Len)
	}
	if st, _ := p.slot(op.Kind, op.ID); *st != queued {
		return false
	}
	if op.Kind == OpHash && p.files.at(op.ID).hashed != op.Offset {
		return false
	}
	p.remove(op.Kind, op.ID, running)
	return true
}

// end makes an operation one that is neither queued nor under way.
func (p *Planner) end(op Op) {
	if op.Kind == OpCheck {
		return
	}
	st, _ := p.slot(op.Kind, op.ID)
	*st = ended
}

// requeue puts an operation back that was not done.
func (p *Planner) requeue(op Op) {
	switch op.Kind {
	case OpStat:
		p.enqueueDir(op.ID)
	case OpHash:
		p.enqueueFile(op.ID)
	case OpRead:
		p.enqueueRun(op.ID)
	case OpCheck:
		p.check.ids += op.Len
	}
}

// hashed goes on with a file after a slice.
func (p *Planner) hashed(op Op, r Result) {
	p.learn(op, r)
	f := p.files.at(op.ID)
	f.hashed += sliceDone(op, r)
	if r.Found+r.Late > 0 {
		f.hits = min(f.hits+1, 200)
	} else {
		f.misses = min(f.misses+1, 200)
	}
	if !r.Failed && f.rests() > 0 {
		p.compare(f) // what came to be wanted meanwhile was not compared with it
		p.enqueueFile(op.ID)
	}
}

// sliceDone is how far a slice came: it may end before its time is over, or with the chunk that it cut.
func sliceDone(op Op, r Result) int64 {
	if r.Units <= 0 {
		return op.Len
	}
	return r.Units
}

// observe takes in what an operation took. A file that was hashed to its end, or to where it could not be
// read, is measured by the bytes up to there.
func (p *Planner) observe(op Op, r Result) {
	if r.Failed && (op.Kind != OpHash || r.Units <= 0) {
		return
	}
	switch op.Kind {
	case OpStat:
		p.costs.ObserveStat(op.Dev, int(r.Units), r.Seconds)
	case OpHash, OpRead:
		if r.Units == 0 {
			return // nothing but holes: it tells nothing of what reading costs
		}
		p.costs.ObserveRead(op.Dev, r.Residency, r.Units, r.Seconds)
	case OpCheck:
		p.costs.ObserveCheck(int(r.Units), r.Seconds)
	}
}

// weighOpen computes anew how much of the groups of an operation those under way will leave.
func (p *Planner) weighOpen(op Op) {
	p.eachPair(op, func(id uint32, _ float64) {
		g := p.groups.list.at(id)
		g.open = 1
		for _, o := range p.running {
			p.eachPair(o, func(other uint32, prob float64) {
				if other == id {
					g.open *= float32(1 - prob)
				}
			})
		}
	})
}

// eachPair calls f with the groups that an operation may bring chunks of, and how likely.
func (p *Planner) eachPair(op Op, f func(group uint32, prob float64)) {
	switch op.Kind {
	case OpHash:
		p.eachFilePair(p.files.at(op.ID), op.Len, f)
	case OpRead:
		for _, h := range p.runs.at(op.ID).hits {
			if n := p.groups.list.at(uint32(h.Group)).chunks; n > 0 {
				f(uint32(h.Group), hitShare*min(1, float64(h.Chunks)/float64(n)))
			}
		}
	}
}

// eachFilePair gives the probabilities for the next so many bytes of a file.
func (p *Planner) eachFilePair(file *file, bytes int64, f func(group uint32, prob float64)) {
	part := file.unseen() * float64(bytes) / float64(max(1, file.rests()))
	for i := range int(file.pairs) {
		group, prob := p.pair(file, i)
		f(group, min(1, file.posterior(p.learned.correct(float64(prob)))*part))
	}
}
