package fetch

import (
	"sort"
	"sync/atomic"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// An edit of a few bytes spoils the sub-chunk that it lies in, and often the next one. What is left of them lies in
// the local file right behind the sub-chunk before the missing span, or right before the one after it. So the blocks of
// the span are held against the bytes there, on either side.
//
// A block's sum is short. So one alone counts only beside what is there anyway, else two together must be right; one
// guess in 65 536 is wrong all the same. The chunk then has another hash, and is fetched whole.
//
// A sender that lies about blocks could find out what a file holds byte by byte, as it sees what is asked for. So only
// files of the destination are looked at so closely, which the sender may replace anyway, and only while the chunks
// come out right (blockTrust).

// guess is where a missing span may lie in a local file, as far as whole blocks of the chunk go.
type guess struct {
	span     int    // of matched.spans
	from, to uint32 // in the chunk: where a block begins, and where one ends
	off      int64  // of from, in the file
	data     []byte // what the file has there
}

// blockTrust counts chunks that were asked for by blocks, and those that came out wrong of all that were asked for in part.
type blockTrust struct{ asked, wrong atomic.Int64 }

// Bounds of trust in blocks: so many chunks may come out wrong, and one more of so many that were asked for.
const (
	wrongBlocks = 3
	wrongOf     = 4096
)

func (t *blockTrust) holds() bool { return t.wrong.Load() <= wrongBlocks+t.asked.Load()/wrongOf }

// closer looks at the missing spans of a chunk block by block. If it can't or must not, or there would be too many spans,
// the match stays as it is.
func (z *zoomer) closer(blocks []uint16, m matched, at *stretch) matched {
	if len(m.spans) == 0 || m.hopeless() || len(m.spans) > sources.MaxSpans || len(blocks) != recipe.FineBlocks(int(m.length)) {
		return m
	}
	if !z.s.scope.InDest(at.file.Dir) || !z.blocks.holds() {
		return m
	}
	gs := guesses(m, at)
	if len(gs) == 0 || z.load(gs, at) != nil {
		return m
	}
	c := m.byBlocks(blocks, gs)
	if len(c.spans) > sources.MaxSpans || c.missing == m.missing {
		return m
	}
	z.blocks.asked.Add(1)
	return c
}

// load gets what the file has where spans are guessed to lie.
func (z *zoomer) load(gs []guess, at *stretch) error {
	var pieces []diskscan.Piece
	for i := range gs {
		g := &gs[i]
		from, to := g.off-at.off, g.off-at.off+int64(g.to-g.from)
		if to <= int64(len(at.data)) {
			g.data = at.data[from:to]
			continue
		}
		g.data = make([]byte, g.to-g.from)
		pieces = append(pieces, diskscan.Piece{Offset: g.off, To: g.data})
	}
	if pieces == nil {
		return nil
	}
	return z.s.disk.ReadPieces(z.s.ctx, at.file, pieces)
}

// hopeless says that hardly anything of a chunk is there.
func (m matched) hopeless() bool { return m.missing >= m.length/16*15 }

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
		behind := int64(missing)
		if kept < len(m.kept) && m.kept[kept].at == s.Off+s.Len {
			behind = m.kept[kept].off
		}
		c.addSpan(s, blocks, gs[:n], behind)
		gs = gs[n:]
	}
	for ; kept < len(m.kept); kept++ {
		c.keep(m.kept[kept].len, m.kept[kept].off)
	}
	return c
}

// addSpan adds a span of another match, block by block.
func (m *matched) addSpan(s sources.Span, blocks []uint16, gs []guess, behind int64) {
	var parts []kept
	for at, end := s.Off, s.Off+s.Len; at < end; {
		k := at / recipe.FineBlock
		p := kept{at: at, len: min(end, (k+1)*recipe.FineBlock) - at, off: missing}
		if off, ok := lies(k, blocks[k], gs); ok {
			p.off = off + int64(at-k*recipe.FineBlock)
		}
		parts = append(parts, p)
		at += p.len
	}
	before := m.end()
	for i, p := range parts {
		next := behind
		if i+1 < len(parts) {
			next = parts[i+1].off
		}
		switch {
		case p.off == missing || p.off != before && p.off+int64(p.len) != next:
			m.miss(p.len)
		default:
			m.keep(p.len, p.off)
		}
		before = p.off + int64(p.len)
	}
}

// missing is the offset of what no file has: nothing can follow it.
const missing = -1 << 62

// end is where in the file the last kept part ends, if that is the end of what is known of the chunk; else missing.
func (m *matched) end() int64 {
	if n := len(m.kept); n > 0 && m.kept[n-1].at+m.kept[n-1].len == m.length {
		return m.kept[n-1].off + int64(m.kept[n-1].len)
	}
	return missing
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
