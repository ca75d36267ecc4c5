package fetch

import (
	"errors"
	"fmt"

	"dfetch/diskscan"
	"dfetch/recipe"
	"dfetch/sources"
)

// zooms says whether a source gives fine lists.
func zooms(src sources.Source) bool {
	_, ok := src.(sources.Zoomer)
	return ok
}

// zoom asks a source for fine lists and has them compared.
func (l *loop) zoom(a Action) {
	refuse := func(rs []Range, why Why) {
		l.mail.post(Event{Kind: EvFine, Source: a.Source, Ranges: rs, Why: why})
	}
	src, ok := l.source(a.Source).(sources.Zoomer)
	wants := l.win.openWants(a.Ranges)
	if rest := without(a.Ranges, wants); rest != nil {
		refuse(rest, WhyCanceled) // they came meanwhile
	}
	if !ok || len(wants) == 0 {
		if len(wants) > 0 {
			refuse(rangesOf(wants), WhyNotHeld)
		}
		return
	}
	err := src.Zoom(wants, func(w sources.Want, fine recipe.FineList, err error) {
		if err != nil {
			refuse([]Range{{w.Ordinal, 1}}, whyOf(err))
			return
		}
		l.search.zoom.answers <- answer{source: a.Source, want: w, fine: fine}
	})
	if err != nil {
		refuse(rangesOf(wants), WhyClosed)
	}
}

// without is the ranges less the wants, which are among them in order.
func without(rs []Range, wants []sources.Want) (rest []Range) {
	for _, r := range rs {
		for ord := r.First; ord < r.First+uint64(r.Count); ord++ {
			if len(wants) > 0 && wants[0].Ordinal == ord {
				wants = wants[1:]
				continue
			}
			rest = appendOrdinal(rest, ord)
		}
	}
	return rest
}

// patchFailed notes that the parts of so many chunks made something else.
func (l *loop) patchFailed(n int) {
	if l.search != nil {
		l.search.zoom.blocks.wrong.Add(int64(n))
	}
}

// answer is a fine list.
type answer struct {
	source SourceID
	want   sources.Want
	fine   recipe.FineList
}

// Bounds of what is kept.
const (
	maxCut  = 64        // stretches whose sub-chunks are
	maxKept = 256 << 10 // bytes of a stretch that is kept itself, for its blocks; a longer one is read again
)

// zoomer compares fine lists with what this machine has. In steps, one list after the other:
//
//  1. The stretch that belongs to the chunk is cut at fine grain, once for all of its chunks.
//  2. Sub-chunks with the same length and sum are taken for the same.
//  3. What is missing is looked at block by block (closer).
//  4. If nothing is missing, the chunk is put together and checked. Else the window learns by a patch what
//     is missing, and the core how much that is.
//
// Nothing that it says is trusted: a chunk counts when all of it has its id.
type zoomer struct {
	s       *searcher
	hash    recipe.Hash
	answers chan answer // room for all that the core may have asked for
	cut     []*stretch  // those with sub-chunks, the oldest first
	blocks  blockTrust
}

func newZoomer(s *searcher, hash recipe.Hash) *zoomer {
	return &zoomer{s: s, hash: hash, answers: make(chan answer, maxParts)}
}

// run compares what comes until the search ends.
func (z *zoomer) run() {
	for {
		select {
		case a := <-z.answers:
			z.compareAll(a)
		case <-z.s.ctx.Done():
			return
		}
	}
}

// compareAll compares a list and those that wait behind it, and tells the loop of them at once.
func (z *zoomer) compareAll(a answer) {
	source := a.source
	ev := Event{Kind: EvFine, Source: source}
	for n := 0; ; n++ {
		missing := z.compare(a)
		ev.Ranges = appendOrdinal(ev.Ranges, a.want.Ordinal)
		ev.Lens = append(ev.Lens, missing)
		more := false
		if n < 64 {
			select {
			case a = <-z.answers:
				more = true
			default:
			}
		}
		if !more || a.source != source {
			z.s.loop.mail.post(ev)
			ev = Event{Kind: EvFine, Source: a.source}
			source = a.source
		}
		if !more {
			return
		}
	}
}

// compare finds out how much of a chunk is missing. All of it, if nothing is known to be there.
func (z *zoomer) compare(a answer) uint32 {
	at := z.s.loop.win.nearOf(a.want.Ordinal)
	if at == nil || z.index(at) != nil {
		return a.want.Len
	}
	m := z.closer(a.fine.Blocks, match(a.fine.Entries, at), at)
	if m.length != a.want.Len || m.hopeless() || len(m.spans) > sources.MaxSpans {
		return a.want.Len
	}
	fill := func(chunk []byte) error { return z.fill(at.file, m.kept, chunk) }
	if len(m.spans) == 0 {
		if z.assemble(a.want, fill) != nil {
			return a.want.Len
		}
		return 0
	}
	z.s.loop.win.setPatch([]Range{{a.want.Ordinal, 1}}, &sources.Patch{Missing: m.spans, Fill: fill})
	return m.missing
}

// index cuts a stretch unless that was done.
func (z *zoomer) index(at *stretch) error {
	if at.fine != nil {
		return nil
	}
	list, data, err := z.s.disk.Fine(z.s.ctx, at.file, at.off, at.len)
	if err != nil {
		return err
	}
	if len(data) <= maxKept && z.s.scope.InDest(at.file.Dir) {
		at.data = data
	}
	at.fine = make(map[recipe.FineEntry]int64, len(list))
	off := at.off
	for _, e := range list {
		at.fine[e] = off
		off += int64(e.Len)
	}
	if len(z.cut) == maxCut {
		z.cut[0].fine, z.cut[0].data = nil, nil
		z.cut = z.cut[1:]
	}
	z.cut = append(z.cut, at)
	return nil
}

// kept is a part of a chunk that a local file has.
type kept struct {
	at  uint32 // in the chunk
	len uint32
	off int64 // in the file
}

// matched says of a chunk what a stretch has of it.
type matched struct {
	length  uint32
	missing uint32
	spans   []sources.Span // that are missing
	kept    []kept
}

// match looks the sub-chunks of a chunk up in a stretch that has been cut. Neighbours become one.
func match(fine []recipe.FineEntry, at *stretch) matched {
	var m matched
	for _, e := range fine {
		n := uint32(e.Len)
		if off, ok := at.fine[e]; ok {
			m.keep(n, off)
		} else {
			m.miss(n)
		}
	}
	return m
}

// keep adds bytes to the end that the file has at an offset.
func (m *matched) keep(n uint32, off int64) {
	last := len(m.kept) - 1
	if last >= 0 && m.kept[last].at+m.kept[last].len == m.length && m.kept[last].off+int64(m.kept[last].len) == off {
		m.kept[last].len += n
	} else {
		m.kept = append(m.kept, kept{at: m.length, len: n, off: off})
	}
	m.length += n
}

// miss adds missing bytes to the end.
func (m *matched) miss(n uint32) {
	if last := len(m.spans) - 1; last >= 0 && m.spans[last].Off+m.spans[last].Len == m.length {
		m.spans[last].Len += n
	} else {
		m.spans = append(m.spans, sources.Span{Off: m.length, Len: n})
	}
	m.missing += n
	m.length += n
}

// fill copies what a file has into a chunk.
func (z *zoomer) fill(f diskscan.File, parts []kept, chunk []byte) error {
	pieces := make([]diskscan.Piece, 0, len(parts))
	for _, k := range parts {
		if uint64(k.at)+uint64(k.len) > uint64(len(chunk)) {
			return fmt.Errorf("part of %d bytes at %d of a chunk of %d", k.len, k.at, len(chunk))
		}
		pieces = append(pieces, diskscan.Piece{Offset: k.off, To: chunk[k.at : k.at+k.len]})
	}
	return z.s.disk.ReadPieces(z.s.ctx, f, pieces)
}

var errDiffers = errors.New("the bytes differ from the chunk")

// assemble puts a chunk together of which nothing is missing.
func (z *zoomer) assemble(w sources.Want, fill func([]byte) error) error {
	chunk := make([]byte, w.Len)
	if err := fill(chunk); err != nil {
		return err
	}
	if z.hash.Chunk(chunk) != w.ID {
		return errDiffers
	}
	if c, ok := z.s.loop.win.claimID(w.ID, w.Len); ok {
		z.s.loop.deliver("disk", []claimed{c}, chunk)
		z.s.loop.explain.brought([]claimed{c}, func(string) Origin { return Origin{Source: "disk", How: comparedFine} })
		z.s.loop.mail.post(Event{Kind: EvFound, Ranges: []Range{{c.want.Ordinal, 1}}})
	}
	return nil
}

// compare has a file compared with the missing chunks of another that it resembles as a whole.
func (s *searcher) compare(id uint32, rs []Range) {
	s.mu.Lock()
	f := s.files[id]
	s.mu.Unlock()
	n := min(f.Size, maxNear)
	s.loop.win.moveNear(rs, &stretch{file: f, len: n})
	for _, r := range rs {
		s.loop.mail.post(Event{Kind: EvNear, Ranges: []Range{r}, Units: n})
	}
}
