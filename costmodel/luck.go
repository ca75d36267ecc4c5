package costmodel

// Constants of luck.
const (
	lucky      = 0.8 // share of what the files hashed lately could have brought that they must have brought
	luckWeight = 0.1 // of one file in that
	fewFiles   = 4   // so many must have been hashed
)

// luck is which share of what they could have brought the files brought that were hashed lately.
type luck struct {
	share float64
	files int
}

func (l *luck) saw(share float64) {
	l.files++
	l.share += max(luckWeight, 1/float64(l.files)) * (share - l.share)
}

// Lucky says whether nearly all files that were hashed lately had what they were thought to have. The disk then
// probably has an older version of all that is wanted.
func (p *Planner) Lucky() bool { return p.Tried() && p.luck.share >= lucky }

// Tried says whether some files have been hashed that were thought to have something: guesses are no longer mere ones.
func (p *Planner) Tried() bool { return p.luck.files >= fewFiles }
