package costmodel

import "math"

// Constants of learning how good the guesses are.
const (
	learnOctaves = 16           // classes of guesses: each is half of the one before
	twinClass    = learnOctaves // that of guesses of twins, which have another one too
	learnClasses = learnOctaves + 1
	guessWeight  = 1   // files that a guess counts as
	maxTries     = 16  // files that are remembered
	learnStep    = 1.2 // times by which a guess must change for the queues to be put in order anew
)

// learned corrects the guessed probabilities by what files of about the same guess turned out to hold.
// The formulas order candidates well but say little of how many of them are good: in a copy of the tree
// that was moved all are, in an unlike one none. Twins, which have the size of the wanted file and a name like its, are a class
// besides, wherever they lie: they are worth what other twins held, even if all else that lies as far away held nothing.
type learned [learnClasses]learnClass

// learnClass is what was seen of one class of guesses, and how much of it is in use: what is in use
// orders the queues, so it follows in steps.
type learnClass struct {
	hits, tries         float64
	usedHits, usedTries float64
}

func classOf(p float64) int {
	if !(p > 0) {
		return learnOctaves - 1
	}
	exp := int(math.Float64bits(p)>>52) - 1022 // p is less than 2 to this power, and at least half of it
	return min(max(0, -exp), learnOctaves-1)
}

// span is between which guesses those of a class lie.
func span(class int) (least, most float64) {
	if class == twinClass {
		return 0, 1
	}
	most = math.Ldexp(1, -class)
	return most / 2, most
}

// minTwin is the size of the smallest twin: many small files have one size.
const minTwin = 4 << 10

// twins says whether a file is a wanted file's twin.
func twins(source, file int64, name float64) bool {
	return source == file && file >= minTwin && name >= affixName
}

// guessOf is a probability as it is kept: its last bit says whether it is of a twin.
func guessOf(p float64, twin bool) float32 {
	bits := math.Float32bits(float32(p)) &^ 1
	if twin {
		bits |= 1
	}
	return math.Float32frombits(bits)
}

// isTwin says whether a guess is of a twin.
func isTwin(guess float64) bool { return math.Float32bits(float32(guess))&1 == 1 }

// mean is that of a guess and the shares that were found instead.
func mean(p, hits, tries float64) float64 { return (guessWeight*p + hits) / (guessWeight + tries) }

// correct is a guess after what was learned.
func (l *learned) correct(p float64) float64 {
	guess := l[classOf(p)].correct(p)
	if isTwin(p) {
		guess = max(guess, l[twinClass].correct(p))
	}
	return guess
}

func (c *learnClass) correct(p float64) float64 {
	if c.usedTries == 0 {
		return p
	}
	return mean(p, c.usedHits, c.usedTries)
}

// classes is a set of classes, one bit each.
type classes uint32

// saw takes in which share of what a file could have brought it did bring. It gives the classes of which some guess is
// corrected to more than before from now on.
func (l *learned) saw(p, share float64) (risen classes) {
	class := classOf(p)
	if l[class].saw(class, p, share) {
		risen |= 1 << class
	}
	if isTwin(p) && l[twinClass].saw(twinClass, p, share) {
		risen |= 1 << twinClass
	}
	return risen
}

// saw is learned.saw for one class.
func (c *learnClass) saw(class int, p, share float64) (risen bool) {
	if c.tries >= maxTries {
		c.hits *= (maxTries - 1) / c.tries
		c.tries = maxTries - 1
	}
	c.hits += share
	c.tries++
	least, most := span(class)
	if !c.differs(p) && !c.differs(least) {
		return false
	}
	risen = c.raises(most) || c.raises(least)
	c.usedHits, c.usedTries = c.hits, c.tries
	return risen
}

// differs says whether what was seen makes so much more or less of a guess than what is in use that the queues must know.
func (c *learnClass) differs(p float64) bool {
	now, used := mean(p, c.hits, c.tries), mean(p, c.usedHits, c.usedTries)
	return now > learnStep*used || used > learnStep*now
}

// raises says whether what was seen makes more of a guess than what is in use. The difference is linear in
// the guess, so the ends of a class tell of all of it.
func (c *learnClass) raises(p float64) bool {
	return mean(p, c.hits, c.tries) > mean(p, c.usedHits, c.usedTries)
}

// learn takes in the first slice of a file: what it had of the group that it was most like, against
// what is still wanted of that.
func (p *Planner) learn(op Op, r Result) {
	f := p.files.at(op.ID)
	if op.Offset != 0 || r.Failed && r.Units == 0 || f.pairs == 0 {
		return
	}
	group, best := f.group, f.prob
	for i := range int(f.pairs) {
		if g, prob := p.pair(f, i); prob > best {
			group, best = g, prob
		}
	}
	part := float64(op.Len) / float64(max(1, f.size))
	missed := part * float64(max(0, p.groups.list.at(group).chunks))
	had := float64(r.Found + r.Late)
	if could := had + missed; could >= 1 {
		guess := float64(best)
		p.luck.saw(had/could, p.learned.correct(guess))
		if risen := p.learned.saw(guess, had/could); risen != 0 {
			p.raise.begin(risen, p.files.n)
		}
	}
}

// raiseStep bounds the files that one call of Next looks at because guesses have risen.
const raiseStep = 1024

// raise goes over the files that wait after guesses have risen, the newest first: what has become worth more does not
// come to a lane's top by itself. What has become worth less does, and is put off there.
type raise struct {
	classes classes // of the guesses that have risen
	next    uint32  // the file before it comes next
	left    int     // files to look at
}

func (r *raise) begin(risen classes, files int) {
	r.classes |= risen
	r.next, r.left = uint32(files), files
}

// step looks at some files. It allocates nothing but for longer lanes.
func (r *raise) step(p *Planner) {
	for range min(r.left, raiseStep) {
		r.next--
		if f := p.files.at(r.next); f.state == queued && p.guessed(f, r.classes) {
			p.rise(r.next, f)
		}
		r.left--
	}
	if r.left == 0 {
		r.classes = 0
	}
}

// guessed says whether a file has a guess of one of the classes.
func (p *Planner) guessed(f *file, of classes) bool {
	for i := range int(f.pairs) {
		_, prob := p.pair(f, i)
		if guess := float64(prob); of>>classOf(guess)&1 != 0 || of>>twinClass&1 != 0 && isTwin(guess) {
			return true
		}
	}
	return false
}

// rise brings a file that waits forward, if it is worth more than it was.
func (p *Planner) rise(id uint32, f *file) {
	dev := p.dirs.at(f.dir).dev
	now := float32(p.key(OpHash, dev, id))
	if now < f.key {
		f.key = now
		p.lane(OpHash, dev).put(p, OpHash, item{key: now, id: id})
	}
}
