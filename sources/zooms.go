package sources

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"dfetch/recipe"
)

// Zooms is the fine lists that one source was asked for. It keeps the promises of Zoomer for the
// source: each want is answered once. The zero Zooms is empty. All methods may be called from several
// goroutines; answers are given by the goroutine that calls Answer or End.
type Zooms struct {
	mu      sync.Mutex
	waiting map[uint64][]zoom // by ordinal
	ended   bool
}

// zoom is one want that waits.
type zoom struct {
	want   Want
	answer func(Want, recipe.FineList, error)
}

// Ask notes wants. It returns the ordinals that nobody waited for before, in the order of wants. After End it
// fails with ErrClosed and notes nothing.
func (z *Zooms) Ask(wants []Want, answer func(Want, recipe.FineList, error)) ([]Range, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ended {
		return nil, ErrClosed
	}
	if z.waiting == nil {
		z.waiting = make(map[uint64][]zoom)
	}
	var fresh []Range
	for _, w := range wants {
		old := z.waiting[w.Ordinal]
		z.waiting[w.Ordinal] = append(old, zoom{want: w, answer: answer})
		if len(old) == 0 {
			fresh = AppendOrdinal(fresh, w.Ordinal)
		}
	}
	return fresh, nil
}

// Answer gives those who wait for a chunk its list, or the reason why there is none. It fails with
// ErrProtocol if nobody waits, or if the list's lengths do not sum up to the chunk's: then it
// answers with that. Of the list, everybody gets the same slices.
func (z *Zooms) Answer(ordinal uint64, fine recipe.FineList, reason error) error {
	z.mu.Lock()
	all := z.waiting[ordinal]
	delete(z.waiting, ordinal)
	z.mu.Unlock()
	if len(all) == 0 {
		return fmt.Errorf("fine list of chunk %d, which nobody waits for: %w", ordinal, ErrProtocol)
	}
	var fault error
	for _, one := range all {
		if n := fine.Bytes(); reason == nil && n != int64(one.want.Len) {
			fault = fmt.Errorf("fine list of %d bytes for chunk %d of %d: %w", n, ordinal, one.want.Len, ErrProtocol)
			one.answer(one.want, recipe.FineList{}, fault)
			continue
		}
		one.answer(one.want, fine, reason)
	}
	return fault
}

// Waiting says whether somebody waits.
func (z *Zooms) Waiting() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.waiting) > 0
}

// End answers everybody who waits with err, in ascending order, and lets nobody wait any more.
func (z *Zooms) End(err error) {
	z.mu.Lock()
	all := z.waiting
	z.waiting, z.ended = nil, true
	z.mu.Unlock()
	for _, ordinal := range slices.Sorted(maps.Keys(all)) {
		for _, one := range all[ordinal] {
			one.answer(one.want, recipe.FineList{}, err)
		}
	}
}
