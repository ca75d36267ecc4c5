package fetch

import (
	"sort"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// An edit of a few bytes spoils the sub-chunk that it lies in, and often the next one. What is left of them lies in
// the local file right behind the sub-chunk before the missing span, or right before the one after it. So the blocks of
// the span are held against the bytes there, on either side.
//
// A block's sum is short: one guess in 65 536 is wrong. The chunk then has another hash, and is fetched whole.

// guess is where a missing span may lie in a local file, as far as whole blocks of the chunk go.
type guess struct {
	span     int    // of matched.spans
	from, to uint32 // in the chunk: where a block begins, and where one ends
	off      int64  // of from, in the file
	data     []byte // what the file has there
}

// closer looks at the missing spans of a chunk block by block. If it can't, or there would be too many spans, the
// match stays as it is.
func (z *zoomer) closer(blocks []uint16, m matched, at *stretch) matched {
	if len(m.spans) == 0 || len(blocks) != recipe.FineBlocks(int(m.length)) {
		return m
	}
	gs := guesses(m, at)
	pieces := make([]diskscan.Piece, len(gs))
	for i := range gs {
		gs[i].data = make([]byte, gs[i].to-gs[i].from)
		pieces[i] = diskscan.Piece{Offset: gs[i].off, To: gs[i].data}
	}
	if len(gs) == 0 || z.s.disk.ReadPieces(z.s.ctx, at.file, pieces) != nil {
		return m
	}
	if c := m.byBlocks(blocks, gs); len(c.spans) <= sources.MaxSpans {
		return c
	}
	return m
}

// guesses says where each span may lie in the stretch: behind what is there before it, and before what is there
// behind it; at the ends of the chunk, those of the stretch.
func guesses(m matched, at *stretch) []guess {
	var gs []guess
	for i, s := range m.spans {
		end := s.Off + s.Len
		before, behind := m.keptBefore(s.Off), m.keptBefore(end+1)
		left, right := at.off, at.off+at.len
		if before >= 0 {
			left = m.kept[before].off + int64(m.kept[before].len)
		}
		if behind > before {
			right = m.kept[behind].off
		}
		gs = appendGuess(gs, i, m, at, left-int64(s.Off))
		if right-int64(end) != left-int64(s.Off) {
			gs = appendGuess(gs, i, m, at, right-int64(end))
		}
	}
	return gs
}

// keptBefore is the last kept part that begins before a place; -1 if none does.
func (m matched) keptBefore(place uint32) int {
	return sort.Search(len(m.kept), func(i int) bool { return m.kept[i].at >= place }) - 1
}

// appendGuess adds that a span lies so far from where it is in the chunk, as far as that is inside the stretch.
func appendGuess(gs []guess, span int, m matched, at *stretch, delta int64) []guess {
	const block = recipe.FineBlock
	s := m.spans[span]
	from := int64(s.Off / block * block)
	to := min(int64(m.length), int64((s.Off+s.Len+block-1)/block*block))
	if short := at.off - delta - from; short > 0 {
		from += (short + block - 1) / block * block
	}
	if most := at.off + at.len - delta; to > most {
		to = most / block * block
	}
	if from >= to {
		return gs
	}
	return append(gs, guess{span: span, from: uint32(from), to: uint32(to), off: from + delta})
}

// byBlocks is the match with those blocks of its spans kept that have the right sum where they are guessed to lie. gs
// are in the order of the spans.
func (m matched) byBlocks(blocks []uint16, gs []guess) matched {
	var c matched
	kept := 0
	for i, s := range m.spans {
		for ; kept < len(m.kept) && m.kept[kept].at < s.Off; kept++ {
			c.keep(m.kept[kept].len, m.kept[kept].off)
		}
		n := 0
		for n < len(gs) && gs[n].span == i {
			n++
		}
		c.addSpan(s, blocks, gs[:n])
		gs = gs[n:]
	}
	for ; kept < len(m.kept); kept++ {
		c.keep(m.kept[kept].len, m.kept[kept].off)
	}
	return c
}

// addSpan adds a span of another match, block by block.
func (m *matched) addSpan(s sources.Span, blocks []uint16, gs []guess) {
	for end := s.Off + s.Len; m.length < end; {
		k := m.length / recipe.FineBlock
		n := min(end, (k+1)*recipe.FineBlock) - m.length
		if off, ok := lies(k, blocks[k], gs); ok {
			m.keep(n, off+int64(m.length-k*recipe.FineBlock))
		} else {
			m.miss(n)
		}
	}
}

// lies says where block k lies, by its sum.
func lies(k uint32, sum uint16, gs []guess) (off int64, ok bool) {
	from := k * recipe.FineBlock
	for _, g := range gs {
		if from < g.from || from >= g.to {
			continue
		}
		at := from - g.from
		if recipe.BlockSum(g.data[at:min(at+recipe.FineBlock, g.to-g.from)]) == sum {
			return g.off + int64(at), true
		}
	}
	return 0, false
}
