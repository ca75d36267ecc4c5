package costmodel

import "math"

// maxDepth bounds the directories of a path that are looked at; deeper ones are left out.
const maxDepth = 64

// hopDecay is what one step up or down the tree leaves of a probability.
const hopDecay = 0.444

// minCommonality keeps far places apart from impossible ones.
const minCommonality = 1e-12

// hopPowers has the powers of hopDecay.
var hopPowers = func() (t [2*maxDepth + 1]float64) {
	for i := range t {
		t[i] = max(minCommonality, math.Pow(hopDecay, float64(i)))
	}
	return t
}()

// Path is where a file lies: hashes of its directories from the top, and its name. NewPath makes it.
type Path struct {
	dirs  []uint64
	name  Name
	bases []uint64 // of each directory: see baseHash
}

// NewPath makes a path of its directories, from the top, and a file name.
func NewPath(dirs []string, name string) Path {
	dirs = dirs[:min(len(dirs), maxDepth)]
	both := make([]uint64, 2*len(dirs))
	p := Path{dirs: both[:len(dirs)], name: NewName(name), bases: both[len(dirs):]}
	for i, d := range dirs {
		p.dirs[i], p.bases[i] = hashString(d), baseHash(d)
	}
	return p
}

// baseHash is the hash of a directory's name up to the first sign, with numbers folded: what proj,
// proj-1.2, proj.old and proj_copy have in common.
func baseHash(name string) uint64 {
	h, f := hashStart, folder{text: name}
	for c, ok := f.next(); ok && (h == hashStart || isLetter(c) || c == digits); c, ok = f.next() {
		h = hashByte(h, c)
	}
	return h
}

// SourceFile is a file that is wanted. Path is where it will stand on this machine.
type SourceFile struct {
	Path  Path
	Size  int64 // bytes
	MTime int64 // nanoseconds since 1970
}

// Candidate is a file that is there.
type Candidate struct {
	Path  Path
	Size  int64 // bytes
	MTime int64 // nanoseconds since 1970
}

// Probability guesses how likely c holds a given chunk of s: the product of what size, name, time
// and place say. Only the order of the results means something. It allocates nothing.
func Probability(s *SourceFile, c *Candidate) float64 {
	p := fileProbability(s.Size, c.Size, s.MTime, c.MTime)
	if p == 0 {
		return 0
	}
	return p * NameSimilarity(&s.Path.name, &c.Path.name) * Commonality(s.Path.dirs, c.Path.dirs)
}

// fileProbability is pmc·pss·ptm.
func fileProbability(source, candidate, sourceTime, candidateTime int64) float64 {
	return maxChunks(source, candidate) * sizeSimilarity(source, candidate) * timeMatch(sourceTime, candidateTime)
}

// maxChunks is pmc: the share of the source file that fits in the candidate.
func maxChunks(source, candidate int64) float64 {
	switch {
	case source <= 0 || candidate <= 0:
		return 0
	case candidate >= source:
		return 1
	}
	return float64(candidate) / float64(source)
}

// sizeSimilarity is pss: 1 for equal sizes, 0.9 … 0.5 within a tenth, else 0.1.
func sizeSimilarity(source, candidate int64) float64 {
	if source == candidate {
		return 1
	}
	off := math.Abs(float64(source)-float64(candidate)) / (0.1 * float64(source))
	if off > 1 {
		return otherSize
	}
	return 0.9 - 0.4*off
}

// otherSize and otherTime are what sizes and times without likeness leave.
const (
	otherSize = 0.1
	otherTime = 0.7
)

// timeMatch is ptm: 1 for the same time, 1 … 0.9 within ten seconds, else 0.7.
func timeMatch(a, b int64) float64 {
	if a == b {
		return 1
	}
	off := math.Abs(float64(a)-float64(b)) / 10e9
	if off > 1 {
		return otherTime
	}
	return 1 - 0.1*off
}

// Commonality is ppc of two directories, given by the hashes of their names from the top.
// The same directory has 1. If the paths end alike, it is the length of the common end over the
// longer path; if they begin alike or share a middle part, it falls with each directory outside of
// that part. The larger counts. It allocates nothing.
func Commonality(a, b []uint64) float64 {
	a, b = a[:min(len(a), maxDepth)], b[:min(len(b), maxDepth)]
	end := commonEnd(a, b)
	longer := max(len(a), len(b))
	if end == longer {
		return 1
	}
	hops := len(a) + len(b) - 2*longestRun(a, b)
	return max(hopPowers[hops], float64(end)/float64(longer))
}

func commonEnd(a, b []uint64) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// longestRun is the length of the longest run of directories that both paths have.
func longestRun(a, b []uint64) int {
	best := 0
	for j := range b {
		for i := range a {
			if a[i] == b[j] && (i == 0 || j == 0 || a[i-1] != b[j-1]) { // else it is the end of a longer one
				best = max(best, commonStart(a[i:], b[j:]))
			}
		}
	}
	return best
}

func commonStart(a, b []uint64) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// Promise is how much a directory is worth looking into for what may lie further down: if its end is
// a part of the wanted directory's path, the rest of that path may follow below it. It is the
// commonality that the wanted directory's counterpart would have, less hopDecay for each step down
// to it; 0 without such an end. It allocates nothing.
func Promise(wanted, dir []uint64) float64 {
	wanted, dir = wanted[:min(len(wanted), maxDepth)], dir[:min(len(dir), maxDepth)]
	best := 0.0
	for i := range len(wanted) - 1 {
		run := commonEnd(wanted[:i+1], dir)
		if run == 0 {
			continue
		}
		below := len(wanted) - 1 - i
		longer := max(len(wanted), len(dir)+below)
		best = max(best, hopPowers[below]*float64(run+below)/float64(longer))
	}
	return best
}

// renamedPromise is the promise of a directory that has the place of one on the wanted path, but a
// name that only begins like that one's: a copy of the tree under another name. The
// directories above must be the same. It falls with each step down to the counterpart of the wanted
// directory.
func renamedPromise(wanted, bases, dir []uint64, base uint64) float64 {
	i := len(dir) - 1
	if i < 0 || i >= len(wanted) || bases[i] != base || wanted[i] == dir[i] || commonEnd(wanted[:i], dir[:i]) < i {
		return 0
	}
	return hopPowers[len(wanted)-1-i] * float64(len(wanted)-1) / float64(len(wanted))
}
