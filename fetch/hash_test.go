package fetch

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// TestFoundNeighboursAreWrittenTogether finds six chunks in one buffer, of which the third has come another way and the
// last belongs to another file.
func TestFoundNeighboursAreWrittenTogether(t *testing.T) {
	type write struct {
		file *pending
		off  int64
		data string
	}
	var writes []write
	w := newWindow(100)
	s := &searcher{loop: newLoop(nil, w, newCounters())}
	s.loop.write = func(c claimed, data []byte) { writes = append(writes, write{c.file, c.off, string(data)}) }
	one, two := &pending{path: "one"}, &pending{path: "two"}
	var f diskscan.Found
	for i, text := range []string{"aa", "bbb", "c", "dddd", "ee", "f"} {
		id, at := recipe.ID{byte(i + 1)}, place{file: one, off: int64(len(f.Data))}
		if i == 5 {
			at = place{file: two}
		}
		w.add(sources.Want{Ordinal: uint64(i), ID: id, Len: uint32(len(text))}, at, 0)
		f.Chunks = append(f.Chunks, diskscan.Chunk{ID: id, Offset: int64(len(f.Data)), Len: len(text)})
		f.Data = append(f.Data, text...)
	}
	w.claimID(recipe.ID{3}, 1)
	var spots []uint64
	evs := s.settle(&f, nil, func(at spot) { spots = append(spots, at.ordinal) })
	want := []write{{one, 0, "aabbb"}, {one, 6, "ddddee"}, {two, 0, "f"}}
	if !slices.Equal(writes, want) {
		t.Errorf("writes %v, want %v", writes, want)
	}
	if len(evs) != 1 || !slices.Equal(evs[0].Ranges, []Range{{0, 2}, {3, 3}}) || !slices.Equal(spots, []uint64{0, 1, 3, 4, 5}) {
		t.Errorf("events %+v, spots %v", evs, spots)
	}
	if !bytes.Equal(f.Data, []byte("aabbbcddddeef")) {
		t.Errorf("the buffer became %q", f.Data)
	}
}

// TestFailedWriteOfNeighbours: the chunks that a transfer ends with are written together, which fails. The transfer never
// ends well, though the core takes all of them for found.
func TestFailedWriteOfNeighbours(t *testing.T) {
	full := errors.New("full")
	for range 30 { // which of two channels is looked at first is up to chance
		now := time.Now()
		w := newWindow(100)
		l := newLoop(newRecorder(CoreConfig{Search: true, NoPressure: true}, nil, now), w, newCounters())
		calls := 0
		l.write = func(claimed, []byte) { calls++; l.fail(full) }
		s := &searcher{loop: l, held: &held{}}
		l.search = s
		var f diskscan.Found
		file := &pending{path: "one"}
		for i := range 3 {
			id := recipe.ID{byte(i + 1)}
			w.add(sources.Want{Ordinal: uint64(i), ID: id, Len: 2}, place{file: file, off: int64(2 * i)}, 0)
			f.Chunks = append(f.Chunks, diskscan.Chunk{ID: id, Offset: int64(2 * i), Len: 2})
			f.Data = append(f.Data, "ab"...)
		}
		l.rec.step(now, Event{Kind: EvPlanned, Lens: []uint32{2, 2, 2}})
		l.rec.step(now, Event{Kind: EvPlanDone})
		l.mail.post(s.settle(&f, nil, func(spot) {})...)
		if err := l.run(t.Context()); !errors.Is(err, full) || calls != 1 {
			t.Fatalf("%v after %d writes", err, calls)
		}
		if left := w.open; left != 0 {
			t.Fatalf("%d chunks are open", left)
		}
	}
}
