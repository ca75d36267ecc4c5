package costmodel

import "math"

// Constants of learning how good the guesses are.
const (
	learnClasses = 16  // of guesses: each is half of the one before
	guessWeight  = 1   // files that a guess counts as
	maxTries     = 16  // files that are remembered
	learnStep    = 1.2 // times by which a guess must change for the queues to be put in order anew
)

// learned corrects the guessed probabilities by what files of about the same guess turned out to hold.
// The formulas order candidates well but say little of how many of them are good: in a copy of the tree
// that was moved all are, in an unlike one none.
type learned [learnClasses]learnClass

// learnClass is what was seen of one class of guesses, and how much of it is in use: what is in use
// orders the queues, so it follows in steps.
type learnClass struct {
	hits, tries         float64
	usedHits, usedTries float64
}

func classOf(p float64) int {
	if !(p > 0) {
		return learnClasses - 1
	}
	_, exp := math.Frexp(p) // the cheapest logarithm
	return min(max(0, -exp), learnClasses-1)
}

// mean is that of a guess and the shares that were found instead.
func mean(p, hits, tries float64) float64 { return (guessWeight*p + hits) / (guessWeight + tries) }

// correct is a guess after what was learned.
func (l *learned) correct(p float64) float64 {
	c := &l[classOf(p)]
	return mean(p, c.usedHits, c.usedTries)
}

// saw takes in which share of what a file could have brought it did bring. It says whether guesses are
// corrected differently from now on.
func (l *learned) saw(p, share float64) bool {
	c := &l[classOf(p)]
	if c.tries >= maxTries {
		c.hits *= (maxTries - 1) / c.tries
		c.tries = maxTries - 1
	}
	c.hits += share
	c.tries++
	now, used := mean(p, c.hits, c.tries), mean(p, c.usedHits, c.usedTries)
	if now < learnStep*used && used < learnStep*now {
		return false
	}
	c.usedHits, c.usedTries = c.hits, c.tries
	return true
}

// learn takes in the first slice of a file: what it brought of the group that it was most like, against
// what is still wanted of that.
func (p *Planner) learn(op Op, r Result) {
	f := p.files.at(op.ID)
	if op.Offset != 0 || r.Failed && r.Units == 0 || f.pairs.n == 0 {
		return
	}
	best := 0
	for i := range int(f.pairs.n) {
		if f.pairs.p[i] > f.pairs.p[best] {
			best = i
		}
	}
	part := float64(op.Len) / float64(max(1, f.size))
	missed := part * float64(max(0, p.groups.list.at(f.pairs.group[best]).chunks))
	if could := float64(r.Found) + missed; could >= 1 {
		if p.learned.saw(float64(f.pairs.p[best]), float64(r.Found)/could) {
			p.rekeyFiles()
		}
	}
}

// rekeyFiles puts the files that wait in order anew.
func (p *Planner) rekeyFiles() {
	for d := range p.queues {
		l := &p.queues[d][OpHash]
		l.keep(func(it item) bool { return p.valid(OpHash, it) })
		for i := range l.items {
			it := &l.items[i]
			it.key = float32(p.key(OpHash, it.id))
			p.files.at(it.id).key = it.key
		}
		l.sort()
	}
}
