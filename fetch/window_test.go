package fetch

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// idOf is an id that begins with one number and goes on with another.
func idOf(begin, rest uint64) (id recipe.ID) {
	binary.LittleEndian.PutUint64(id[:], begin)
	binary.LittleEndian.PutUint64(id[8:], rest)
	return id
}

func openWant(ord uint64, id recipe.ID) sources.Want {
	return sources.Want{Ordinal: ord, ID: id, Len: 100}
}

// TestWindowSameBeginning has two chunks whose ids begin alike: the window takes neither for the other.
func TestWindowSameBeginning(t *testing.T) {
	w := newWindow(maxWindow)
	a, b := openWant(0, idOf(7, 1)), openWant(1, idOf(7, 2))
	if !w.add(a, place{}, 0) || !w.add(b, place{}, 0) {
		t.Fatal("a chunk counts as another one")
	}
	other := idOf(7, 4)
	w.ids.put(w.ids.hash(&other)<<numberBits | 1) // as if its hash were that of the first chunk
	if s, _ := w.openSlot(other); s != nil {
		t.Error("a chunk is found by another one's id")
	}
	if w.wantsChunk(diskscan.Chunk{ID: idOf(7, 3)}) {
		t.Error("a chunk is wanted that nobody asked for")
	}
	if c, ok := w.claimID(b.ID, 100); !ok || c.want.Ordinal != 1 {
		t.Errorf("the second chunk by its id: %v %v, want ordinal 1", c.want, ok)
	}
	if got := w.claim([]sources.Want{a}, nil); len(got) != 1 || got[0].dup || got[0].want.ID != a.ID {
		t.Errorf("the first chunk by its ordinal: %+v", got)
	}
	if s, _ := w.openSlot(b.ID); w.open != 0 || w.unclaimed != 0 || s != nil {
		t.Errorf("%d places open, and the second chunk %v", w.open, s)
	}
}

// TestWindowFinds adds and claims chunks at random, more than the table of ids begins with: those that are open are found, and
// no others, and the table is in keeping with how many are open.
func TestWindowFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newWindow(maxWindow)
	var open, gone []sources.Want
	for i := range uint64(50_000) {
		want := openWant(i, idOf(i%7, i))
		w.add(want, place{}, 0)
		open = append(open, want)
		if len(open) > 3000 || r.IntN(3) == 0 {
			k := r.IntN(len(open))
			if c, ok := w.claimID(open[k].ID, 100); !ok || c.want.Ordinal != open[k].Ordinal {
				t.Fatalf("chunk %d is not found: %v %v", open[k].Ordinal, c.want, ok)
			}
			gone = append(gone, open[k])
			open[k] = open[len(open)-1]
			open = open[:len(open)-1]
		}
	}
	for _, want := range open {
		if s, _ := w.openSlot(want.ID); s == nil || s.want.Ordinal != want.Ordinal {
			t.Errorf("open chunk %d is not found", want.Ordinal)
		}
	}
	for _, want := range gone {
		if s, _ := w.openSlot(want.ID); s != nil {
			t.Errorf("chunk %d is open, though it was claimed", want.Ordinal)
		}
	}
	if n, most := len(w.ids.entries)+len(w.ids.old), 32*3001; n <= minSlotTable || n > most {
		t.Errorf("%d entries for %d open chunks, want more than at the beginning, and %d at most", n, len(open), most)
	}
}

// TestWindowComesAgain: neither a chunk that is wanted again each time that it has come, nor one that is said to have many lengths,
// fills the table of ids.
func TestWindowComesAgain(t *testing.T) {
	w := newWindow(maxWindow)
	id := idOf(1, 1)
	for i := range uint64(20_000) {
		w.add(openWant(i, id), place{}, 0)
		if c, ok := w.claimID(id, 100); !ok || c.want.Ordinal != i {
			t.Fatalf("chunk %d: %v %v", i, c.want, ok)
		}
	}
	for i := range uint32(20_000) {
		want := openWant(uint64(20_000+i), id)
		want.Len += i % 2
		w.add(want, place{}, 0)
	}
	if w.ids.used != 1 {
		t.Errorf("one id has %d entries", w.ids.used)
	}
	if c, ok := w.claimID(id, 100); !ok || c.want.Ordinal != 20_000 || len(c.more) != 9_999 {
		t.Errorf("the first of many: %d, %v, %d further places", c.want.Ordinal, ok, len(c.more))
	}
}

// TestWindowCuts claims chunks in order: what is kept is bounded, and what was settled lately and what is open is found.
func TestWindowCuts(t *testing.T) {
	const n, open = 20 * slotBlock, 100
	w := newWindow(maxWindow)
	for i := range uint64(n) {
		w.add(openWant(i, idOf(i, i)), place{off: int64(i) * 100}, 0)
	}
	for i := range uint64(n - open) {
		if got := w.claim([]sources.Want{openWant(i, idOf(i, i))}, nil); got[0].dup || got[0].off != int64(i)*100 {
			t.Fatalf("chunk %d: %+v", i, got[0])
		}
	}
	if most := maxLately + slotBlock + open; w.slots.len() > most {
		t.Errorf("%d slots are kept, want at most %d", w.slots.len(), most)
	}
	last := uint64(n - open - 1)
	for _, i := range []uint64{last, last - maxLately + 1} {
		if next, ok := w.follows(idOf(i, i)); !ok || next.ID != idOf(i+1, i+1) {
			t.Errorf("behind chunk %d, which was settled lately: %v %v", i, next, ok)
		}
	}
	for i := last + 1; i < n; i++ {
		if c, ok := w.claimID(idOf(i, i), 100); !ok || c.want.Ordinal != i || c.off != int64(i)*100 {
			t.Fatalf("open chunk %d: %+v %v", i, c, ok)
		}
	}
	w.add(openWant(n, idOf(n, n)), place{}, 0)
	if s := w.slots.at(w.slots.len() - 1); s.claimed || s.own || s.more != nil {
		t.Errorf("a new slot has what another one left: %+v", s)
	}
}

// TestWindowRoom: the first chunk of a file takes more room than others, also where it shares its slot, and what is settled makes
// room for as much. Who waits for room gets it as soon as there is any.
func TestWindowRoom(t *testing.T) {
	for name, settle := range map[string]func(w *window, want sources.Want){
		"by its ordinal": func(w *window, want sources.Want) { w.claim([]sources.Want{want}, nil) },
		"by its id":      func(w *window, want sources.Want) { w.claimID(want.ID, want.Len) },
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := openWant(0, idOf(1, 1)), openWant(1, idOf(2, 2))
			w := newWindow(2*leadCost + 2)
			w.add(a, place{lead: true}, 0)
			w.add(a, place{lead: true}, 1)
			w.add(a, place{}, 1)
			w.add(b, place{}, 1)
			if w.open != w.max || !w.full() {
				t.Fatalf("%s: %d places are open, want %d", name, w.open, w.max)
			}
			waited := false
			go func() { waited = w.waitRoom(context.Background()) == nil }()
			synctest.Wait()
			if waited {
				t.Errorf("%s: a full window has room", name)
			}
			settle(w, b)
			synctest.Wait()
			if !waited || w.open != w.max-1 {
				t.Errorf("%s: there is no room for one place, %d are open", name, w.open)
			}
			settle(w, a)
			if w.open != 0 {
				t.Errorf("%s: %d places are open", name, w.open)
			}
		})
	}
}

// A chunk that is found under the right id with another length is not the one that is wanted: it stays open.
func TestWindowTakesTheRightLength(t *testing.T) {
	w := newWindow(maxWindow)
	want := openWant(0, idOf(1, 1))
	w.add(want, place{}, 0)
	if _, ok := w.claimID(want.ID, want.Len-1); ok {
		t.Error("a shorter one is claimed")
	}
	if got := w.claimFound([]diskscan.Chunk{{ID: want.ID, Len: int(want.Len) + 1}}, nil); len(got) != 1 || !got[0].dup {
		t.Errorf("a longer one: %+v", got)
	}
	if c, ok := w.claimID(want.ID, want.Len); !ok || c.want != want {
		t.Errorf("the right one: %+v, %v", c, ok)
	}
}

// Open chunks are listed from where it was left off, or from the first that is kept if that has been cut off since.
func TestOpenIDsAfterACut(t *testing.T) {
	const n = maxLately + 2*slotBlock
	w := newWindow(maxWindow)
	for i := range uint64(n) {
		w.add(openWant(i, idOf(i, i)), place{}, 0)
	}
	if ids, next := w.openIDs(0, 10); len(ids) != 10 || next != 10 {
		t.Fatalf("%d ids, go on at %d", len(ids), next)
	}
	for i := range uint64(n - 5) {
		w.claimID(idOf(i, i), 100)
	}
	if w.base == 0 {
		t.Fatal("nothing was cut off")
	}
	ids, next := w.openIDs(10, n)
	if len(ids) != 5 || ids[0] != idOf(n-5, n-5) || next != n {
		t.Errorf("%d ids, go on at %d", len(ids), next)
	}
	if ids, next = w.openIDs(next, 10); len(ids) != 0 || next != n {
		t.Errorf("%d ids behind the last, go on at %d", len(ids), next)
	}
}
