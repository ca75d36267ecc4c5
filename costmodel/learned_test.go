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
		p.Arrived(GroupID(p.files.at(op.ID).group), found, int64(found)<<14)
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
	low, high := float64(guessOf(0.1, false)), float64(guessOf(0.6, false))
	for range 100 {
		l.saw(low, 1)
	}
	if got := l.correct(low); got < 0.8 {
		t.Errorf("0.1 that always holds: %v", got)
	}
	if got := l.correct(high); got != high {
		t.Errorf("0.6 of which nothing is known: %v", got)
	}
	for range 100 {
		l.saw(low, 0)
	}
	if got := l.correct(low); got > 0.05 {
		t.Errorf("0.1 that no longer holds: %v", got)
	}
}

// TestTwinsAreLearnedApart: files that have the size of a wanted one, and a name like its, are believed by what other such
// files held, wherever they lie, and not by what unlike files held that lie as far away.
func TestTwinsAreLearnedApart(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	root, _ := p.AddRoot([]string{"a", "b"}, 0)
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"srv", "new"}, "tool-1.1.bin"), Size: 1 << 20, MTime: 1})
	p.Want(p.Group(s), 64, 1<<20)
	twin, _ := p.AddFile(root, "tool-1.0.bin", 1<<20, 9)
	other, _ := p.AddFile(root, "tool-1.0.bin", 1<<20+1, 9)
	chance := func(f FileID) float64 {
		_, prob := p.pair(p.files.at(uint32(f)), 0)
		return p.learned.correct(float64(prob))
	}
	first, unlike := chance(twin), chance(other)
	for range 10 {
		p.learned.saw(unlike, 0)
	}
	if got := chance(twin); got != first {
		t.Errorf("a twin has %v after files that are none failed, had %v", got, first)
	}
	for range 3 {
		p.learned.saw(float64(guessOf(0.9, true)), 1)
	}
	if got := chance(twin); got < 0.6 {
		t.Errorf("a twin has %v after other twins had all", got)
	}
	if got := chance(other); got > unlike {
		t.Errorf("what is no twin has %v after twins elsewhere had all, had %v", got, unlike)
	}
}

// TestLikelierOfATwin: of two guesses of one group the larger counts, and one of a twin makes it one of a twin.
func TestLikelierOfATwin(t *testing.T) {
	for _, twins := range [][2]bool{{false, false}, {true, false}, {false, true}} {
		got := likelier(guessOf(0.25, twins[0]), guessOf(0.5, twins[1]))
		if off := got - 0.5; off < -1e-6 || off > 1e-6 || isTwin(float64(got)) != (twins[0] || twins[1]) {
			t.Errorf("%v: %v, twin %v", twins, got, isTwin(float64(got)))
		}
	}
}

// When guesses rise, all files that wait with such a one are raised, a bounded number at a time.
func TestRisenGuessesReachAll(t *testing.T) {
	p := farCopies(1)
	for i := range 2 * raiseStep {
		p.AddFile(0, fmt.Sprint("a", i), 1<<20, int64(i))
	}
	before := make([]float32, p.files.n)
	class := classOf(float64(p.files.at(1).prob))
	for i := range before {
		before[i] = p.files.at(uint32(i)).key
	}
	p.learned[class] = learnClass{hits: 9, tries: 9, usedHits: 9, usedTries: 9}
	p.raise.begin(1<<class, p.files.n)
	raised := 0
	for steps := 1; p.raise.left > 0; steps++ {
		p.raise.step(p)
		was := raised
		raised = 0
		for i := range before {
			if p.files.at(uint32(i)).key < before[i] {
				raised++
			}
		}
		if raised-was > raiseStep {
			t.Fatalf("step %d raised %d files", steps, raised-was)
		}
	}
	want := 0
	for i := range before {
		if p.guessed(p.files.at(uint32(i)), 1<<class) {
			want++
		}
	}
	if raised != want || want < raiseStep {
		t.Errorf("%d of %d files were raised", raised, want)
	}
	if p.raise.classes != 0 {
		t.Errorf("classes %b still count as risen", p.raise.classes)
	}
}
