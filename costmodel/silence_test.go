package costmodel

import (
	"fmt"
	"testing"
	"time"
)

// twoDisks is a planner that wants a file, with a place of some directories on device 0 and one on device 1.
func twoDisks(dirs int) *Planner {
	p := NewPlanner(Config{}, NewCosts())
	src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"home", "new"}, "f"), Size: 1 << 20})
	p.Want(p.Group(src), 64, 1<<20)
	for dev, top := range []string{"else", "new"} {
		id, _ := p.AddRoot([]string{"home", top}, Device(dev))
		op := Op{Kind: OpStat, Dev: Device(dev), ID: uint32(id)}
		p.Start(op)
		for i := range dirs {
			p.AddDir(id, fmt.Sprintf("dir%d", i), Device(dev))
		}
		p.Done(op, Result{Seconds: 1e-4, Units: int64(dirs)})
	}
	return p
}

// startOn starts the next operation, which must be on a device.
func startOn(t *testing.T, p *Planner, now time.Time, dev Device) Op {
	t.Helper()
	op, ok := p.Next(now)
	if !ok || op.Dev != dev || !p.Start(op) {
		t.Fatalf("next is %+v, %v", op, ok)
	}
	return op
}

// A device on which an operation was abandoned rests, is tried by one operation, and rests longer.
func TestSilentDeviceRests(t *testing.T) {
	p, now := twoDisks(9), time.Unix(1000, 0)
	one, two := startOn(t, p, now, 1), startOn(t, p, now, 1)
	now = now.Add(20 * time.Second)
	p.Abandoned(now, one, true)
	p.Abandoned(now.Add(time.Second), two, true)
	for i, pause := range []time.Duration{firstSilence, 2 * firstSilence, 4 * firstSilence} {
		p.Cancel(startOn(t, p, now.Add(pause-1), 0))
		now = now.Add(pause)
		try := startOn(t, p, now, 1)
		p.Cancel(startOn(t, p, now, 0)) // one is enough
		now = now.Add(time.Second)
		p.Abandoned(now, try, true)
		if left := p.queues[1][OpStat].live; left != 9-3-i {
			t.Errorf("%d directories wait on the device", left)
		}
	}
	now = now.Add(time.Hour)
	p.Done(startOn(t, p, now, 1), Result{Seconds: 1e-3})
	startOn(t, p, now, 1)
	startOn(t, p, now, 1)
}

// What was not tried waits for another time. The search is not over before, but it is after a few tries in vain.
func TestSilentDeviceIsHopedFor(t *testing.T) {
	p, now := twoDisks(1), time.Unix(1000, 0)
	op := startOn(t, p, now, 1)
	p.Done(startOn(t, p, now, 0), Result{Seconds: 1e-3})
	tries := 0
	for ; ; tries++ {
		p.Abandoned(now, op, false)
		p.Next(now)
		at, ok := p.Again()
		if !ok {
			break
		}
		if tries > 10 || !at.After(now) {
			t.Fatalf("again at %v, now %v", at, now)
		}
		now = at
		op = startOn(t, p, now, 1)
	}
	if tries != silentFor {
		t.Errorf("%d tries", tries)
	}
}

// Nothing is expected of a device while an operation on it is late, nor while it rests.
func TestNothingIsExpectedOfASilentDevice(t *testing.T) {
	p, now := twoDisks(0), time.Unix(1000, 0)
	src, _ := p.AddSource(SourceFile{Path: NewPath([]string{"home", "new"}, "g"), Size: 1 << 20})
	g := p.Group(src)
	p.Want(g, 64, 1<<20)
	dir, _ := p.AddRoot([]string{"home", "old"}, 1)
	p.AddFile(dir, "g", 1<<20, 0)
	chance := func() float64 {
		p.Plan()
		prob, _ := p.Chance(g)
		later, _ := p.Later(g)
		if (prob > 0) != (later > 0) {
			t.Errorf("chance %v, later %v", prob, later)
		}
		return prob
	}
	before := chance()
	op := startOn(t, p, now, 1)
	p.Late(op)
	late := chance()
	p.OnTime(op)
	again := chance()
	p.Abandoned(now, op, false)
	if rests := chance(); before == 0 || late != 0 || again == 0 || rests != 0 {
		t.Errorf("%v before, %v while late, %v after, %v while it rests", before, late, again, rests)
	}
	p.SetFull(1, true)
	if op, ok := p.Next(now.Add(time.Hour)); ok && op.Dev == 1 {
		t.Errorf("%+v is to be begun on a device that is full", op)
	}
}

// A sweep through an index that hangs says nothing of the devices.
func TestSilentIndex(t *testing.T) {
	p, now := twoDisks(3), time.Unix(1000, 0)
	p.AddCheck(1000)
	op, _, ok := p.checkOp(0)
	if !ok || !p.Start(op) {
		t.Fatal("nothing is looked up")
	}
	p.Abandoned(now, op, false)
	p.now = now
	if _, _, ok := p.checkOp(0); ok || p.shut(0) {
		t.Error("the index is asked, or the disk is shut")
	}
	if at, ok := p.nextTry(); !ok || !at.Equal(now.Add(firstSilence)) {
		t.Errorf("it is to be tried at %v, %v", at, ok)
	}
	p.now = now.Add(firstSilence)
	if _, _, ok := p.checkOp(0); !ok {
		t.Error("the index is not tried again")
	}
}
