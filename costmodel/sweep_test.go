package costmodel

import (
	"fmt"
	"testing"
	"time"
)

// TestSweepReachesWhatWasThere: what is found while the comparison goes round takes no turn from what was there before it began.
func TestSweepReachesWhatWasThere(t *testing.T) {
	p := NewPlanner(Config{}, unitCosts())
	d, _ := p.AddRoot([]string{"d"}, 0)
	more := func(n int) {
		for range n {
			p.AddFile(d, fmt.Sprint("f", p.files.n), int64(1<<20+p.files.n), 1)
		}
	}
	now := start
	want := func(name string) {
		s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, name), Size: 1 << 20, MTime: 1})
		p.Want(p.Group(s), 64, 1<<20)
	}
	more(3 * sweepStep)
	want("a")
	for range 2 {
		p.Next(now)
		now = now.Add(sweepPause)
	}
	want("b") // compared with a part of them already
	before := p.files.n
	reached := map[uint32]bool{}
	for p.sweep.waits() {
		more(sweepStep)
		from := p.sweep.files.next
		p.Next(now)
		now = now.Add(sweepPause)
		for i := range uint32(sweepStep) {
			reached[(from+i)%uint32(before)] = true
		}
		if p.sweep.files.next > uint32(before) {
			t.Fatalf("file %d is compared, which was found since", p.sweep.files.next)
		}
	}
	if len(reached) != before {
		t.Errorf("%d of %d files had their turn", len(reached), before)
	}
}

// With many files the comparison goes round in steps, and every file gets its turn.
func TestSweepReachesAll(t *testing.T) {
	p := NewPlanner(Config{}, unitCosts())
	d, _ := p.AddRoot([]string{"d"}, 0)
	const n = 5*sweepStep + 7
	for i := range n {
		p.AddFile(d, fmt.Sprint("f", i), int64(1<<20+i), 1)
	}
	s, _ := p.AddSource(SourceFile{Path: NewPath([]string{"d"}, "a"), Size: 1 << 20, MTime: 1})
	p.Want(p.Group(s), 64, 1<<20)
	p.Next(start)
	if left := p.sweep.files.left; left != n-sweepStep {
		t.Errorf("%d files left after a step of %d", left, sweepStep)
	}
	if p.Next(start.Add(sweepPause - 1)); p.sweep.files.left != n-sweepStep {
		t.Error("the next step came too early")
	}
	for i := range 6 {
		p.Next(start.Add(time.Duration(i+1) * sweepPause))
	}
	for id := range uint32(n) {
		if p.files.at(id).state != queued {
			t.Fatalf("file %d was not compared", id)
		}
	}
}

// Sweeps through the index are short on a fast network, long on a slow one, and one at a time.
func TestSweepsAreShort(t *testing.T) {
	p, _, _ := wantOne(Config{}, "a", 1<<20)
	p.AddCheck(1 << 20)
	sweep := func() Op {
		op, _, ok := p.checkOp(0)
		if !ok {
			t.Fatal("no sweep")
		}
		return op
	}
	p.SetNetwork(1e-11)
	fast := sweep()
	p.SetNetwork(1e-6)
	slow := sweep()
	if fast.Len > 2000 || slow.Len != maxCheck {
		t.Errorf("%d ids beside a fast network, %d beside a slow one", fast.Len, slow.Len)
	}
	for range 20 {
		op := sweep()
		p.Start(op)
		if _, _, ok := p.checkOp(0); ok {
			t.Fatal("a second sweep beside one")
		}
		p.Done(op, Result{Seconds: 1e-3 * float64(op.Len), Units: op.Len})
		p.SetNetwork(1e-11)
	}
	if op := sweep(); op.Len != leastCheck {
		t.Errorf("%d ids that take a millisecond each", op.Len)
	}
	op := sweep()
	p.Start(op)
	p.Cancel(op)
	if again := sweep(); again.Len != op.Len {
		t.Errorf("%d ids after a sweep of %d was taken back", again.Len, op.Len)
	}
}

// Nothing is hashed while the index is asked, unless it has known less than half so far.
func TestHashingWaitsForTheIndex(t *testing.T) {
	p, _, d := wantOne(Config{}, "a", 64)
	p.AddFile(d, "a", 1<<20, 1)
	for _, found := range []int{64, 10} {
		p.AddCheck(64)
		check := Op{Kind: OpCheck, Len: 64}
		if !p.Start(check) {
			t.Fatal("the sweep does not begin")
		}
		if op, ok := p.Next(start); ok && op.Kind == OpHash {
			t.Errorf("beside the sweep: %+v", op)
		}
		p.Done(check, Result{Units: 64, Found: found})
		if op := mustStart(t, p); op.Kind != OpHash {
			t.Errorf("after the sweep: %+v", op)
		} else {
			p.Cancel(op)
		}
	}
	p.AddCheck(1000)
	p.Start(Op{Kind: OpCheck, Len: 500})
	p.Done(Op{Kind: OpCheck, Len: 500}, Result{Units: 500})
	p.Start(Op{Kind: OpCheck, Len: 500})
	if op := mustStart(t, p); op.Kind != OpHash {
		t.Errorf("beside a sweep that will find little: %+v", op)
	}
}
