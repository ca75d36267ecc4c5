package costmodel

// Constants of luck.
const (
	lucky      = 0.8 // share of what the files hashed lately could have brought that they must have brought
	luckWeight = 0.1 // in that, of one file that was thought to have all
	fewFiles   = 4   // so many must have been hashed
)

// luck is which share of what they were thought to have the files had that were hashed lately. One that was hardly thought
// to have anything tells hardly anything.
type luck struct {
	share  float64
	weight float64 // sum of the guesses
	files  int
}

// saw takes in a file that had this share of what it could have brought, and what was guessed of that.
func (l *luck) saw(share, guess float64) {
	l.files++
	if l.weight += guess; l.weight > 0 {
		l.share += guess * max(luckWeight, 1/l.weight) * (share - l.share)
	}
}

// Lucky says whether nearly all files that were hashed lately had what they were thought to have. The disk then
// probably has an older version of all that is wanted.
func (p *Planner) Lucky() bool { return p.Tried() && p.luck.weight >= 1 && p.luck.share >= lucky }

// Tried says whether some files have been hashed that were thought to have something: guesses are no longer mere ones.
func (p *Planner) Tried() bool { return p.luck.files >= fewFiles }
