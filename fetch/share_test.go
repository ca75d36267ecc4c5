package fetch

import (
	"fmt"
	"slices"
	"testing"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/tree"
)

// wanted is a chunk of a run: its place in this machine's file, its length, and where it is wanted.
type wanted struct {
	off int64
	len int
	at  place
}

// row is n chunks of a length that follow on one another from an offset on, wanted in a file from another offset on.
func row(n int, off int64, length int, file *pending, to int64) (out []wanted) {
	for i := range n {
		by := int64(i * length)
		out = append(out, wanted{off + by, length, place{file: file, off: to + by}})
	}
	return out
}

// TestShareable: which chunks of a run are shared, and which blocks that takes.
func TestShareable(t *testing.T) {
	const kib = 1 << 10
	one, two, other := &pending{path: "one"}, &pending{path: "two"}, &pending{path: "of a file system that can't"}
	unit := func(p *pending) int64 {
		if p == other {
			return 0
		}
		return 4 * kib
	}
	none := row(1, 0, 1000, nil, 0)
	cases := []struct {
		name string
		run  []wanted
		want []sharing
	}{
		{"none", nil, nil},
		{"all is aligned", row(16, 0, 16*kib, one, 0), []sharing{{0, 16, 0, 256 * kib, 0, one}}},
		{"too little", row(15, 0, 17*kib, one, 0), nil},
		{"a block too little", row(63, 0, 4*kib, one, 0), nil},
		{"moved by whole blocks", row(16, 4*kib, 16*kib, one, 12*kib), []sharing{{0, 16, 4 * kib, 260 * kib, 8 * kib, one}}},
		{"moved back", row(16, 12*kib, 16*kib, one, 4*kib), []sharing{{0, 16, 12 * kib, 268 * kib, -8 * kib, one}}},
		{"moved by a byte", row(100, 0, 16*kib, one, 1), nil},
		{"moved back by a byte", row(100, 1, 16*kib, one, 0), nil},
		// The first and the last chunk lie in blocks that hold something else; the blocks that they share with their neighbours
		// are cloned, as all of their bytes are wanted.
		{"ends inside of blocks", row(30, 100, 10_000, one, 100), []sharing{{1, 28, 8192, 290_816, 0, one}}},
		{"ends leave too little", row(27, 100, 10_000, one, 100), nil},
		{"one chunk over all", row(1, 0, 300*kib, one, 0), []sharing{{0, 1, 0, 300 * kib, 0, one}}},
		{"one chunk between blocks", row(1, 1, 300*kib, one, 1), nil},
		{"nobody waits for the middle", slices.Concat(row(16, 0, 16*kib, one, 0), row(1, 256*kib, 16*kib, nil, 0), row(16, 272*kib, 16*kib, one, 272*kib)),
			[]sharing{{0, 16, 0, 256 * kib, 0, one}, {17, 16, 272 * kib, 528 * kib, 0, one}}},
		{"nobody waits for anything", slices.Concat(none, none), nil},
		{"a gap in this machine's file", slices.Concat(row(8, 0, 16*kib, one, 0), row(8, 132*kib, 16*kib, one, 128*kib)), nil},
		{"a gap in the wanted file", slices.Concat(row(8, 0, 16*kib, one, 0), row(8, 128*kib, 16*kib, one, 132*kib)), nil},
		{"gaps on both sides", slices.Concat(row(8, 0, 16*kib, one, 0), row(8, 132*kib, 16*kib, one, 132*kib)), nil},
		{"chunks that overlap", slices.Concat(row(8, 0, 16*kib, one, 0), row(8, 124*kib, 16*kib, one, 128*kib)), nil},
		{"two files", slices.Concat(row(16, 0, 16*kib, one, 0), row(16, 256*kib, 16*kib, two, 256*kib)),
			[]sharing{{0, 16, 0, 256 * kib, 0, one}, {16, 16, 256 * kib, 512 * kib, 0, two}}},
		{"no blocks there", row(16, 0, 16*kib, other, 0), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var chunks []diskscan.Chunk
			var at []place
			for _, w := range c.run {
				chunks, at = append(chunks, diskscan.Chunk{Offset: w.off, Len: w.len}), append(at, w.at)
			}
			got := shareable(chunks, at, unit)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for _, s := range got {
				checkSharing(t, s, chunks, at)
			}
		})
	}
}

// checkSharing holds what any answer must keep to.
func checkSharing(t *testing.T, s sharing, chunks []diskscan.Chunk, at []place) {
	t.Helper()
	if s.from%4096 != 0 || s.end%4096 != 0 || s.shift%4096 != 0 || s.end-s.from < minShared {
		t.Errorf("%v is not in whole blocks, or too short", s)
	}
	covered := int64(0)
	for i, c := range chunks {
		if at[i].file != s.file || at[i].off != c.Offset+s.shift {
			continue
		}
		covered += max(0, min(endOf(c), s.end)-max(c.Offset, s.from))
		if in := s.from <= c.Offset && endOf(c) <= s.end; in != (s.first <= i && i < s.first+s.n) {
			t.Errorf("%v and chunk %d", s, i)
		}
	}
	if covered != s.end-s.from {
		t.Errorf("%d bytes of %v are of chunks that are wanted there", covered, s)
	}
}

// heldRanges is a twin that notes what it is told.
type heldRanges struct{ got []string }

func (h *heldRanges) HoldVerified(off, n int64) error {
	h.got = append(h.got, fmt.Sprint("hold ", off, " ", n))
	return nil
}

// TestSettledChunksAreNotWritten finds chunks where they were read at their place already, but for those that have come
// another way, are wanted elsewhere, or have a second place.
func TestSettledChunksAreNotWritten(t *testing.T) {
	w := newWindow(100)
	s := &searcher{loop: newLoop(nil, w, newCounters())}
	one, two := &pending{path: "one"}, &pending{path: "two"}
	var h heldRanges
	s.loop.write = func(c claimed, data []byte) {
		h.got = append(h.got, fmt.Sprint("write ", c.file.path, " ", c.off, " ", string(data)))
	}
	const shift = 100
	var f diskscan.Found
	for i, text := range []string{"aa", "bbb", "c", "dddd", "ee", "f", "gg", "hh"} {
		id, off := recipe.ID{byte(i + 1)}, int64(len(f.Data))
		at := place{file: one, off: off + shift}
		switch i {
		case 5:
			at = place{file: two, off: off + shift}
		case 6:
			at.off = 500
		}
		w.add(sources.Want{Ordinal: uint64(i), ID: id, Len: uint32(len(text))}, at, 0)
		f.Chunks = append(f.Chunks, diskscan.Chunk{ID: id, Offset: off, Len: len(text)})
		f.Data = append(f.Data, text...)
	}
	w.add(sources.Want{Ordinal: 9, ID: recipe.ID{2}, Len: 3}, place{file: two, off: 7}, 0)
	w.claimID(recipe.ID{3}, 1)
	evs := s.settle(&f, &settled{one, shift, &h}, func(spot) {})
	want := []string{"hold 100 5", "write two 7 bbb", "hold 106 6", "write two 112 f", "write one 500 gg", "hold 115 2"}
	if !slices.Equal(h.got, want) {
		t.Errorf("got %q, want %q", h.got, want)
	}
	if len(evs) != 1 || !slices.Equal(evs[0].Ranges, []Range{{0, 2}, {3, 5}}) {
		t.Errorf("events %+v", evs)
	}
}

// TestCachedBytesAreCopiedIfNothingIsSynced: then copying takes no time of the disk, and reading what is shared does.
func TestCachedBytesAreCopiedIfNothingIsSynced(t *testing.T) {
	w := newWindow(100)
	s := &searcher{loop: newLoop(nil, w, newCounters()), held: &held{tree: &tree.Tree{}}}
	chunks := []diskscan.Chunk{{ID: recipe.ID{1}, Len: minShared}}
	asked := 0
	cold := func() int64 { asked++; return minShared / 4 }
	w.mu.Lock() // nobody may look what is wanted
	s.unsynced = true
	if got := s.share(-1, chunks, cold, nil); got != nil || asked != 1 {
		t.Errorf("%v, asked %d times", got, asked)
	}
	w.mu.Unlock()
	s.unsynced = false
	if got := s.share(-1, chunks, cold, nil); got != nil || asked != 1 { // nobody waits for it
		t.Errorf("%v, asked %d times", got, asked)
	}
}
