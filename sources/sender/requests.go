package sender

import (
	"fmt"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// takeOrdinals takes a GET, a CANCEL or a ZOOM.
func (s *session) takeOrdinals(t wire.Type, body []byte) error {
	var o wire.Ordinals
	if err := wire.Decode(body, &o); err != nil {
		return err
	}
	ranges := unflatten(o.Ranges)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch t {
	case wire.TypeCancel:
		s.drop(ranges)
		return nil
	case wire.TypeZoom:
		if n := countOf(ranges); n > wire.MaxZoom {
			return fmt.Errorf("ZOOM of %d chunks, limit %d: %w", n, wire.MaxZoom, wire.ErrFrame)
		}
		return s.queue(&s.zooms, get{ranges: ranges}, ranges...)
	}
	return s.queue(&s.gets, get{ranges: ranges}, ranges...)
}

// countOf counts the chunks of ranges, up to a little more than a ZOOM may have.
func countOf(ranges []sources.Range) uint64 {
	n := uint64(0)
	for _, r := range ranges {
		n += min(r.Count, wire.MaxZoom+1)
	}
	return n
}

func (s *session) takeGetParts(body []byte) error {
	parts, _, err := wire.DecodeParts(body)
	if err != nil {
		return err
	}
	ranges := make([]sources.Range, len(parts))
	for i := range parts {
		ranges[i] = sources.Range{First: parts[i].Ordinal, Count: 1}
		if n := parts[i].Bytes(); n > int64(maxRaw(s.tree.root)) {
			return fmt.Errorf("GET_PARTS of %d bytes of chunk %d, limit %d: %w", n, parts[i].Ordinal, maxRaw(s.tree.root), wire.ErrFrame)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue(&s.gets, get{parts: parts}, ranges...)
}

// maxRaw is the raw bytes of a DATA or PARTS frame at most.
func maxRaw(root *recipe.Root) int { return max(wire.MaxRun, int(root.Profile.Max)) }

// queue adds a request for chunks in ranges. It is called with mu held.
func (s *session) queue(to *[]get, g get, ranges ...sources.Range) error {
	if len(s.gets)+len(s.zooms) > wire.MaxGets {
		return fmt.Errorf("%d requests ahead, limit %d: %w", len(s.gets)+len(s.zooms), wire.MaxGets, wire.ErrFrame)
	}
	for _, r := range ranges {
		if r.End() > s.tree.root.Counts.Chunks {
			return fmt.Errorf("request for chunks %d+%d, recipe has %d: %w", r.First, r.Count, s.tree.root.Counts.Chunks, wire.ErrFrame)
		}
	}
	*to = append(*to, g)
	signal(s.work)
	return nil
}

// drop takes back what a client canceled. It is called with mu held.
func (s *session) drop(ranges []sources.Range) {
	for i := range s.gets {
		g := &s.gets[i]
		g.ranges = sources.Subtract(g.ranges, ranges)
		g.parts = withoutParts(g.parts, ranges)
	}
	signal(s.work) // a request that is empty now counts as taken
}

// dropDone forgets the requests at the front that are done, and counts them.
func (s *session) dropDone() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint32(0)
	for _, queue := range []*[]get{&s.gets, &s.zooms} {
		for len(*queue) > 0 && (*queue)[0].done() {
			*queue = (*queue)[1:]
			n++
		}
	}
	return n
}

// front is the first range of whole chunks, if whole chunks are next.
func (s *session) front() (sources.Range, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gets) == 0 || len(s.gets[0].ranges) == 0 {
		return sources.Range{}, false
	}
	return s.gets[0].ranges[0], true
}

// nextZoom takes the next chunk that a fine list is to be sent of.
func (s *session) nextZoom() (ordinal uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.zooms {
		if z := &s.zooms[i]; len(z.ranges) > 0 {
			r := &z.ranges[0]
			ordinal = r.First
			if r.First, r.Count = r.First+1, r.Count-1; r.Count == 0 {
				z.ranges = z.ranges[1:]
			}
			return ordinal, true
		}
	}
	return 0, false
}

// nextParts takes parts of about this many bytes, if parts are next: at least one, and no more than the
// head room has place for.
func (s *session) nextParts(limit int64) []wire.Part {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gets) == 0 {
		return nil
	}
	g := &s.gets[0]
	n, bytes, spans := 0, int64(0), 0
	for ; n < len(g.parts); n++ {
		p := &g.parts[n]
		bytes, spans = bytes+p.Bytes(), spans+len(p.Spans)
		if n > 0 && (bytes > limit || spans > maxRunSpans) {
			break
		}
	}
	parts := g.parts[:n:n]
	g.parts = g.parts[n:]
	return parts
}
