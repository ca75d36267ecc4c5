package costmodel

import (
	"slices"
	"testing"
	"time"
)

// staleCopy is a planner that wants a file of 64 MiB, and knows an older version of it.
func staleCopy(t *testing.T, wantFirst bool) (*Planner, GroupID, FileID) {
	t.Helper()
	p := NewPlanner(Config{}, NewCosts())
	const size = 64 << 20
	want := func() GroupID {
		src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"home", "dest"}, "disk.img"), Size: size, MTime: 2e18})
		g := p.Group(src)
		p.Want(g, size/chunkBytes, size)
		return g
	}
	var g GroupID
	if wantFirst {
		g = want()
	}
	root, _ := p.AddRoot([]string{"home", "dest"}, 0)
	p.AddFile(root, "other.img", size, 1e18)
	f, ok := p.AddFile(root, "disk.img", size, 1e18)
	if !ok {
		t.Fatal("the file was not kept")
	}
	if !wantFirst {
		g = want()
	}
	return p, g, f
}

// hashNext starts the next HASH operation.
func hashNext(t *testing.T, p *Planner, now time.Time) Op {
	t.Helper()
	for {
		op, ok := p.Next(now)
		if !ok {
			t.Fatal("nothing to hash")
		}
		p.Start(op)
		if op.Kind == OpHash {
			return op
		}
		p.Done(op, Result{Seconds: 1e-4, Units: 1})
	}
}

// A file under way is expected to bring what the rest of it brings, not only the slice that is read now.
func TestChanceCountsTheWholeFile(t *testing.T) {
	p, g, _ := staleCopy(t, true)
	if prob, _ := p.Chance(g); prob != 0 {
		t.Errorf("chance %.2f before any plan", prob)
	}
	p.Plan()
	before, _ := p.Chance(g)
	hashNext(t, p, time.Unix(0, 0))
	p.Plan()
	prob, seconds := p.Chance(g)
	if prob < 0.5 || prob < before-0.01 {
		t.Errorf("chance %.2f while the file is hashed, %.2f before", prob, before)
	}
	if whole := 64 << 20 * p.PerByte(0); seconds < 0.9*whole {
		t.Errorf("expected within %.4f s; the file takes %.4f", seconds, whole)
	}
}

// A file that was listed before anybody wanted one of its name is matched as soon as one is wanted, however
// the sweep is paused.
func TestNamesakesAreMatchedAtOnce(t *testing.T) {
	now := time.Unix(0, 0)
	p, g, f := staleCopy(t, false)
	p.Next(now) // the sweep has had its turn
	if got := p.Reconsider(f, 0.5); !slices.Equal(got, []GroupID{g}) {
		t.Errorf("likely groups %v, want %d", got, g)
	}
	if op := hashNext(t, p, now); op.ID != uint32(f) {
		t.Errorf("file %d is hashed first, not %d", op.ID, f)
	}
}

// Only a file of the very name is likely, whatever its probability.
func TestLikelyAsksForTheName(t *testing.T) {
	p, _, f := staleCopy(t, true)
	if got := p.Reconsider(f-1, 0); len(got) != 0 {
		t.Errorf("another name: %v", got)
	}
	if got := p.Reconsider(f, 0.99); len(got) != 0 {
		t.Errorf("too much is asked: %v", got)
	}
}
