package costmodel

import (
	"testing"
	"time"
)

// A sweep starts before the last run is read, so that there is something to read when that has ended. It waits for its turn
// while there is enough to read, or while the index knows little.
func TestSweepsRunAheadOfReads(t *testing.T) {
	p, g, _ := wantOne(Config{}, "a", 64)
	for _, r := range []Residency{Cold, Cached} {
		p.costs.Calibrate(0, r, Rate{PerOp: 1}, Rate{PerUnit: 1e-9})
	}
	next := func(want OpKind, after string) Op {
		t.Helper()
		op, ok := p.Next(start)
		if !ok || op.Kind != want || !p.Start(op) {
			t.Errorf("%s: a %s, want a %s", after, op.Kind, want)
		}
		return op
	}
	p.AddCheck(200)
	sweep := next(OpCheck, "at first")
	p.AddRun(0, 1<<20, []Hit{{g, 50}})
	p.Done(sweep, Result{Seconds: 10e-3, Units: 200, Found: 200})
	p.AddCheck(100)
	sweep = next(OpCheck, "with a run that is soon read")
	p.AddRun(0, 64<<20, []Hit{{g, 4000}})
	p.Done(sweep, Result{Seconds: 5e-3, Units: 100, Found: 100})
	p.AddCheck(100)
	next(OpRead, "with much to read")
	next(OpCheck, "with little left to read")
}

// What a sweep finds need not be searched for: nothing is listed or hashed beside it, as long as the index knows much.
func TestNothingIsSearchedBesideASweep(t *testing.T) {
	p, _, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a-old", 1<<20, 1)
	p.AddDir(d, "e", 0)
	p.AddCheck(64)
	sweep := mustStart(t, p)
	if op, ok := p.Next(start); sweep.Kind != OpCheck || ok {
		t.Errorf("%s beside a %s", op.Kind, sweep.Kind)
	}
	late, ok := p.Again()
	if !ok || !late.After(start) {
		t.Errorf("again at %v, %v", late, ok)
	}
	if op, ok := p.Next(late); !ok || op.Kind != OpHash && op.Kind != OpStat {
		t.Errorf("%s, %v while the sweep is late", op.Kind, ok)
	}
	p.Done(sweep, Result{Seconds: 1e-3, Units: 64})
	kinds := map[OpKind]bool{mustStart(t, p).Kind: true, mustStart(t, p).Kind: true}
	if !kinds[OpStat] || !kinds[OpHash] {
		t.Errorf("after a sweep that found nothing: %v", kinds)
	}
	p.AddDir(d, "f", 0)
	p.AddCheck(64)
	kinds = map[OpKind]bool{mustStart(t, p).Kind: true, mustStart(t, p).Kind: true}
	if !kinds[OpStat] || !kinds[OpCheck] {
		t.Errorf("with an index that knows nothing: %v", kinds)
	}
}

// Runs that are nearly as good as each other are read in the order of their file.
func TestRunsAreReadInOrder(t *testing.T) {
	p, g, _ := wantOne(Config{}, "a", 4096)
	for _, chunks := range []int{500, 530, 510, 520} {
		p.AddRun(0, 8<<20, []Hit{{g, chunks}})
	}
	p.AddRun(0, 8<<20, []Hit{{g, 4000}})
	for _, want := range []uint32{4, 0, 1, 2, 3} {
		if op := mustStart(t, p); op.Kind != OpRead || op.ID != want {
			t.Errorf("%s %d, want run %d", op.Kind, op.ID, want)
		}
	}
}

// While the runs that are being read have all that is wanted, nothing is hashed; once they lack something, or have ended, it
// is.
func TestRunsThatHaveAllMakeHashingNeedless(t *testing.T) {
	hashes := func(p *Planner) bool {
		op, ok := p.Next(start)
		return ok && op.Kind == OpHash
	}
	p, g, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a-old", 1<<20, 1)
	p.AddRun(0, 1<<19, []Hit{{g, 30}})
	p.AddRun(0, 1<<19, []Hit{{g, 34}})
	first := mustStart(t, p)
	if p.runsHaveAll() {
		t.Error("one of two runs has all")
	}
	second := mustStart(t, p)
	if second.Kind != OpRead || hashes(p) {
		t.Errorf("after %s: a file is hashed beside the runs", second.Kind)
	}
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, "a"), Size: 1 << 20})
	p.Want(p.Group(s), 1, 1<<14)
	if !hashes(p) {
		t.Error("a chunk that no run has is not looked for")
	}
	p.Arrived(p.Group(s), 1, 1<<14)
	p.Done(first, Result{Seconds: 1, Units: 1 << 19})
	if !hashes(p) {
		t.Error("what a run did not bring is not looked for")
	}
}

// A run that takes much longer than it should does not keep files from being hashed; one that waits for others of its device
// may take as long as all of them.
func TestLateRunsKeepNothingBack(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a-old", 1<<20, 1)
	p.AddRun(0, 1<<19, []Hit{{g, 30}})
	p.AddRun(0, 1<<19, []Hit{{g, 34}})
	first, second := mustStart(t, p), mustStart(t, p)
	seconds := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	one := seconds(runSlow*first.Cost + runSlack)
	both := seconds(runSlow*(first.Cost+second.Cost) + runSlack)
	if op, ok := p.Next(one.Add(-time.Nanosecond)); ok {
		t.Errorf("%s while both runs are in time", op.Kind)
	}
	if at, ok := p.Again(); !ok || !at.Equal(one) {
		t.Errorf("again at %v, %v; want %v", at, ok, one)
	}
	if op, ok := p.Next(one); !ok || op.Kind != OpHash {
		t.Errorf("after the first is late: %s, %v", op.Kind, ok)
	}
	p.Arrived(g, 34, 34<<14) // what the first one has: it is worth most
	if op, ok := p.Next(both.Add(-time.Nanosecond)); ok {
		t.Errorf("%s while the second run has the rest, and is in time", op.Kind)
	}
	if op, ok := p.Next(both); !ok || op.Kind != OpHash {
		t.Errorf("after both are late: %s, %v", op.Kind, ok)
	}
	if at, ok := p.Again(); ok {
		t.Errorf("again at %v", at)
	}
}

// Indexed chunks are read before anything is searched for.
func TestRunsComeFirst(t *testing.T) {
	p, g, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a-old", 1<<20, 1)
	p.AddRun(0, 1<<20, []Hit{{g, 64}})
	if op := mustStart(t, p); op.Kind != OpRead || op.Useful < 900<<10 {
		t.Errorf("got %+v", op)
	}
}
