package fetch

import (
	"fmt"
	"testing"
	"time"
)

// lateCore is a core with a source that is 40 ms away, and a directory of n small files that were hashed before anybody
// wanted them. Of each a version of another size will be wanted, so none of its chunks was found.
func lateCore(t *testing.T, n int) (*Core, time.Time) {
	t.Helper()
	now := time.Unix(1000, 0)
	c := NewCore(CoreConfig{Search: true})
	step := func(ev Event) { c.Step(now, ev) }
	step(Event{Kind: EvUp, RTT: 40 * time.Millisecond, Zoom: true})
	step(Event{Kind: EvRoot, Root: []string{"dest"}})
	// One file more is wanted, so that there is something to search for.
	step(Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"dest"}, Name: "f", Size: 20000, MTime: 1, Chunks: 2}})
	step(Event{Kind: EvPlanned, Lens: []uint32{10000, 10000}})
	files := make([]DiskFile, n)
	for i := range files {
		files[i] = DiskFile{Name: fmt.Sprint("f", i), Size: 21000, MTime: 1}
	}
	running := map[uint32]int{}
	listed := false
	for range 10 * n {
		actions, _ := c.Next(now)
		now = now.Add(time.Millisecond)
		for _, a := range actions {
			switch a.Kind {
			case ActStat:
				step(Event{Kind: EvStated, Files: files, Seconds: 1e-4, Units: int64(n)})
				listed = true
			case ActHash:
				running[a.ID]++
				step(Event{Kind: EvHashed, ID: a.ID, Seconds: 1e-4, Units: 21000, Cached: true, Failed: true})
			}
		}
	}
	if !listed || len(running) != n {
		t.Fatalf("listed: %v, %d files of %d were hashed", listed, len(running), n)
	}
	return c, now
}

// wantLate announces and plans version i of the files of a lateCore; its chunks are 2+2i and 3+2i.
func wantLate(c *Core, now time.Time, i int) Event {
	c.Step(now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"dest"}, Name: fmt.Sprint("f", i), Size: 20000, MTime: 2, Chunks: 2}})
	ev := Event{Kind: EvPlanned, Group: uint32(1 + i), First: uint64(2 + 2*i), Lens: []uint32{10000, 10000}}
	c.Step(now, ev)
	return ev
}

// What was read before its next version was known is compared with that once it is.
func TestEarlierReadFilesAreCompared(t *testing.T) {
	c, now := lateCore(t, 4)
	for i := range 4 {
		wantLate(c, now, i)
	}
	actions, _ := c.Next(now)
	compared := map[uint64]uint32{}
	for _, a := range actions {
		if a.Kind == ActNear {
			for _, r := range a.Ranges {
				compared[r.First] = a.ID
			}
		}
	}
	for i := range uint32(4) {
		if id, ok := compared[uint64(2+2*i)]; !ok || id != i {
			t.Errorf("file %d is compared: %v, with file %d of the disk", i, ok, id)
		}
	}
}

// A file whose neighbours in the plan are known to lie on the disk is none of what reading these will tell.
func TestPromisesEndWithTheirFile(t *testing.T) {
	c, now := lateCore(t, 3)
	for i := range 3 {
		wantLate(c, now, i)
	}
	c.Step(now, Event{Kind: EvRecalled, Runs: []IndexRun{{Bytes: 40000, Ranges: []Range{{2, 2}, {6, 2}}}}})
	if ch := c.at(2); ch.promised != 0 {
		t.Errorf("a run without hits promises something")
	}
	c.promise(now, 0, []Range{{2, 2}, {6, 2}})
	for ord, want := range map[uint64]uint16{2: 1, 3: 1, 4: 0, 5: 0, 6: 1, 7: 1} {
		if got := c.at(ord).promised; got != want {
			t.Errorf("chunk %d is promised %d times, want %d", ord, got, want)
		}
	}
}

// What can't be taken back of a sender is bounded as the sender bounds it.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		rtt  time.Duration
		rate float64
		most time.Duration
	}{
		{40 * time.Millisecond, 2.5e6, 125 * time.Millisecond},
		{100 * time.Millisecond, 12e6, 200 * time.Millisecond},
		{100 * time.Millisecond, 100e6, 115 * time.Millisecond},
		{300 * time.Microsecond, 110e6, 5 * time.Millisecond},
	} {
		now := time.Unix(1000, 0)
		c := NewCore(CoreConfig{})
		c.Step(now, Event{Kind: EvUp, RTT: tt.rtt})
		p := &c.sources[0].path
		for range 400 {
			n := int64(tt.rate / 100)
			p.Asked(now, n)
			now = now.Add(10 * time.Millisecond)
			p.Arrived(now, n)
		}
		if got := c.sources[0].drain(); got < tt.rtt || got > tt.most {
			t.Errorf("at %v and %.0f bytes a second: %v, want at most %v (rate %.0f)", tt.rtt, tt.rate, got, tt.most, p.Rate())
		}
	}
}
