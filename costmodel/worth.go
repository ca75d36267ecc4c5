package costmodel

import "math"

// view says which operations count as done when a group's worth is taken: none, those under way, or
// those before it in a plan as well.
type view uint8

const (
	viewAll view = iota
	viewOpen
	viewPlan
)

// survival is the part of a group's chunks that the counted operations will not bring.
func (p *Planner) survival(g *group, v view) float64 {
	switch {
	case v == viewPlan && g.plan == p.plan.number:
		return float64(g.left)
	case v != viewAll:
		return float64(g.open)
	}
	return 1
}

// rests is how many of a file's bytes have not been hashed.
func (f *file) rests() int64 { return max(0, f.size-f.hashed) }

// posterior turns the probability of a pair into that after the slices done so far: each counts as
// much as the guess itself (the mean of a Beta distribution).
func (f *file) posterior(prob float64) float64 {
	if f.hits == 0 && f.misses == 0 {
		return prob
	}
	return (prob + float64(f.hits)) / (1 + float64(f.hits) + float64(f.misses))
}

// unseen is the part of a pair's chunks that may lie in what has not been hashed. While nothing was
// found it shrinks with the file; what was found is no longer wanted, and counts no more anyway.
func (f *file) unseen() float64 {
	if f.hits > 0 || f.hashed == 0 || f.size == 0 {
		return 1
	}
	return float64(f.rests()) / float64(f.size)
}

// worth is how many wanted chunks and bytes are expected of the rest of a file, and how many chunks of the
// usual length are worth as much. A file can't bring more than it holds: besides the best group, the others
// count up to half of its chunks.
func (p *Planner) worth(f *file, v view) (chunks, bytes, full float64) {
	var best, sum float64
	unseen := f.unseen()
	for i := range int(f.pairs) {
		group, prob := p.pair(f, i)
		g := p.groups.list.at(group)
		if g.chunks == 0 {
			continue
		}
		e := f.posterior(p.learned.correct(float64(prob))) * unseen * float64(g.chunks) * p.survival(g, v)
		best = max(best, e)
		sum += e
		bytes += e / float64(g.chunks) * float64(g.bytes)
	}
	others := sum - best
	if f.of > 0 && f.rest > 0 {
		rest := float64(f.rest) * float64(p.groups.chunks) / float64(f.of)
		rest *= unseen / (1 + float64(f.misses))
		others += rest
		bytes += rest * p.groups.chunkLen()
	}
	rests := float64(f.rests())
	uncapped := others
	if others > 0 {
		others = min(others, rests/p.groups.chunkLen()/2)
	}
	mean := bytes / max(1e-9, best+uncapped)
	mean = min(mean, mostOfAFile*rests/max(1e-9, best+others))
	return best + others, min(bytes, rests), (best + others) * fullShare(mean)
}

// hashCost is the time for the rest of a file.
func (p *Planner) hashCost(f *file) float64 { return p.prices(p.dirs.at(f.dir).dev).hashing(f.rests()) }

func (p *Planner) fileCPC(f *file, v view) float64 {
	_, _, full := p.worth(f, v)
	return ratio(p.hashCost(f), full)
}

// refresh computes what a directory has in common with the wanted files, if too much has changed
// since the last time.
func (p *Planner) refresh(id uint32, d *dir) {
	wanted := float32(p.groups.dirs.wanted)
	if d.of != 0 && wanted <= d.of && wanted >= 0.7*d.of {
		return
	}
	var buf [maxDepth]uint64
	sum, top := p.groups.dirs.near(p.comps(&buf, id), d.base)
	d.sum, d.top, d.of = float32(sum), float32(top), wanted
}

// dirCPC is w·(OpCost(STAT)/Σp + OpCost(CHUNK_HASH)/max p): what a STAT finds can be used only after
// a HASH, at best of a perfect file.
func (p *Planner) dirCPC(id uint32) float64 {
	pr := p.prices(p.dirs.at(id).dev)
	sum, top := p.nearness(id)
	return p.w * (ratio(pr.stat, sum) + ratio(pr.hash, top))
}

// nearness is Σp over the chunks that are wanted, and max p, for the files of a directory.
func (p *Planner) nearness(id uint32) (sum, top float64) {
	d := p.dirs.at(id)
	p.refresh(id, d)
	sum = float64(d.sum)
	if d.of > 0 {
		sum *= p.groups.dirs.wanted / float64(d.of)
	}
	return sum, float64(d.top)
}

// hitShare is how many of the chunks that the index names are expected to be there still.
const hitShare = 0.95

// runWorth is how many wanted chunks and bytes are expected of a run.
func (p *Planner) runWorth(r *run) (chunks, bytes float64) {
	for _, h := range r.hits {
		g := p.groups.list.at(uint32(h.Group))
		if g.chunks == 0 {
			continue
		}
		n := hitShare * float64(min(h.Chunks, int(g.chunks)))
		chunks += n
		bytes += n / float64(g.chunks) * float64(g.bytes)
	}
	return chunks, bytes
}

// runFull is how many chunks of the usual length a run is worth.
func (p *Planner) runFull(r *run) float64 {
	chunks, bytes := p.runWorth(r)
	return chunks * fullShare(bytes/max(1e-9, chunks))
}

func (p *Planner) runCPC(r *run) float64 {
	return ratio(p.prices(r.dev).read.Seconds(float64(r.bytes)), p.runFull(r))
}

// mostOfAFile is how often the bytes of a file can count, as with the chunks of other groups than the best.
const mostOfAFile = 1.5

// leastChunk is what the smallest chunk counts for: it costs the network a request, whatever its length.
const leastChunk = 1.0 / 32

// fullShare is what a chunk of some length is worth, against one of the usual length: what the disk
// brings saves the network time by the byte.
func fullShare(length float64) float64 { return max(length/chunkBytes, leastChunk) }

// ratio divides; what brings nothing has an infinite price.
func ratio(cost, gain float64) float64 {
	if gain <= 0 {
		return math.Inf(1)
	}
	return cost / gain
}

// learnWeight compares what a STAT led to with what it promised.
func (p *Planner) learnWeight(op Op) {
	d := p.dirs.at(op.ID)
	if d.best == 0 || op.CPC <= 0 || math.IsInf(op.CPC, 0) {
		return
	}
	off := p.w * float64(d.best) / op.CPC
	p.w *= math.Pow(min(max(off/p.w, 1.0/maxRatio), maxRatio), alpha)
	p.w = min(max(p.w, p.cfg.MinW), p.cfg.MaxW)
}
