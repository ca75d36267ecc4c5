package fetch

import (
	"testing"
	"time"

	"dfetch/costmodel"
)

// recalled tells a core of a run that holds some chunks of file 0.
func recalled(first uint64, n int) Event {
	return Event{Kind: EvRecalled, Runs: []IndexRun{{Bytes: int64(n) << 14, Ranges: []Range{{first, uint32(n)}},
		Hits: []costmodel.Hit{{Chunks: n}}}}}
}

// serve answers what is asked of the network, for a while, and counts it.
func serve(c *Core, now time.Time) (asked int) {
	for range 100 {
		actions, _ := c.Next(now)
		now = now.Add(10 * time.Millisecond)
		for _, a := range actions {
			if a.Kind == ActRequest {
				asked += count([]Action{a}, ActRequest)
				c.Step(now, Event{Kind: EvArrived, Ranges: a.Ranges})
			}
		}
	}
	return asked
}

// The chunks of a run that is to be read, and what is missing between them, wait until it was read.
func TestPromisedChunksWait(t *testing.T) {
	c, now := zoomCore(20, 40*time.Millisecond)
	c.Step(now, recalled(0, 20))
	actions, _ := c.Next(now)
	if count(actions, ActRequest) != 0 || len(actions) == 0 || actions[0].Kind != ActRead {
		t.Fatalf("read, and nothing asked for: %v", actions)
	}
	c.Step(now, Event{Kind: EvFound, Ranges: []Range{{0, 19}}})
	if actions, _ = c.Next(now); count(actions, ActRequest) != 0 {
		t.Fatalf("asked for while the run is read: %v", actions)
	}
	c.Step(now, Event{Kind: EvRead, ID: 0, Found: 19, Units: 20 << 14, Seconds: 1e-3})
	if actions, _ = c.Next(now); count(actions, ActRequest) != 1 {
		t.Fatalf("the chunk that the run did not have: %v", actions)
	}
}

// A read that never ends does not hold the network up.
func TestPromisesLapse(t *testing.T) {
	c, now := zoomCore(20, 40*time.Millisecond)
	c.Step(now, recalled(0, 20))
	c.Next(now)
	for range 400 {
		now = now.Add(10 * time.Millisecond)
		if actions, _ := c.Next(now); count(actions, ActRequest) > 0 {
			return
		}
	}
	t.Error("nothing was asked for in four seconds")
}

// A read that never ends does not hold the network up while more runs are told of, either.
func TestEachPromiseLapses(t *testing.T) {
	const chunks, each = 2000, 20
	c, now := zoomCore(chunks, 40*time.Millisecond)
	for i := range uint64(40) {
		c.Step(now, recalled(i*each, each))
		actions, wake := c.Next(now)
		if wake.IsZero() || wake.Before(now) {
			t.Fatalf("asks again at %v, now is %v", wake, now)
		}
		now = now.Add(50 * time.Millisecond)
		for _, a := range actions {
			if a.Kind != ActRequest {
				continue
			}
			if a.Ranges[0].First == 0 {
				return
			}
			c.Step(now, Event{Kind: EvArrived, Ranges: a.Ranges})
		}
	}
	t.Error("the first run's chunks were not asked for in two seconds")
}

// However long a decision takes, planning takes no more than its part of the time: either the core is told of it,
// or the pause is long enough for it.
func TestPlanningKeepsToItsPart(t *testing.T) {
	for _, took := range []time.Duration{10 * time.Microsecond, 90 * time.Microsecond, 500 * time.Microsecond, 990 * time.Microsecond, 20 * time.Millisecond} {
		c, begin := zoomCore(1, 40*time.Millisecond)
		var sum time.Duration
		now := begin
		for now.Sub(begin) < 10*time.Second {
			c.order(now)
			now = now.Add(took)
			sum += took
			if took >= slowDecision {
				c.Step(now, Event{Kind: EvDecided, Seconds: took.Seconds()})
			}
			if v := c.cpu.AllowPlan(now); !v.Allow {
				now = v.Again
			}
		}
		if share := sum.Seconds() / now.Sub(begin).Seconds(); share > 1.01/planParts {
			t.Errorf("decisions of %v take %.1f %% of the time", took, 100*share)
		}
	}
}

// Chunks that are planned after a run that names them was told are not held for ever.
func TestPlannedAfterThePromise(t *testing.T) {
	c, now := zoomCore(2, 40*time.Millisecond)
	c.planDone = false
	c.Step(now, recalled(0, 6))
	c.Next(now)
	c.Step(now, Event{Kind: EvPlanned, First: 2, Lens: lensOf(4, 16<<10)})
	c.Step(now, Event{Kind: EvRead, ID: 0, Units: 6 << 14, Seconds: 1e-3})
	if asked := serve(c, now); asked != 6 {
		t.Errorf("%d of 6 chunks were asked for", asked)
	}
}

// While an older version is hashed, the network is not asked for what it will very likely bring; when it has
// not brought it, the network is.
func TestStaleCopyIsWaitedFor(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCore(CoreConfig{Search: true})
	step := func(ev Event) { c.Step(now, ev) }
	step(Event{Kind: EvUp, RTT: 40 * time.Millisecond})
	step(Event{Kind: EvRoot, Root: []string{"home"}})
	step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"home"}, Name: "f", Size: 100 << 14, MTime: 2e18, Chunks: 100}})
	// The list of its chunks is not here yet, and the disk is searched all the same.
	actions, _ := c.Next(now)
	if len(actions) == 0 || actions[0].Kind != ActStat {
		t.Fatalf("not searched: %v", actions)
	}
	step(Event{Kind: EvStated, Files: []DiskFile{{Name: "f", Size: 100 << 14, MTime: 1e18}}, Seconds: 1e-4, Units: 1})
	if actions, _ = c.Next(now); len(actions) == 0 || actions[0].Kind != ActHash {
		t.Fatalf("not hashed: %v", actions)
	}
	step(Event{Kind: EvPlanned, Lens: lensOf(100, 16<<10)})
	step(Event{Kind: EvPlanDone})
	if actions, _ = c.Next(now); count(actions, ActRequest) != 0 {
		t.Fatalf("asked for though the stale copy is being hashed: %v", actions)
	}
	step(Event{Kind: EvFound, Ranges: []Range{{0, 90}}})
	step(Event{Kind: EvHashed, Units: 100 << 14, Seconds: 5e-3, Found: 90, Failed: true})
	now = now.Add(20 * time.Millisecond)
	if asked := serve(c, now); asked != 10 {
		t.Errorf("%d of the 10 missing chunks were asked for", asked)
	}
}

// The loop measures a decision only if planning may be a part of it.
func TestPlanningIsForeseen(t *testing.T) {
	for seed := range uint64(5) {
		w, _ := diskWorld(seed, CoreConfig{Search: true})
		w.runPlanned(time.Hour, w.lens)
		if w.planned == 0 || w.unseen > 0 {
			t.Errorf("world %d: %d of %d decisions planned without notice", seed, w.unseen, w.planned)
		}
	}
}
