package fetch

import (
	"slices"
	"testing"
	"time"

	"dfetch/costmodel"
)

// The first look at the disk may be one into the index: nothing is asked of a far network before it has shown what there is.
// A sweep that does not come back keeps the search for a moment only.
func TestFirstLookIntoTheIndex(t *testing.T) {
	c := NewCore(CoreConfig{Search: true, Index: true})
	now := time.Unix(1000, 0)
	c.Step(now, Event{Kind: EvUp, RTT: 100 * time.Millisecond})
	c.Step(now, Event{Kind: EvRoot, Root: []string{"home", "old"}})
	c.Step(now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home", "new"}, Name: "a", Size: 100 << 20, MTime: 2e18}})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(6400, 16<<10)})
	c.Step(now, Event{Kind: EvPlanDone})
	actions, wake := c.Next(now)
	if len(actions) != 1 || actions[0].Kind != ActCheck || wake.IsZero() {
		t.Errorf("at first %v, then at %v", actions, wake)
	}
	listed, asked := false, false
	for range 10 {
		now = now.Add(100 * time.Millisecond)
		actions, _ := c.Next(now)
		listed = listed || slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == ActStat })
		asked = asked || slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == ActRequest })
	}
	if !listed || !asked {
		t.Errorf("beside a sweep that hangs: listed %v, asked %v", listed, asked)
	}
}

// A sweep that is under way takes no trust from the disk.
func TestTrustBesideASweep(t *testing.T) {
	o := newOldTree(2000, 4000)
	o.until(t, "in luck", o.lucky)
	s := o.c.search
	held := func() (n int) {
		o.c.order(o.now)
		for i := range s.groups {
			if g := &s.groups[i]; g.first < g.end && o.c.at(uint64(i)).fresh() && g.held {
				n++
			}
		}
		return n
	}
	before := held()
	s.planner.AddCheck(1000)
	if op, ok := s.planner.Next(o.now); !ok || op.Kind != costmodel.OpCheck || !s.planner.Start(op) {
		t.Fatalf("a %s, no sweep", op.Kind)
	}
	if now := held(); before == 0 || now != before {
		t.Errorf("%d groups are held back, %d before the sweep", now, before)
	}
}

// An operation that takes much longer than it should takes no more off the plan than that.
func TestSlowOperationBringsTheRestNoNearer(t *testing.T) {
	o := newOldTree(200, 4000)
	actions := o.next()
	s := o.c.search
	for _, a := range actions {
		if a.Kind != ActStat {
			continue
		}
		ev := o.listing(a.ID)
		ev.Seconds, ev.Cached = 30, false
		o.now = o.now.Add(30 * time.Second)
		o.step(ev)
	}
	if got := s.through(20); s.hold.ended > 1 || got == 0 {
		t.Errorf("%.1f s have been taken off: what takes 20 s will be through in %.1f", s.hold.ended, got)
	}
}
