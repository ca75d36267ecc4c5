package fetch

import (
	"dfetch/diskscan"
	"dfetch/recipe"
)

// stretch is a part of a local file in which bytes like those of missing chunks are thought to lie.
type stretch struct {
	file diskscan.File
	off  int64
	len  int64
	fine map[recipe.FineEntry]int64 // offsets in the file by sub-chunk; owned by the zoomer, nil: not cut
	data []byte                     // its bytes, if they are kept; owned by the zoomer
}

// with is all from a stretch to another one of the same file, or the stretch alone if that is more than most.
func (at *stretch) with(other *stretch, most int64) *stretch {
	from, end := min(at.off, other.off), max(at.off+at.len, other.off+other.len)
	if at.file != other.file || end-from > most || end-from == at.len {
		return at
	}
	return &stretch{file: at.file, off: from, len: end - from}
}

// spot is a wanted chunk that was found: where it lay in the local file, and which it is. The zero spot is
// the file's beginning.
type spot struct {
	off, end int64
	ordinal  uint64
	group    uint32
	any      bool // a chunk was found
}

// Bounds of stretches.
const (
	nearSlop = 8 << 10 // bytes by which a stretch may be longer than twice its chunks
	maxNear  = diskscan.MaxStretch

	// What lies between two found chunks on both sides of a run is taken whole, up to so much and so many times the run.
	maxBetween     = 1 << 20
	betweenForByte = 64
)

// trail follows the wanted chunks that are found in one local file, in the order of their offsets. What
// lies between two of them has matched nothing. If chunks are missing beside them in the wanted file, the
// bytes beside them in the local file are probably what they were in another version.
type trail struct {
	win    *window
	known  func(recipe.ID) bool // a chunk that lies elsewhere on this machine, and will be found
	file   diskscan.File
	last   spot
	events []Event // EvNear, for the loop
}

func newTrail(win *window, known func(recipe.ID) bool, f diskscan.File, last spot) *trail {
	return &trail{win: win, known: known, file: f, last: last}
}

// found goes on to the next chunk.
func (t *trail) found(s spot) {
	s.any = true
	before, missing := t.win.gapBefore(s.ordinal, s.group, t.known)
	after, ok := t.after()
	if ok && (!missing || after != before) {
		t.near(after, t.last.end, min(s.off, t.last.end+reach(after)))
	}
	if missing {
		from := max(t.last.end, s.off-reach(before))
		if ok && after == before && s.off-t.last.end <= between(before) {
			from = t.last.end // its first bytes may lie at the one end, its last ones at the other
		}
		t.near(before, from, s.off)
	}
	t.last = s
}

// end says that nothing more will be found in the file, which is so long.
func (t *trail) end(size int64) {
	if after, ok := t.after(); ok {
		t.near(after, t.last.end, min(size, t.last.end+reach(after)))
	}
}

// after is the missing run behind the last chunk.
func (t *trail) after() (gap, bool) {
	if !t.last.any {
		return gap{}, false
	}
	return t.win.gapAfter(t.last.ordinal, t.last.group, t.known)
}

// reach is how far from a found chunk the bytes of a missing run are looked for.
func reach(g gap) int64 { return min(2*g.bytes+nearSlop, maxNear) }

// between is how much may lie between two found chunks to be taken whole: cutting it must be worth the run's bytes.
func between(g gap) int64 { return min(betweenForByte*g.bytes+nearSlop, maxBetween) }

// near notes that a run may lie in a stretch, which may be empty.
func (t *trail) near(g gap, from, to int64) {
	rs := []Range{{First: g.first, Count: uint32(g.last - g.first + 1)}}
	n := max(0, to-from)
	if n > 0 {
		t.win.setNear(rs, &stretch{file: t.file, off: from, len: n}, between(g))
	}
	t.events = append(t.events, Event{Kind: EvNear, Ranges: rs, Units: n})
}
