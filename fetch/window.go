package fetch

import (
	"context"
	"slices"
	"sort"
	"sync"

	"dfetch/recipe"
	"dfetch/sources"
)

// place is where a chunk's bytes belong.
type place struct {
	file *pending
	off  int64
	lead bool // the first chunk of its file that is planned
}

// cost is what a place counts for against the window's limit.
func (p place) cost() int {
	if p.lead {
		return leadCost
	}
	return 1
}

// slot is a planned chunk: what it is and the places that need it.
type slot struct {
	want    sources.Want
	place                  // the first place
	more    []place        // further ones with the same content
	group   uint32         // number of the first place's file
	near    *stretch       // where bytes like it lie on this machine; nil: not known
	patch   *sources.Patch // what is missing of it when they were compared; nil: all of it
	claimed bool           // its bytes are here or given up; no place can be added
	own     bool           // this machine's disk brought them
}

// window holds the planned chunks that have not come. Slots are added in the order of their ordinals
// by the planner and settled in any order by the sources.
type window struct {
	mu    sync.Mutex
	slots []slot
	head  int // slots[:head] are claimed
	base  int // number of the slot slots[0], counted from the start
	byID  map[recipe.ID]int
	open  int           // cost of the places of slots not claimed
	max   int           // most of it before the planner waits
	room  chan struct{} // gets a token when open falls below max

	lately [maxLately]int // numbers of slots that were settled, by latelyKey
}

func newWindow(limit int) *window {
	return &window{byID: make(map[recipe.ID]int), max: limit, room: make(chan struct{}, 1)}
}

func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open >= w.max
}

// waitRoom blocks while the window is full.
func (w *window) waitRoom(ctx context.Context) error {
	for {
		if !w.full() {
			return nil
		}
		select {
		case <-w.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add notes that a chunk is needed at a place. It says whether the chunk is new: false means that an
// open slot has the same content and will serve this place too.
func (w *window) add(want sources.Want, at place, group uint32) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, ok := w.byID[want.ID]; ok {
		if s := &w.slots[n-w.base]; !s.claimed && s.want.Len == want.Len {
			s.more = append(s.more, at)
			w.open += at.cost()
			return false
		}
	}
	w.byID[want.ID] = w.base + len(w.slots)
	if len(w.slots) == cap(w.slots) {
		w.slots = slices.Grow(w.slots, max(1024, len(w.slots))) // append grows less, and copies more often
	}
	w.slots = append(w.slots, slot{want: want, place: at, group: group})
	w.open += at.cost()
	return true
}

// find is the index in w.slots of an ordinal, or of the next higher one.
func (w *window) find(ord uint64) int {
	return sort.Search(len(w.slots), func(i int) bool { return w.slots[i].want.Ordinal >= ord })
}

// wants turns ranges into the wants that they stand for, with the patches that are known.
func (w *window) wants(rs []Range) []sources.Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []sources.Want
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		for i := w.find(r.First); i < len(w.slots) && w.slots[i].want.Ordinal < end; i++ {
			want := w.slots[i].want
			want.Patch = w.slots[i].patch
			out = append(out, want)
		}
	}
	return out
}

// claimed is a chunk that has just been settled, with its places.
type claimed struct {
	want sources.Want
	place
	more  []place
	group uint32 // number of the first place's file
	own   uint32 // bytes of it that a patch took from this machine's disk
	dup   bool   // it had been settled before; there is nothing to do
}

// claim settles chunks: each is claimed once, later claims get dup.
func (w *window) claim(wants []sources.Want, out []claimed) []claimed {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := 0
	for k, want := range wants {
		if k == 0 || i >= len(w.slots) || w.slots[i].want.Ordinal != want.Ordinal {
			i = w.find(want.Ordinal)
		}
		if i >= len(w.slots) || w.slots[i].want.Ordinal != want.Ordinal || w.slots[i].claimed {
			out = append(out, claimed{want: want, dup: true})
			continue
		}
		s := &w.slots[i]
		s.claimed = true
		out = append(out, claimed{want: s.want, place: s.place, more: s.more, group: s.group, own: want.Len - uint32(want.Bytes())})
		w.settle(s, w.base+i)
		i++
	}
	w.trim()
	return out
}

// wantsID says whether a chunk is open.
func (w *window) wantsID(id recipe.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.byID[id]
	return ok
}

// placeOf is the ordinal of an open chunk and the number of its file.
func (w *window) placeOf(id recipe.ID) (ordinal uint64, group uint32, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, ok := w.byID[id]
	if !ok {
		return 0, 0, false
	}
	s := &w.slots[number-w.base]
	return s.want.Ordinal, s.group, true
}

// openIDs lists the open chunks among the n slots from number from on, and says where to go on.
func (w *window) openIDs(from, n int) (ids []recipe.ID, next int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from = max(from, w.base)
	next = min(from+n, w.base+len(w.slots))
	for _, s := range w.slots[min(from-w.base, len(w.slots)):max(next-w.base, 0)] {
		if !s.claimed {
			ids = append(ids, s.want.ID)
		}
	}
	return ids, next
}

// claimID settles a chunk by what it is; false if nobody waits for it.
func (w *window) claimID(id recipe.ID, n uint32) (claimed, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	number, ok := w.byID[id]
	if !ok || w.slots[number-w.base].want.Len != n {
		return claimed{}, false
	}
	s := &w.slots[number-w.base]
	s.claimed, s.own = true, true
	c := claimed{want: s.want, place: s.place, more: s.more, group: s.group}
	w.settle(s, number)
	w.trim()
	return c, true
}

func (w *window) settle(s *slot, number int) {
	if w.byID[s.want.ID] == number {
		delete(w.byID, s.want.ID)
	}
	w.lately[latelyKey(s.want.ID)] = number
	w.open -= s.cost()
	for _, p := range s.more {
		w.open -= p.cost()
	}
	s.more, s.file, s.near, s.patch = nil, nil, nil, nil
	if w.open < w.max {
		select {
		case w.room <- struct{}{}:
		default:
		}
	}
}

// trim cuts claimed slots off the front once they are half of the slice.
func (w *window) trim() {
	for w.head < len(w.slots) && w.slots[w.head].claimed {
		w.head++
	}
	if w.head < 4096 || w.head < len(w.slots)/2 {
		return
	}
	n := copy(w.slots, w.slots[w.head:])
	clear(w.slots[n:])
	w.slots = w.slots[:n]
	w.base += w.head
	w.head = 0
}

// settledOf are the ordinals of planned chunks among some ranges that nobody waits for any more.
func (w *window) settledOf(rs []Range) (out []Range) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		i := w.find(r.First)
		for ord := r.First; ord < end; ord++ {
			if i < len(w.slots) && w.slots[i].want.Ordinal == ord {
				open := !w.slots[i].claimed
				i++
				if open {
					continue
				}
			}
			out = appendOrdinal(out, ord) // claimed, or cut off since
		}
	}
	return out
}
