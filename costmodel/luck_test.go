package costmodel

import (
	"fmt"
	"testing"
	"time"
)

// manyCopies is a planner that wants n files, of which a listed directory has older versions; it has a directory to
// list besides.
func manyCopies(n int) (*Planner, []GroupID) {
	p := NewPlanner(Config{PlanOps: 2}, NewCosts())
	var groups []GroupID
	for i := range n {
		src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"home", "new"}, fmt.Sprintf("%cfile", 'a'+i)), Size: 1 << 20, MTime: 2e18})
		g := p.Group(src)
		p.Want(g, 64, 1<<20)
		groups = append(groups, g)
	}
	root, _ := p.AddRoot([]string{"home", "old"}, 0)
	p.Start(Op{Kind: OpStat, ID: uint32(root)})
	for i := range n {
		p.AddFile(root, fmt.Sprintf("%cfile", 'a'+i), 1<<20, 1e18)
	}
	p.AddDir(root, "more", 0)
	p.Done(Op{Kind: OpStat, ID: uint32(root)}, Result{Seconds: 1e-4, Units: int64(n)})
	return p, groups
}

// hashAll hashes the next n files; each has so many of its 64 chunks.
func hashAll(t *testing.T, p *Planner, n, found int) {
	t.Helper()
	for range n {
		op := hashNext(t, p, time.Unix(0, 0))
		f := p.files.at(op.ID)
		g := GroupID(f.group)
		for i := range int(f.pairs) { // the one of its name
			if of, _ := p.pair(f, i); p.namesakes(f, of) {
				g = GroupID(of)
			}
		}
		p.Arrived(g, found, int64(found)*chunkBytes)
		p.Done(op, Result{Seconds: 1e-3, Units: op.Len, Found: found})
	}
}

// Luck needs some files that had nearly all, and goes with a few that had nothing.
func TestLuckComesAndGoes(t *testing.T) {
	p, _ := manyCopies(20)
	hashAll(t, p, fewFiles-1, 64)
	if p.Lucky() || p.Tried() {
		t.Errorf("luck after %d files", fewFiles-1)
	}
	hashAll(t, p, 5, 64)
	if !p.Lucky() || 1-p.luck.share > 0.01 {
		t.Errorf("no luck though every file had all; lacking %.2f", 1-p.luck.share)
	}
	hashAll(t, p, 4, 0)
	if p.Lucky() || !p.Tried() {
		t.Errorf("luck after four files that had nothing; lacking %.2f", 1-p.luck.share)
	}
}

// What a plan does not reach is known by its likeliest file, until that was hashed.
func TestLaterKnowsTheLikeliestFile(t *testing.T) {
	p, groups := manyCopies(20)
	p.Plan()
	beyond := 0
	for _, g := range groups {
		if chance, _ := p.Chance(g); chance > 0 {
			continue
		}
		beyond++
		prob, seconds := p.Later(g)
		if !(prob > 0 && prob <= 1) || !(seconds > 0) || !p.Namesake(g) || !p.Placed(g) || !p.Waits(g) {
			t.Errorf("group %d: probability %.2f, %.4f s", g, prob, seconds)
		}
	}
	if beyond < 10 {
		t.Fatalf("the plan reaches all but %d groups", beyond)
	}
	hashAll(t, p, 20, 0)
	for _, g := range groups {
		if prob, _ := p.Later(g); prob != 0 || p.Waits(g) || !p.Placed(g) {
			t.Errorf("group %d is expected of a file that was hashed: %.2f", g, prob)
		}
	}
}

// A wanted file of which nothing alike was seen has no place, and no listing is taken for a hash.
func TestUnseenFilesHaveNoPlace(t *testing.T) {
	p := NewPlanner(Config{}, NewCosts())
	src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"home", "new"}, "file"), Size: 1 << 20})
	g := p.Group(src)
	p.Want(g, 64, 1<<20)
	if prob, _ := p.Later(g); prob != 0 || p.Placed(g) || p.Namesake(g) || p.Waits(g) {
		t.Error("a file is known for it")
	}
	if op, ok := p.NextStat(); ok {
		t.Errorf("%v to be listed", op)
	}
	p, _ = manyCopies(3)
	if op, ok := p.NextStat(); !ok || op.Kind != OpStat {
		t.Errorf("%v instead of a listing", op)
	}
}

// Tiny reads that take long say nothing of what a byte costs.
func TestTinyReadsTeachNoByte(t *testing.T) {
	c := NewCosts()
	c.Calibrate(0, Cold, Rate{PerOp: 1}, Rate{PerOp: 1e-4, PerUnit: 1e-9})
	for range 50 {
		c.ObserveRead(0, Cold, 40, 5e-3)
	}
	if r := c.Read(0); !near(r.PerUnit, 1e-9, 1e-6) || !near(r.PerOp, 5e-3, 0.1) {
		t.Errorf("got %+v, want 5 ms and 1 ns", r)
	}
	for range 50 {
		c.ObserveRead(0, Cold, 40, 1e-4)
	}
	if r := c.Read(0); !near(r.PerOp, 1e-4, 0.1) {
		t.Errorf("got %+v, want 0.1 ms", r)
	}
}

// Files that were hardly thought to have anything don't end luck when they have nothing, nor bring it when they have.
func TestWildGuessesTellNothingOfLuck(t *testing.T) {
	p, _ := manyCopies(20)
	hashAll(t, p, 8, 64)
	for range 100 {
		p.luck.saw(0, 1e-4)
	}
	if !p.Lucky() {
		t.Errorf("no luck after files that nobody expected anything of; %.2f of what was expected came", p.luck.share)
	}
	q, _ := manyCopies(20)
	for range 100 {
		q.luck.saw(1, 1e-4)
	}
	if q.Lucky() {
		t.Error("luck by files that nobody expected anything of")
	}
}
