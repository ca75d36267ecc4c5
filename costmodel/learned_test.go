package costmodel

import (
	"fmt"
	"testing"
)

// farCopies is n wanted files, and n like each of them a few steps away.
func farCopies(n int) *Planner {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"home", "old", "copy"}, 0)
	for i := range n {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"srv", "new"}, fmt.Sprintf("%c", 'a'+i)), Size: 1 << (20 + i)})
		p.Want(p.Group(s), 64, 1<<20)
		p.AddFile(root, fmt.Sprintf("%c", 'a'+i), 1<<(20+i), 5e18)
	}
	return p
}

// promised is how many chunks the next HASH would bring, and does it: it finds so many.
func promised(t *testing.T, p *Planner, found int) float64 {
	t.Helper()
	op := mustStart(t, p)
	for op.Kind != OpHash {
		p.Done(op, Result{Seconds: op.Cost})
		op = mustStart(t, p)
	}
	chunks := op.Cost / op.CPC
	if found > 0 {
		p.Arrived(GroupID(p.files.at(op.ID).pairs.group[0]), found, int64(found)<<14)
	}
	p.Done(op, Result{Seconds: op.Cost, Units: op.Len, Found: found, Failed: true})
	return chunks
}

// Where the first files were what they looked like, the next ones are worth more; where not, less.
func TestGuessesAreLearned(t *testing.T) {
	for found, want := range map[int]func(first, later float64) bool{
		64: func(first, later float64) bool { return later > 2*first },
		0:  func(first, later float64) bool { return later < first/2 },
	} {
		p := farCopies(6)
		first := promised(t, p, found)
		promised(t, p, found)
		promised(t, p, found)
		if later := promised(t, p, found); !want(first, later) {
			t.Errorf("%d of 64 chunks found each time: %.2f promised first, %.2f later", found, first, later)
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
