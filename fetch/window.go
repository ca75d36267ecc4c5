package fetch

import (
	"context"
	"slices"
	"sort"
	"sync"

	"dfetch/diskscan"
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
	mu        sync.Mutex
	slots     slots
	head      int           // the first of them that is not claimed
	base      int           // number of the first of them, counted from the start
	ids       slotTable     // finds those that are not claimed
	unclaimed int           // how many these are
	open      int           // cost of the places of slots not claimed
	max       int           // most of it before the planner waits
	room      chan struct{} // gets a token when open falls below max

	lately [maxLately]int // numbers of slots that were settled, by latelyKey
}

func newWindow(limit int) *window {
	w := &window{max: limit, room: make(chan struct{}, 1)}
	w.ids = newSlotTable(func(number int) bool { return w.openAt(number) != nil })
	return w
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
	s, _ := w.openSlot(want.ID)
	if s != nil && s.want.Len == want.Len {
		s.more = append(s.more, at)
		w.open += at.cost()
		return false
	}
	if s == nil { // else one of them has a length that is not true, and only the first is found
		w.ids.add(&want.ID, w.base+w.slots.len(), w.unclaimed)
	}
	w.unclaimed++
	w.slots.add(slot{want: want, place: at, group: group})
	w.open += at.cost()
	return true
}

// openAt is an open slot by its number; nil if there is none.
func (w *window) openAt(number int) *slot {
	i := number - w.base
	if i < 0 || i >= w.slots.len() || w.slots.at(i).claimed {
		return nil
	}
	return w.slots.at(i)
}

// openSlot is the slot of an open chunk, and its number; nil if nobody waits for it.
func (w *window) openSlot(id recipe.ID) (*slot, int) {
	p := w.ids.probe(&id)
	for number := p.next(); number >= 0; number = p.next() {
		if s := w.openAt(number); s != nil && s.want.ID == id {
			return s, number
		}
	}
	return nil, 0
}

// find is the index in w.slots of an ordinal, or of the next higher one.
func (w *window) find(ord uint64) int {
	return sort.Search(w.slots.len(), func(i int) bool { return w.slots.at(i).want.Ordinal >= ord })
}

// wants turns ranges into the wants that they stand for, with the patches that are known.
func (w *window) wants(rs []Range) []sources.Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []sources.Want
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		for i := w.find(r.First); i < w.slots.len() && w.slots.at(i).want.Ordinal < end; i++ {
			want := w.slots.at(i).want
			want.Patch = w.slots.at(i).patch
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

// claims is memory for claimed chunks, used again and again.
type claims struct{ pool sync.Pool }

// get is room for n chunks.
func (c *claims) get(n int) []claimed {
	if p, ok := c.pool.Get().(*[]claimed); ok {
		return slices.Grow((*p)[:0], n)
	}
	return make([]claimed, 0, n)
}

// put takes back what get gave, with what was put there. Nobody may use it any more.
func (c *claims) put(all []claimed) {
	clear(all)
	c.pool.Put(&all)
}

// claim settles chunks: each is claimed once, later claims get dup.
func (w *window) claim(wants []sources.Want, out []claimed) []claimed {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := 0
	for k, want := range wants {
		if k == 0 || i >= w.slots.len() || w.slots.at(i).want.Ordinal != want.Ordinal {
			i = w.find(want.Ordinal)
		}
		if i >= w.slots.len() || w.slots.at(i).want.Ordinal != want.Ordinal || w.slots.at(i).claimed {
			out = append(out, claimed{want: want, dup: true})
			continue
		}
		s := w.slots.at(i)
		s.claimed = true
		out = append(out, claimed{want: s.want, place: s.place, more: s.more, group: s.group, own: want.Len - uint32(want.Bytes())})
		w.settle(s, w.base+i)
		i++
	}
	w.trim()
	return out
}

// openChunk is the slot of a chunk that was found, and its number; nil if nobody waits for it. A tag saves searching for it.
func (w *window) openChunk(c *diskscan.Chunk) (*slot, int) {
	if s := w.openAt(c.Tag); s != nil && s.want.ID == c.ID {
		return s, c.Tag
	}
	return w.openSlot(c.ID)
}

// wantsChunk says whether a chunk is open.
func (w *window) wantsChunk(c diskscan.Chunk) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, _ := w.openChunk(&c)
	return s != nil
}

// tag tags a chunk if it is open, and says its ordinal and the number of its file.
func (w *window) tag(c *diskscan.Chunk) (ordinal uint64, group uint32, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, number := w.openSlot(c.ID)
	if s == nil {
		return 0, 0, false
	}
	c.Tag = number
	return s.want.Ordinal, s.group, true
}

// openIDs lists the open chunks among the n slots from number from on, and says where to go on.
func (w *window) openIDs(from, n int) (ids []recipe.ID, next int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from = max(from, w.base)
	next = min(from+n, w.base+w.slots.len())
	ids = make([]recipe.ID, 0, max(0, next-from))
	for i := from - w.base; i < next-w.base; i++ {
		if s := w.slots.at(i); !s.claimed {
			ids = append(ids, s.want.ID)
		}
	}
	return ids, next
}

// claimFound settles chunks by what they are, and appends them to out; what nobody waits for gets dup.
func (w *window) claimFound(chunks []diskscan.Chunk, out []claimed) []claimed {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range chunks {
		s, number := w.openChunk(&chunks[i])
		c, ok := w.claimSlot(s, number, uint32(chunks[i].Len))
		c.dup = !ok
		out = append(out, c)
	}
	w.trim()
	return out
}

// claimID settles a chunk by what it is; false if nobody waits for it.
func (w *window) claimID(id recipe.ID, n uint32) (claimed, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.trim()
	s, number := w.openSlot(id)
	return w.claimSlot(s, number, n)
}

// claimSlot settles the chunk of a slot, nil for none, if it is n bytes long.
func (w *window) claimSlot(s *slot, number int, n uint32) (claimed, bool) {
	if s == nil || s.want.Len != n {
		return claimed{}, false
	}
	s.claimed, s.own = true, true
	c := claimed{want: s.want, place: s.place, more: s.more, group: s.group}
	w.settle(s, number)
	return c, true
}

func (w *window) settle(s *slot, number int) {
	w.lately[latelyKey(s.want.ID)] = number
	w.unclaimed--
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

// trim cuts claimed slots off the front, but for those that number may look for.
func (w *window) trim() {
	for w.head < w.slots.len() && w.slots.at(w.head).claimed {
		w.head++
	}
	for w.head >= maxLately+slotBlock {
		w.slots.cut()
		w.base += slotBlock
		w.head -= slotBlock
	}
}

// settledOf are the ordinals of planned chunks among some ranges that nobody waits for any more.
func (w *window) settledOf(rs []Range) (out []Range) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		i := w.find(r.First)
		for ord := r.First; ord < end; ord++ {
			if i < w.slots.len() && w.slots.at(i).want.Ordinal == ord {
				open := !w.slots.at(i).claimed
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
