package fetch

import (
	"encoding/binary"

	"dfetch/recipe"
)

// maxLately is how many settled chunks the window can still find by what they are. The search looks for the chunk
// behind one that it has just found, or that has just come another way.
const maxLately = 4096

// number is the number of the slot of a chunk that is open or was settled lately.
func (w *window) number(id recipe.ID) (int, bool) {
	if s, n := w.openSlot(id); s != nil {
		return n, true
	}
	return w.settledLately(id)
}

// settledLately is the number of the slot of a chunk that was settled lately.
func (w *window) settledLately(id recipe.ID) (int, bool) {
	n := w.lately[latelyKey(id)]
	if i := n - w.base; i < 0 || i >= w.slots.len() || w.slots.at(i).want.ID != id {
		return 0, false
	}
	return n, true
}

func latelyKey(id recipe.ID) int { return int(binary.LittleEndian.Uint16(id[:])) % maxLately }

// wantsOr says whether a chunk is open; if it was settled lately, and not by the disk, it tells which it is.
func (w *window) wantsOr(id recipe.ID, settled func(ord uint64, group uint32)) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, _ := w.openSlot(id); s != nil {
		return true
	}
	if n, ok := w.settledLately(id); ok {
		if s := w.slots.at(n - w.base); !s.own {
			settled(s.want.Ordinal, s.group)
		}
	}
	return false
}

// follows is which chunk follows another one in the file that needs it, as a recipe.Follows.
func (w *window) follows(id recipe.ID) (recipe.Expected, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.number(id)
	if !ok || !w.adjoin(n+1) {
		return recipe.Expected{}, false
	}
	want := w.slots.at(n + 1 - w.base).want
	return recipe.Expected{ID: want.ID, Len: want.Len, Last: !w.adjoin(n + 2)}, true
}

// adjoin says whether the chunk of a slot begins where the one before it ends.
func (w *window) adjoin(number int) bool {
	i := number - w.base
	if i < 1 || i >= w.slots.len() {
		return false
	}
	a, b := w.slots.at(i-1), w.slots.at(i)
	return a.group == b.group && a.want.Ordinal+1 == b.want.Ordinal && a.off+int64(a.want.Len) == b.off
}
