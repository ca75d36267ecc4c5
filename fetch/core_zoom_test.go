package fetch

import (
	"slices"
	"testing"
	"time"
)

// zoomCore is a core with a source that gives fine lists, and n planned chunks of 16 KiB in one file.
func zoomCore(n int, rtt time.Duration) (*Core, time.Time) {
	now := time.Unix(1000, 0)
	c := NewCore(CoreConfig{Search: true})
	c.Step(now, Event{Kind: EvUp, RTT: rtt, Zoom: true})
	c.Step(now, Event{Kind: EvFile, File: &WantedFile{Dirs: []string{"d"}, Name: "f", Size: int64(n) << 14}})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(n, 16<<10)})
	c.Step(now, Event{Kind: EvPlanDone})
	return c, now
}

// count is how many chunks actions of a kind name.
func count(actions []Action, kind ActionKind) (n int) {
	for _, a := range actions {
		if a.Kind == kind {
			for _, r := range a.Ranges {
				n += int(r.Count)
			}
		}
	}
	return n
}

func TestNearChunksAreZoomedAndAskedInParts(t *testing.T) {
	c, now := zoomCore(4, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, 4}}, Units: 64 << 10})
	actions, _ := c.Next(now)
	if count(actions, ActZoom) != 4 || count(actions, ActRequest) != 0 {
		t.Fatalf("zoomed and not asked for at first: %v", actions)
	}
	c.Step(now, Event{Kind: EvFine, Ranges: []Range{{0, 3}}, Lens: []uint32{1000, 2000, 16 << 10}})
	actions, _ = c.Next(now)
	if count(actions, ActRequest) != 3 {
		t.Fatalf("the first three are priced: %v", actions)
	}
	if got := c.sources[0].path.Outstanding(); got != 1000+2000+16<<10 {
		t.Errorf("%d bytes are outstanding, 1000, 2000 and a whole chunk were asked for", got)
	}
	// What came in parts and was wrong is asked for whole, of the same source.
	c.Step(now, Event{Kind: EvFailed, Ranges: []Range{{1, 1}}, Why: WhyPatch})
	actions, _ = c.Next(now)
	if got := c.sources[0].path.Outstanding(); count(actions, ActRequest) != 1 || got != 1000+2*16<<10 {
		t.Errorf("after a bad patch: %v; %d bytes are outstanding", actions, got)
	}
	c.Step(now, Event{Kind: EvArrived, Ranges: []Range{{0, 3}}})
	// The last list does not come.
	c.Step(now, Event{Kind: EvFine, Ranges: []Range{{3, 1}}, Why: WhyNotHeld})
	if actions, _ = c.Next(now); count(actions, ActRequest) != 1 {
		t.Errorf("a refused list: %v", actions)
	}
	c.Step(now, Event{Kind: EvArrived, Ranges: []Range{{3, 1}}})
	if z := c.zoom; !c.Done() || c.inflight != 0 || z.asked != 0 || z.parts != 0 || z.bytes != 0 {
		t.Errorf("done %v, %d bytes in flight, zoom %+v", c.Done(), c.inflight, z)
	}
}

// Where the network is near and fast, and where nothing lies in the chunks' place, they are fetched whole.
func TestWhatIsNotZoomedIsFetched(t *testing.T) {
	for name, c := range map[string]struct {
		rtt   time.Duration
		units int64
	}{
		"LAN":     {100 * time.Microsecond, 64 << 10},
		"nothing": {40 * time.Millisecond, 0},
		"little":  {40 * time.Millisecond, 1000},
	} {
		core, now := zoomCore(4, c.rtt)
		core.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, 4}}, Units: c.units})
		if actions, _ := core.Next(now); count(actions, ActZoom) != 0 || count(actions, ActRequest) != 4 {
			t.Errorf("%s: %v", name, actions)
		}
	}
}

// Where a long run is missing and little lies in its place, that is what a cut chunk at each of its ends has.
func TestEndsOfALongRunAreZoomed(t *testing.T) {
	const chunks = 100
	c, now := zoomCore(chunks, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, chunks}}, Units: 20 << 10})
	actions, _ := c.Next(now)
	var zoomed []uint64
	for _, a := range actions {
		for _, r := range a.Ranges {
			for k := range uint64(r.Count) {
				if a.Kind == ActZoom {
					zoomed = append(zoomed, r.First+k)
				}
			}
		}
	}
	if want := []uint64{0, 1, chunks - 2, chunks - 1}; !slices.Equal(zoomed, want) {
		t.Errorf("chunks %v are zoomed, want %v", zoomed, want)
	}
	for i := range c.chunks {
		if ch := &c.chunks[i]; ch.inner && ch.zoom != zoomOff {
			t.Errorf("chunk %d inside the run is %d", i, ch.zoom)
		}
	}
}

// Fine lists that show that nothing is there cost little: after some, no more are asked for.
func TestUselessZoomsEnd(t *testing.T) {
	const chunks = 4000
	c, now := zoomCore(chunks, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, chunks}}, Units: chunks << 14})
	zoomed := 0
	for i := 0; i < 20_000 && !c.Done(); i++ {
		actions, _ := c.Next(now)
		now = now.Add(10 * time.Millisecond)
		for _, a := range actions {
			switch a.Kind {
			case ActZoom:
				n := count([]Action{a}, ActZoom)
				zoomed += n
				c.Step(now, Event{Kind: EvFine, Ranges: a.Ranges, Lens: lensOf(n, 16<<10)})
			case ActRequest:
				c.Step(now, Event{Kind: EvArrived, Ranges: a.Ranges})
			}
		}
	}
	if !c.Done() || zoomed == 0 || zoomed > chunks/10 {
		t.Errorf("done %v after %d useless lists for %d chunks", c.Done(), zoomed, chunks)
	}
}

// A source that refuses every list is not asked for ever; what it refused comes whole.
func TestRefusedListsEnd(t *testing.T) {
	c, now := zoomCore(100, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, 100}}, Units: 100 << 14})
	for i := 0; i < 1000 && !c.Done(); i++ {
		actions, _ := c.Next(now)
		now = now.Add(10 * time.Millisecond)
		for _, a := range actions {
			switch a.Kind {
			case ActZoom:
				c.Step(now, Event{Kind: EvFine, Ranges: a.Ranges, Why: WhyNotHeld})
			case ActRequest:
				c.Step(now, Event{Kind: EvArrived, Ranges: a.Ranges})
			}
		}
	}
	if !c.Done() || c.sources[0].zooms {
		t.Errorf("done %v; still asked for lists: %v", c.Done(), c.sources[0].zooms)
	}
}

// A chunk that the disk turns out to have while its list is on the way is done.
func TestFoundWhileZoomed(t *testing.T) {
	c, now := zoomCore(2, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, 2}}, Units: 32 << 10})
	c.Next(now)
	c.Step(now, Event{Kind: EvFound, Ranges: []Range{{0, 2}}})
	c.Step(now, Event{Kind: EvFine, Ranges: []Range{{0, 2}}, Lens: []uint32{100, 100}})
	if actions, _ := c.Next(now); !c.Done() || len(actions) > 0 || c.zoom.parts != 0 {
		t.Errorf("done %v, %v, %d parts", c.Done(), actions, c.zoom.parts)
	}
}

// The disk finds chunks while their fine lists are on the way, and so many others that the core forgets all of
// them. The answers count all the same, else no chunk inside a missing run would be zoomed any more.
func TestZoomsOfForgottenChunksAreAnswered(t *testing.T) {
	const chunks, found = 8192, 6000
	c, now := zoomCore(chunks, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, chunks}}, Units: chunks << 14})
	actions, _ := c.Next(now)
	first := count(actions, ActZoom)
	if first < firstTries {
		t.Fatalf("%d chunks are zoomed at first, want %d at least", first, firstTries)
	}
	c.Step(now, Event{Kind: EvFound, Ranges: []Range{{0, found}}})
	if c.at(0) != nil {
		t.Fatal("chunks that were found are not forgotten")
	}
	for _, a := range actions {
		if a.Kind == ActZoom {
			c.Step(now, Event{Kind: EvFine, Ranges: a.Ranges, Lens: make([]uint32, count([]Action{a}, ActZoom))})
		}
	}
	if actions, _ = c.Next(now); count(actions, ActZoom) == 0 {
		t.Error("no other chunk is zoomed")
	}
}

// The ends of missing runs are looked at though what lies between them has to wait, which is looked at as answers
// come.
func TestEndsOfRunsDoNotWaitForTheirInside(t *testing.T) {
	const runs, each = 20, 50
	c, now := zoomCore(runs*each, 40*time.Millisecond)
	for i := range uint64(runs) {
		c.Step(now, Event{Kind: EvNear, Ranges: []Range{{i * each, each}}, Units: each << 14})
	}
	actions, _ := c.Next(now)
	if first := count(actions, ActZoom); first < firstTries+runs || first > firstTries+2*runs*edgeChunks {
		t.Fatalf("%d chunks are zoomed at first", first)
	}
	if again, _ := c.Next(now); count(again, ActZoom) != 0 {
		t.Fatalf("without an answer: %v", again)
	}
	zoomed := 0
	for range 100 {
		now = now.Add(40 * time.Millisecond)
		for _, a := range actions {
			switch a.Kind {
			case ActZoom:
				n := count([]Action{a}, ActZoom)
				zoomed += n
				c.Step(now, Event{Kind: EvFine, Ranges: a.Ranges, Lens: lensOf(n, 100)})
			case ActRequest:
				c.Step(now, Event{Kind: EvArrived, Ranges: a.Ranges})
			}
		}
		actions, _ = c.Next(now)
	}
	if zoomed != runs*each || !c.Done() {
		t.Errorf("%d of %d chunks were zoomed", zoomed, runs*each)
	}
}

// Chunks wait for fine lists, asked for and not, when the only source ends. The next one has none and is asked for
// all of them.
func TestNothingIsHeldForASourceThatIsGone(t *testing.T) {
	const chunks = 500
	c, now := zoomCore(chunks, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, chunks}}, Units: chunks << 14})
	actions, _ := c.Next(now)
	c.Step(now, Event{Kind: EvDown})
	for _, a := range actions {
		if a.Kind == ActZoom {
			c.Step(now, Event{Kind: EvFine, Ranges: a.Ranges, Why: WhyClosed})
		}
	}
	c.Step(now, Event{Kind: EvUp, Source: 1, RTT: time.Millisecond})
	asked := 0
	for i := 0; i < 10*chunks && !c.Done(); i++ {
		now = now.Add(time.Millisecond)
		actions, _ = c.Next(now)
		if count(actions, ActZoom) > 0 {
			t.Fatal("a source without fine lists is asked for some")
		}
		for _, a := range actions {
			if a.Kind == ActRequest {
				asked += count([]Action{a}, ActRequest)
				c.Step(now, Event{Kind: EvArrived, Source: a.Source, Ranges: a.Ranges})
			}
		}
	}
	if asked != chunks || !c.Done() {
		t.Errorf("%d of %d chunks were asked for", asked, chunks)
	}
}

// A source that owes fine lists says nothing any more. Its chunks are asked of the other one, soon.
func TestListsThatDoNotComeAreNotWaitedFor(t *testing.T) {
	const chunks = 30
	c, now := zoomCore(chunks, 40*time.Millisecond)
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, chunks}}, Units: chunks << 14})
	begin := now
	for i := 0; i < 1000 && !c.Done(); i++ {
		actions, wake := c.Next(now)
		if i == 0 {
			if count(actions, ActZoom) != chunks {
				t.Fatalf("%v, want %d chunks zoomed", actions, chunks)
			}
			c.Step(now, Event{Kind: EvUp, Source: 1, RTT: 40 * time.Millisecond, Zoom: true})
			wake = now
		}
		for _, a := range actions {
			if a.Kind == ActRequest && a.Source == 1 {
				c.Step(now, Event{Kind: EvArrived, Source: 1, Ranges: a.Ranges})
				wake = now
			}
		}
		switch {
		case c.Done():
		case wake.IsZero():
			now = now.Add(time.Hour)
		default:
			now = wake
		}
	}
	if took := now.Sub(begin); !c.Done() || took > 10*time.Second {
		t.Errorf("done %v after %v", c.Done(), took)
	}
	c.Step(now, Event{Kind: EvFine, Ranges: []Range{{0, chunks}}, Lens: lensOf(chunks, 100)})
	if z := c.zoom; z.asked != 0 || z.bytes != 0 || z.open != [2]int64{} || z.parts != 0 {
		t.Errorf("after late answers: %+v", z)
	}
}

// A near source that never brings anything has no rate. The other one is asked for fine lists all the same.
func TestASilentSourceIsNotWaitedForWithZooming(t *testing.T) {
	c, now := zoomCore(100, 100*time.Microsecond)
	c.Step(now, Event{Kind: EvUp, Source: 1, RTT: 40 * time.Millisecond, Zoom: true})
	c.Step(now, Event{Kind: EvNear, Ranges: []Range{{0, 4}}, Units: 64 << 10})
	actions, _ := c.Next(now)
	for _, a := range actions {
		if a.Kind == ActZoom && a.Source == 1 {
			return
		}
	}
	t.Errorf("%v", actions)
}
