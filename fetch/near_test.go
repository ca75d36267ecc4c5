package fetch

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// windowOf is a window with n chunks of 1000 bytes of one file; the chunk with ordinal i has id i+1.
func windowOf(n int) *window {
	w := newWindow(maxWindow)
	for i := range n {
		w.add(sources.Want{Ordinal: uint64(i), ID: recipe.ID{byte(i + 1)}, Len: 1000}, place{off: int64(i) * 1000}, 0)
	}
	return w
}

func unknown(recipe.ID) bool { return false }

// find settles a chunk and tells the trail that it lay at an offset.
func (t *trail) find(w *window, ord uint64, off int64) {
	w.claimID(recipe.ID{byte(ord + 1)}, 1000)
	t.found(spot{off: off, end: off + 1000, ordinal: ord})
}

func TestTrailSeesWhatLiesBetween(t *testing.T) {
	w := windowOf(20)
	tr := newTrail(w, unknown, diskscan.File{Name: "old"}, spot{})
	tr.find(w, 2, 2000)  // chunks 0 and 1 are missing; 2000 bytes lie before
	tr.find(w, 3, 3000)  // nothing between
	tr.find(w, 6, 5500)  // chunks 4 and 5 are missing; 1500 bytes lie between
	tr.find(w, 8, 6500)  // chunk 7 was put in: nothing lies there
	tr.find(w, 17, 7500) // chunks 9 to 16
	tr.end(10_000)       // chunks 18 and 19; 1500 bytes follow
	want := []Event{
		{Kind: EvNear, Ranges: []Range{{0, 2}}, Units: 2000},
		{Kind: EvNear, Ranges: []Range{{4, 2}}, Units: 1500},
		{Kind: EvNear, Ranges: []Range{{7, 1}}, Units: 0},
		{Kind: EvNear, Ranges: []Range{{9, 8}}, Units: 0},
		{Kind: EvNear, Ranges: []Range{{18, 2}}, Units: 1500},
	}
	if len(tr.events) != len(want) {
		t.Fatalf("%d events, want %d: %v", len(tr.events), len(want), tr.events)
	}
	for i, ev := range tr.events {
		if ev.Ranges[0] != want[i].Ranges[0] || ev.Units != want[i].Units {
			t.Errorf("event %d: %v with %d bytes, want %v with %d", i, ev.Ranges, ev.Units, want[i].Ranges, want[i].Units)
		}
	}
	if at := w.nearOf(5); at == nil || at.off != 4000 || at.len != 1500 || at.file.Name != "old" {
		t.Errorf("chunk 5 is near %+v", at)
	}
	if at := w.nearOf(7); at != nil {
		t.Errorf("chunk 7 is near %+v", at)
	}
}

// Where much was put into the older version, or taken out of it, a chunk's first bytes lie at one end of the stretch between two
// found chunks and its last ones at the other; a very long one is not read for that.
func TestTrailTakesAStretchWhole(t *testing.T) {
	w := windowOf(10)
	tr := newTrail(w, unknown, diskscan.File{}, spot{})
	tr.find(w, 0, 0)
	tr.find(w, 2, 51_000)
	tr.find(w, 4, 52_000+between(gap{bytes: 1000})+1)
	if at := w.nearOf(1); at == nil || at.off != 1000 || at.len != 50_000 {
		t.Errorf("chunk 1 is near %+v", at)
	}
	if at := w.nearOf(3); at == nil || at.len != reach(gap{bytes: 1000}) {
		t.Errorf("chunk 3 is near %+v", at)
	}
}

// What may lie between grows with the run, to a bound.
func TestBetweenIsWorthTheRun(t *testing.T) {
	small, large := between(gap{bytes: 2 << 10}), between(gap{bytes: 1 << 20})
	if small > 200<<10 || small < reach(gap{bytes: 2 << 10}) || large != maxBetween {
		t.Errorf("%d bytes for a run of 2 KiB, %d for one of 1 MiB", small, large)
	}
}

// The chunks on both sides may be found by different reads of the file.
func TestStretchesOfOneFileAreJoined(t *testing.T) {
	w := windowOf(10)
	old := diskscan.File{Name: "old"}
	left := newTrail(w, unknown, old, spot{})
	left.find(w, 0, 0)
	right := newTrail(w, unknown, old, spot{})
	right.find(w, 3, 101_000)
	left.end(1 << 30)
	if at := w.nearOf(1); at == nil || at.off != 1000 || at.len != 100_000 || at != w.nearOf(2) {
		t.Errorf("chunk 1 is near %+v", at)
	}
	other := newTrail(w, unknown, diskscan.File{Name: "other"}, spot{})
	w.setNear([]Range{{1, 2}}, &stretch{file: other.file, off: 100, len: 100}, maxBetween)
	w.setNear([]Range{{1, 2}}, &stretch{file: old, off: 1000 + maxBetween, len: 1}, maxBetween)
	if at := w.nearOf(1); at.file != old || at.len != 100_000 {
		t.Errorf("chunk 1 is near %+v", at)
	}
}

// What the search finds out while chunks are still being planned reaches the core behind the plan: it does not
// know them before.
func TestLearnedBeforePlannedIsTold(t *testing.T) {
	w := windowOf(10)
	tr := newTrail(w, unknown, diskscan.File{}, spot{})
	tr.find(w, 2, 2000)
	tr.find(w, 6, 5500)
	var evs []Event
	m := planMail{
		post:   func(more ...Event) { evs = append(evs, more...) },
		recall: func([]recipe.ID) []Event { return nil },
		known:  w.learned,
	}
	m.add(Event{Kind: EvPlanned, Lens: make([]uint32, 9)})
	m.send()
	want := []Event{
		{Kind: EvPlanned},
		{Kind: EvFound, Ranges: []Range{{2, 1}, {6, 1}}},
		{Kind: EvNear, Ranges: []Range{{0, 2}}, Units: 2000},
		{Kind: EvNear, Ranges: []Range{{3, 3}}, Units: 2500},
	}
	if len(evs) != len(want) {
		t.Fatalf("events %+v", evs)
	}
	for i, ev := range evs {
		if ev.Kind != want[i].Kind || ev.Units != want[i].Units || !slices.Equal(ev.Ranges, want[i].Ranges) {
			t.Errorf("event %d is %+v, want %+v", i, ev, want[i])
		}
	}
}

// A chunk that lies elsewhere on the machine is not missing, and ends a run; the order of the wanted file
// need not be that of the local one.
func TestTrailLeavesOutWhatIsKnown(t *testing.T) {
	w := windowOf(10)
	tr := newTrail(w, func(id recipe.ID) bool { return id == recipe.ID{4} }, diskscan.File{}, spot{})
	tr.find(w, 8, 0)
	tr.find(w, 5, 3000) // back: 9 follows 8, and 4 lies before 5; 3 is known
	if len(tr.events) != 3 {
		t.Fatalf("events %v", tr.events)
	}
	for i, r := range []Range{{4, 4}, {9, 1}, {4, 1}} {
		if tr.events[i].Ranges[0] != r {
			t.Errorf("event %d is about %v, want %v", i, tr.events[i].Ranges, r)
		}
	}
}

// stretchOf is a cut stretch of data that lies at an offset.
func stretchOf(data []byte, off int64) *stretch {
	at := &stretch{off: off, len: int64(len(data)), fine: map[recipe.FineEntry]int64{}}
	for _, e := range recipe.Fine(recipe.BLAKE3, nil, data) {
		at.fine[e] = off
		off += int64(e.Len)
	}
	return at
}

// patched puts a chunk together from what a match says is missing, and the file.
func patched(t *testing.T, m matched, chunk, file []byte) []byte {
	t.Helper()
	out := make([]byte, m.length)
	covered := 0
	for _, s := range m.spans {
		covered += copy(out[s.Off:s.Off+s.Len], chunk[s.Off:])
	}
	for _, k := range m.kept {
		covered += copy(out[k.at:k.at+k.len], file[k.off:])
	}
	if covered != len(out) {
		t.Fatalf("%d of %d bytes are covered", covered, len(out))
	}
	return out
}

func TestMatchTakesWhatIsThere(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	file := make([]byte, 64<<10)
	for i := range file {
		file[i] = byte(rng.Uint32())
	}
	chunk := bytes.Clone(file[20<<10 : 50<<10])
	copy(chunk[10_000:], "an edit in the middle")
	m := match(recipe.Fine(recipe.BLAKE3, nil, chunk), stretchOf(file[16<<10:], 16<<10))
	if got := patched(t, m, chunk, file); !bytes.Equal(got, chunk) {
		t.Fatal("what was put together is not the chunk")
	}
	if m.missing == 0 || m.missing > 12<<10 || len(m.spans) > 4 || len(m.kept) > 4 {
		t.Errorf("%d bytes in %d spans are missing, %d pieces are there", m.missing, len(m.spans), len(m.kept))
	}
}

// FuzzMatch: a list from a peer may say anything; the spans that come of it are in order, do not overlap, and
// with the pieces cover the list.
func FuzzMatch(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 200, 1, 1}, []byte{1, 9, 3})
	f.Fuzz(func(t *testing.T, list, have []byte) {
		entry := func(b byte) recipe.FineEntry {
			return recipe.FineEntry{Sum: [8]byte{b}, Len: uint16(b)*16 + 1}
		}
		at := &stretch{fine: map[recipe.FineEntry]int64{}}
		off := int64(0)
		for _, b := range have {
			at.fine[entry(b)] = off
			off += int64(entry(b).Len)
		}
		var fine []recipe.FineEntry
		for _, b := range list {
			fine = append(fine, entry(b))
		}
		m := match(fine, at)
		end, sum := uint32(0), uint32(0)
		for i, s := range m.spans {
			if s.Len == 0 || i > 0 && s.Off <= end || s.Off+s.Len > m.length {
				t.Fatalf("span %d of %v", i, m.spans)
			}
			end = s.Off + s.Len
			sum += s.Len
		}
		if sum != m.missing {
			t.Fatalf("%d bytes in spans, %d are missing", sum, m.missing)
		}
		for _, k := range m.kept {
			sum += k.len
		}
		if sum != m.length {
			t.Fatalf("%d bytes of %d are covered", sum, m.length)
		}
	})
}
