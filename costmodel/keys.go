package costmodel

import "math"

// steadyStep is how many times a ratio of costs must change for lanes to be ordered by the new one.
const steadyStep = 1.2

// steady is what of a device's costs orders its lanes. It follows the measured costs in steps: with each
// measurement all places would change a little, and most operations are as good as their neighbours.
type steady struct {
	of      basis   // of the prices that were followed last
	slice   float64 // bytes of a file that are hashed at a time
	perRead float64 // bytes whose reading takes as long as each read takes besides
	perHash float64 // STATs that take as long as hashing a chunk
}

// follow takes in a device's present costs.
func (p *Planner) follow(dev Device) {
	pr, s := p.prices(dev), &p.steady[dev.index()]
	if s.of == pr.of {
		return
	}
	s.of = pr.of
	step(&s.slice, float64(pr.slice))
	step(&s.perRead, pr.read.PerOp/max(1e-18, pr.read.PerUnit))
	step(&s.perHash, pr.hash/max(1e-12, pr.stat))
}

func step(to *float64, now float64) {
	if !(now < steadyStep**to && *to < steadyStep*now) {
		*to = now
	}
}

// reading is what reading takes, in the time of a byte.
func (s *steady) reading(bytes int64) float64 {
	reads := 1.0
	if bytes <= 0 || float64(bytes) > s.slice { // else there is no need to divide
		reads = math.Ceil(float64(bytes) / max(1, s.slice))
	}
	return s.perRead*reads + float64(bytes)
}

// key orders a lane: it is a CPC in units of the device's cost.
func (p *Planner) key(kind OpKind, dev Device, id uint32) float64 {
	switch kind {
	case OpStat:
		return p.dirKey(dev, id)
	case OpHash:
		f := p.files.at(id)
		_, _, full := p.worth(f, viewAll)
		return p.fileKey(dev, id, f, full)
	default:
		r := p.runs.at(id)
		return coarse(ratio(p.steady[dev.index()].perRead+float64(r.bytes), p.runFull(r)))
	}
}

// coarse rounds a run's key, so that runs that are nearly as good as each other are read in their order, which is that of
// the file.
func coarse(key float64) float64 {
	return math.Exp2(math.Ceil(math.Log2(key)*coarseSteps) / coarseSteps)
}

// coarseSteps is how many keys there are to each doubling.
const coarseSteps = 4

func (p *Planner) dirKey(dev Device, id uint32) float64 {
	sum, top := p.nearness(id)
	if p.cfg.Order != ByCPC && sum > 0 && top > 0 {
		return p.rank(OpStat, id, p.dirCPC(id))
	}
	return ratio(1, sum) + ratio(p.steady[dev.index()].perHash, top)
}

// fileKey is that of a file that is worth so many chunks of the usual length.
func (p *Planner) fileKey(dev Device, id uint32, f *file, full float64) float64 {
	if p.cfg.Order != ByCPC && full > 0 {
		return p.rank(OpHash, id, ratio(p.hashCost(f), full))
	}
	return ratio(p.steady[dev.index()].reading(f.rests()), full)
}
