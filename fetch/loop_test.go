package fetch

import (
	"errors"
	"testing"
	"time"

	"dfetch/backpressure"
	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// stubSource is a source that is asked for nothing.
type stubSource struct {
	sources.Source
	rtt time.Duration
}

func (s stubSource) Stats() sources.Stats           { return sources.Stats{MinRTT: s.rtt} }
func (s stubSource) Properties() sources.Properties { return sources.Properties{Name: "stub"} }

// kinds are those of the events that wait for a loop.
func kinds(l *loop) (all []EventKind) {
	for _, ev := range l.mail.take(nil) {
		all = append(all, ev.Kind)
	}
	return all
}

// A source that ends before it is announced comes up and goes down all the same; round trips of one that is gone are not asked for.
func TestSourceThatEndsAtOnce(t *testing.T) {
	l := newLoop(nil, newWindow(1), newCounters())
	early, live := newAttached(), newAttached()
	(&sink{l: l, a: early}).Down(sources.ErrStalled)
	if got := kinds(l); len(got) != 0 {
		t.Errorf("before it is announced: %v", got)
	}
	for _, a := range []*attached{early, live} {
		if err := l.attach(a, stubSource{rtt: time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	if got := kinds(l); len(got) != 3 || got[0] != EvUp || got[1] != EvDown || got[2] != EvUp {
		t.Errorf("events %v", got)
	}
	l.sample()
	if evs := l.mail.take(nil); len(evs) != 1 || evs[0].Kind != EvSample || evs[0].Source != live.id {
		t.Errorf("samples %+v", evs)
	}
	<-early.done
	if !errors.Is(early.reason(), sources.ErrStalled) {
		t.Errorf("it ended because of %v", early.reason())
	}
}

// No more sources come up than a chunk can note.
func TestSourcesAreBounded(t *testing.T) {
	l := newLoop(nil, newWindow(1), newCounters())
	for n := range maxSources + 1 {
		if err := l.attach(newAttached(), stubSource{}); (err == nil) != (n < maxSources) {
			t.Fatalf("source %d: %v", n, err)
		}
	}
}

// A batch is released once it is written; parts that did not fit are not asked for in parts again; and that nothing more will come up
// wakes the loop.
func TestSinkSettlesWhatComes(t *testing.T) {
	w := newWindow(100)
	l := newLoop(nil, w, newCounters())
	written := 0
	l.write = func(claimed, []byte) { written++ }
	l.written = func(int64) *backpressure.WriterSample { return nil }
	a := newAttached()
	if err := l.attach(a, stubSource{}); err != nil {
		t.Fatal(err)
	}
	s := &sink{l: l, a: a, kind: "sender"}
	want, other := sources.Want{ID: recipe.ID{1}, Len: 2}, sources.Want{Ordinal: 1, ID: recipe.ID{2}, Len: 2}
	w.add(want, place{file: &pending{path: "one"}}, 0)
	w.add(other, place{file: &pending{path: "two"}}, 1)
	freed := 0
	s.Deliver(&sources.Batch{Wants: []sources.Want{want}, Data: []byte("ab"), Free: func() {
		if freed++; written != 1 {
			t.Error("released before it was written")
		}
	}})
	if freed != 1 {
		t.Errorf("released %d times", freed)
	}
	rs := []Range{{First: 1, Count: 1}}
	w.setPatch(rs, &sources.Patch{})
	s.Fail(w.wants(rs), sources.ErrPatch)
	if got := w.wants(rs); len(got) != 1 || got[0].Patch != nil {
		t.Errorf("asked for again as %+v", got)
	}
	kinds(l)
	for len(l.mail.wake) > 0 {
		<-l.mail.wake
	}
	l.noMoreSources(ErrNoSender)
	if len(l.mail.wake) != 1 {
		t.Error("the loop sleeps on")
	}
}

// A source is dropped for corrupt chunks in a row; a good one between them begins the count anew.
func TestGoodChunkExcusesBadOnes(t *testing.T) {
	for _, good := range []bool{false, true} {
		now := time.Unix(1000, 0)
		c := NewCore(CoreConfig{})
		for id := range SourceID(2) { // the other one could bring what this one can't
			c.Step(now, Event{Kind: EvUp, Source: id, RTT: time.Millisecond})
		}
		c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(2*maxBadInRow, 100)})
		n := uint64(0)
		for ; n < maxBadInRow-1; n++ {
			c.Step(now, Event{Kind: EvFailed, Ranges: []Range{{n, 1}}, Why: WhyCorrupt})
		}
		if good {
			c.Step(now, Event{Kind: EvArrived, Ranges: []Range{{n, 1}}})
		}
		c.Step(now, Event{Kind: EvFailed, Ranges: []Range{{n + 1, 1}}, Why: WhyCorrupt})
		if c.sources[0].dropped == good {
			t.Errorf("with a good chunk: %v, dropped: %v", good, c.sources[0].dropped)
		}
	}
}

// What has come or failed is off the books of its source: no lease of it runs out.
func TestAnsweredLeasesEnd(t *testing.T) {
	for _, kind := range []EventKind{EvArrived, EvFailed} {
		now := time.Unix(1000, 0)
		c := NewCore(CoreConfig{})
		c.Step(now, Event{Kind: EvUp, RTT: time.Millisecond})
		c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(8, 100)})
		actions, wake := c.Next(now)
		if len(actions) == 0 || wake.IsZero() || len(c.sources[0].leases) == 0 {
			t.Fatalf("%v, %v", actions, wake)
		}
		c.Step(now, Event{Kind: kind, Ranges: []Range{{0, 8}}, Why: WhyNotHeld})
		if n := len(c.sources[0].leases); n != 0 {
			t.Errorf("event %v: %d leases are left", kind, n)
		}
	}
}

// Without a source a chunk that failed waits for one. When the last that might have it goes down, and another one is up, it is given up.
func TestChunksWaitForSources(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCore(CoreConfig{})
	c.Step(now, Event{Kind: EvUp, RTT: time.Millisecond})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(1, 100)})
	c.Next(now)
	c.Step(now, Event{Kind: EvDown})
	c.Step(now, Event{Kind: EvFailed, Ranges: []Range{{0, 1}}, Why: WhyClosed})
	if actions, _ := c.Next(now); c.Waiting() != 1 || len(actions) != 0 {
		t.Fatalf("without a source: %+v", actions)
	}
	c.Step(now, Event{Kind: EvUp, Source: 1, RTT: time.Millisecond})
	c.Step(now, Event{Kind: EvUp, Source: 2, RTT: time.Millisecond})
	actions, _ := c.Next(now)
	if len(actions) != 1 || actions[0].Kind != ActRequest {
		t.Fatalf("with two: %+v", actions)
	}
	asked, other := actions[0].Source, 3-actions[0].Source
	c.Step(now, Event{Kind: EvFailed, Source: asked, Ranges: []Range{{0, 1}}, Why: WhyNotHeld})
	c.Step(now, Event{Kind: EvDown, Source: other})
	if actions, _ = c.Next(now); c.Waiting() != 0 || len(actions) != 1 || actions[0].Kind != ActGiveUp {
		t.Errorf("only one that does not have it is left: %+v", actions)
	}
}

// A source that goes on sending corrupt chunks is dropped once.
func TestSourceIsDroppedOnce(t *testing.T) {
	now := time.Unix(1000, 0)
	c := NewCore(CoreConfig{})
	c.Step(now, Event{Kind: EvUp, RTT: time.Millisecond})
	c.Step(now, Event{Kind: EvUp, Source: 1, RTT: time.Millisecond})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(2*maxBadInRow, 100)})
	drops := 0
	for n := range uint64(2 * maxBadInRow) {
		c.Step(now, Event{Kind: EvFailed, Ranges: []Range{{n, 1}}, Why: WhyCorrupt})
	}
	actions, _ := c.Next(now)
	for _, a := range actions {
		if a.Kind == ActDrop {
			drops++
		}
	}
	if drops != 1 {
		t.Errorf("dropped %d times", drops)
	}
}

// A file is found whole if its chunks follow on one another from its start to its end.
func TestWholeFileIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		chunks []diskscan.Chunk
		want   bool
	}{
		"all":               {[]diskscan.Chunk{{Offset: 0, Len: 4}, {Offset: 4, Len: 6}}, true},
		"without its start": {[]diskscan.Chunk{{Offset: 4, Len: 6}}, false},
		"without its end":   {[]diskscan.Chunk{{Offset: 0, Len: 4}}, false},
		"with a gap":        {[]diskscan.Chunk{{Offset: 0, Len: 4}, {Offset: 5, Len: 6}}, false},
		"a part twice":      {[]diskscan.Chunk{{Offset: 0, Len: 4}, {Offset: 0, Len: 6}}, false},
	} {
		if got := isWhole(&diskscan.Found{Chunks: c.chunks, Version: &diskscan.Version{Size: 10}}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A chunk that the cutter asks for twice is late once.
func TestLateChunksCountOnce(t *testing.T) {
	var l lateChunks
	for _, ord := range []uint64{5, 5, 6, 6, 5} {
		l.add(ord, 3)
	}
	var ev Event
	if l.tell(&ev); ev.Late != 2 || ev.Group != 3 || ev.First != 7 {
		t.Errorf("%d late, of file %d, up to %d", ev.Late, ev.Group, ev.First)
	}
}
