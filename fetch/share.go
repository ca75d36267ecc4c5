package fetch

import (
	"dfetch/diskscan"
	"dfetch/tree"
)

// minShared is how long a stretch is at least whose blocks are shared: shorter ones are written in the time that sharing takes.
const minShared = 256 << 10

// sharing is chunks that follow on one another in a file of this machine, and are wanted in one file in the same order: the
// blocks of whole chunks can be shared.
type sharing struct {
	first, n  int   // of the chunks: those that lie wholly in these blocks
	from, end int64 // the blocks, by their place in this machine's file
	shift     int64 // to where they are wanted
	file      *pending
}

// shareable finds out what of a run of chunks can be shared, by their offsets and by the places where they are wanted, which may
// be none. unit is what blocks are aligned to in a file, 0 if it can't share any. A block has no byte of anything but these
// chunks. The chunks at both ends lie in part in blocks that hold other bytes too, so they are not among those that are shared.
func shareable(chunks []diskscan.Chunk, at []place, unit func(*pending) int64) (out []sharing) {
	for i := 0; i < len(chunks); {
		n := adjoining(chunks[i:], at[i:])
		if shift := at[i].off - chunks[i].Offset; at[i].file != nil && spanOf(chunks[i:i+n]) >= minShared {
			if s, ok := aligned(chunks[i:i+n], shift, unit(at[i].file)); ok {
				s.first, s.file = s.first+i, at[i].file
				out = append(out, s)
			}
		}
		i += n
	}
	return out
}

// adjoining is how many of the first chunks follow on one another here and where they are wanted; one at least.
func adjoining(chunks []diskscan.Chunk, at []place) int {
	n := 1
	for n < len(chunks) && at[n].file == at[0].file &&
		chunks[n].Offset == endOf(chunks[n-1]) && at[n].off-chunks[n].Offset == at[0].off-chunks[0].Offset {
		n++
	}
	return n
}

func endOf(c diskscan.Chunk) int64 { return c.Offset + int64(c.Len) }

func spanOf(chunks []diskscan.Chunk) int64 { return endOf(chunks[len(chunks)-1]) - chunks[0].Offset }

// aligned is what of chunks without a gap can be shared in blocks of a unit: those that lie wholly in whole blocks.
func aligned(chunks []diskscan.Chunk, shift, unit int64) (sharing, bool) {
	if unit <= 0 || shift%unit != 0 {
		return sharing{}, false
	}
	from := up(chunks[0].Offset, unit)
	end := endOf(chunks[len(chunks)-1]) / unit * unit
	first, n := 0, len(chunks)
	for first < n && chunks[first].Offset < from {
		first++
	}
	for n > first && endOf(chunks[n-1]) > end {
		n--
	}
	if first == n {
		return sharing{}, false
	}
	from, end = chunks[first].Offset/unit*unit, up(endOf(chunks[n-1]), unit)
	return sharing{first: first, n: n - first, from: from, end: end, shift: shift}, end-from >= minShared
}

func up(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// twin is where chunks lie whose blocks are shared, as a tree.Clone.
type twin interface {
	// HoldVerified accounts for a part of it that was read there and found right.
	HoldVerified(off, length int64) error
}

// settled is a file of the destination that shares the blocks that chunks were read in. A nil one shares nothing.
type settled struct {
	file  *pending
	shift int64
	twin  twin
}

// has tells whether a chunk that was found was read at the place that it is claimed for.
func (in *settled) has(c *claimed, found *diskscan.Chunk) bool {
	return in != nil && !c.dup && c.file == in.file && c.off == found.Offset+in.shift
}

// places are where chunks are wanted first; those that nobody waits for have no place.
func (w *window) places(chunks []diskscan.Chunk) []place {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := make([]place, len(chunks))
	for i := range chunks {
		if s, _ := w.openChunk(&chunks[i]); s != nil && s.want.Len == uint32(chunks[i].Len) {
			at[i] = s.place
		}
	}
	return at
}

// share is a diskscan.Share for chunks that take gets. The network may bring a chunk meanwhile: what is written is never cloned
// over, and what comes afterwards is the right bytes whatever was cloned.
func (s *searcher) share(fd int, chunks []diskscan.Chunk, cold func() int64, take func(*diskscan.Found, *settled)) (out []diskscan.Shared) {
	if s.held.tree == nil || len(chunks) == 0 || spanOf(chunks) < minShared || s.unsynced && cold() < spanOf(chunks)/2 {
		return nil
	}
	unit := func(p *pending) int64 { return p.file.CloneUnit(fd) }
	for _, sh := range shareable(chunks, s.loop.win.places(chunks), unit) {
		if clone := sh.file.file.Clone(fd, sh.from, sh.from+sh.shift, sh.end-sh.from); clone != nil {
			out = append(out, sharedBy(clone, sh, chunks, take))
		}
	}
	return out
}

func sharedBy(clone *tree.Clone, sh sharing, chunks []diskscan.Chunk, take func(*diskscan.Found, *settled)) diskscan.Shared {
	in := &settled{sh.file, sh.shift, clone}
	return diskscan.Shared{
		Chunks: chunks[sh.first : sh.first+sh.n], FD: clone.FD(), Shift: sh.shift, End: clone.Close,
		Sink: func(f *diskscan.Found) { take(f, in) },
	}
}
