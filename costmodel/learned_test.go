package costmodel

import (
	"fmt"
	"testing"
)

// farCopies is a wanted tree of n files, and as many files of the same names and sizes a few steps away.
func farCopies(n int) *Planner {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"home", "old", "copy"}, 0)
	for i := range n {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"srv", "new"}, fmt.Sprintf("%c%c%c", 'a'+i, 'z'-i, 'a'+i)), Size: 1 << 20})
		p.Want(p.Group(s), 64, 1<<20)
		p.AddFile(root, fmt.Sprintf("%c%c%c", 'a'+i, 'z'-i, 'a'+i), 1<<20, 5e18)
	}
	return p
}

// hashNext does the next HASH, which finds so many chunks, and returns what it promised.
func hashNext(t *testing.T, p *Planner, found int) Op {
	t.Helper()
	op := mustStart(t, p)
	for op.Kind != OpHash {
		p.Done(op, Result{Seconds: op.Cost})
		op = mustStart(t, p)
	}
	if found > 0 {
		p.Arrived(GroupID(p.files.at(op.ID).pairs.group[0]), found, int64(found)<<14)
	}
	p.Done(op, Result{Seconds: op.Cost, Units: op.Len, Found: found, Failed: true})
	return op
}

// Where the first files were what they looked like, the next ones are worth more; where not, less.
func TestGuessesAreLearned(t *testing.T) {
	for found, want := range map[int]func(first, later Op) bool{
		64: func(first, later Op) bool { return later.Useful > 2*first.Useful },
		0:  func(first, later Op) bool { return later.Useful < first.Useful/2 },
	} {
		p := farCopies(20)
		first := hashNext(t, p, found)
		for range 5 {
			hashNext(t, p, found)
		}
		if later := mustStart(t, p); !want(first, later) {
			t.Errorf("%d of 64 chunks found each time: %d bytes promised first, %d later", found, first.Useful, later.Useful)
		}
	}
}

// What was learned of one class of guesses leaves the others alone, and is forgotten after enough of
// the contrary.
func TestLearnedClasses(t *testing.T) {
	var l learned
	for range 100 {
		l.saw(0.1, 1)
	}
	if got := l.correct(0.1); got < 0.8 {
		t.Errorf("0.1 that always holds: %v", got)
	}
	if got := l.correct(0.6); got != 0.6 {
		t.Errorf("0.6 of which nothing is known: %v", got)
	}
	for range 100 {
		l.saw(0.1, 0)
	}
	if got := l.correct(0.1); got > 0.05 {
		t.Errorf("0.1 that no longer holds: %v", got)
	}
}
