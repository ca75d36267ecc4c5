package fetch

import (
	"dfetch/recipe"
	"dfetch/sources"
)

// gap is a run of open chunks of one file, with nothing else planned of it between them.
type gap struct {
	first, last uint64 // ordinals
	count       int
	bytes       int64
}

// maxGap bounds the chunks of a gap; they are counted from the end that was asked for.
const maxGap = 128

// gapBefore is the run that ends right before an ordinal and belongs to the same file; false if there is none.
// A chunk of which known says that this machine has it ends the run.
func (w *window) gapBefore(ord uint64, group uint32, known func(recipe.ID) bool) (gap, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gapFrom(w.find(ord)-1, -1, group, known)
}

// gapAfter is the same for the run right behind an ordinal.
func (w *window) gapAfter(ord uint64, group uint32, known func(recipe.ID) bool) (gap, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gapFrom(w.find(ord+1), +1, group, known)
}

// gapFrom collects open slots from index i on, in steps of step.
func (w *window) gapFrom(i, step int, group uint32, known func(recipe.ID) bool) (g gap, ok bool) {
	for ; i >= 0 && i < w.slots.len() && g.count < maxGap; i += step {
		s := w.slots.at(i)
		if s.claimed || s.group != group || known(s.want.ID) {
			break
		}
		if g.count == 0 {
			g.first, g.last = s.want.Ordinal, s.want.Ordinal
		}
		g.first, g.last = min(g.first, s.want.Ordinal), max(g.last, s.want.Ordinal)
		g.count++
		g.bytes += int64(s.want.Len)
	}
	return g, g.count > 0
}

// openWants are the wants of the open chunks among some ranges, without patches.
func (w *window) openWants(rs []Range) (out []sources.Want) {
	w.eachOpen(rs, func(s *slot) { out = append(out, s.want) })
	return out
}

// setNear notes where bytes like the chunks of some ranges lie. If a place in the same file is known of them already, and not far
// away, all from the one to the other counts, up to most bytes: something may have been put between, or taken out.
func (w *window) setNear(rs []Range, at *stretch, most int64) {
	var was, both *stretch
	w.eachOpen(rs, func(s *slot) {
		switch {
		case s.near == nil:
			s.near = at
		case s.near == was:
			s.near = both
		default:
			was, both = s.near, s.near.with(at, most)
			s.near = both
		}
	})
}

// moveNear notes a better place than what setNear noted. No fine list may be on its way.
func (w *window) moveNear(rs []Range, at *stretch) {
	w.eachOpen(rs, func(s *slot) { s.near = at })
}

// nearOf is where bytes like an open chunk lie; nil if that is not known.
func (w *window) nearOf(ord uint64) (at *stretch) {
	w.eachOpen([]Range{{ord, 1}}, func(s *slot) { at = s.near })
	return at
}

// learned tells of chunks among some ranges, as events: which were found, and near which stretches others lie.
func (w *window) learned(rs []Range) (evs []Event) {
	if found := w.settledOf(rs); found != nil {
		evs = append(evs, Event{Kind: EvFound, Ranges: found})
	}
	var last *stretch
	w.eachOpen(rs, func(s *slot) {
		if s.near != nil && s.near == last {
			ev := &evs[len(evs)-1]
			ev.Ranges = appendOrdinal(ev.Ranges, s.want.Ordinal)
		} else if s.near != nil {
			evs = append(evs, Event{Kind: EvNear, Ranges: []Range{{s.want.Ordinal, 1}}, Units: s.near.len})
		}
		last = s.near
	})
	return evs
}

// setPatch notes what is missing of chunks; nil: all of it.
func (w *window) setPatch(rs []Range, p *sources.Patch) {
	w.eachOpen(rs, func(s *slot) { s.patch = p })
}

// eachOpen calls f for the open slots of some ranges.
func (w *window) eachOpen(rs []Range, f func(*slot)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		for i := w.find(r.First); i < w.slots.len() && w.slots.at(i).want.Ordinal < end; i++ {
			if s := w.slots.at(i); !s.claimed {
				f(s)
			}
		}
	}
}
