package fetch

import (
	"slices"
	"time"

	"dfetch/costmodel"
)

// A missing chunk that lies between found ones often differs by a few bytes from what this machine has in
// that place. Zooming is to look: a source gives the chunk's fine list, the shell compares it with the bytes
// in that place, and what is missing is asked for as parts. In steps:
//
//  1. EvNear says which chunks have a place to compare with (near). They are held back from ordinary
//     requests as long as zooming pays.
//  2. zoomNext asks for fine lists (zoomNext), some round trips' worth at a time.
//  3. EvFine says what is missing of each chunk. It goes back into the queue at that price (fine).
//  4. A chunk whose parts made something else is asked for whole (unpatch), and so is one whose fine list a
//     source owes for too long while there is another source (zoomLate).
//
// What the fine lists brought so far decides whether the next ones are asked for.

// zoomState is how closely a chunk is looked at.
type zoomState uint8

const (
	zoomNone  zoomState = iota // nothing here is known to resemble it
	zoomNear                   // something does
	zoomAsked                  // its fine list is on its way, or is being compared
	zoomPart                   // chunk.cost bytes are missing
	zoomOff                    // it is fetched whole
)

// Bounds of zooming.
const (
	maxParts      = 2048    // chunks whose fine list was asked for and which have not come
	judged        = 256     // chunks that the decision looks at
	nearShare     = 16      // a place that is this many times shorter than its chunks is none
	edgeChunks    = 2       // so many chunks at each end of a missing run are likely to be there in part
	learnShare    = 0.1     // weight of one chunk in what is expected of the next
	forgetShare   = 0.0005  // the same toward firstShare, for a chunk that is not zoomed
	firstShare    = 0.5     // expected to be missing, before anything was seen
	firstTries    = 32      // chunks inside missing runs that are tried before anything was seen of such
	moreTries     = 4       // and so many more for each that was
	maxRefusals   = 16      // fine lists that a source may refuse in a row
	maxWholeFile  = 1 << 20 // a file up to this size may be compared as a whole
	wholeFileProb = 0.05    // and must be so likely to be an older version: a fine list is a hundredth of its chunk
	maxWholeRun   = 128     // chunks that it is compared with
)

// zoom is what the core knows of zooming.
type zoom struct {
	near  []uint64 // chunks to be zoomed, in the order in which they are to be
	later int      // near[:later] is to wait for answers about others
	asked int64    // chunks whose fine lists are on their way
	bytes int64    // what these lists take
	parts int64    // chunks in zoomPart that are still wanted
	share [2]float64
	tried [2]int64 // chunks that were asked for and have been answered
	open  [2]int64 // and that have not
	pays  [2]bool
	// unsure: a near source's rate is not known yet. Chunks may be asked for whole until it is.
	unsure bool
}

func newZoom() zoom { return zoom{share: [2]float64{firstShare, firstShare}} }

// class tells chunks inside a missing run from those at its ends.
func (ch *chunk) class() int {
	if ch.inner {
		return 1
	}
	return 0
}

// bytes is what a request for the chunk brings.
func (ch *chunk) bytes() int64 {
	if ch.zoom == zoomPart {
		return int64(ch.cost)
	}
	return int64(ch.len)
}

// zooming says whether a chunk is held back because it is looked at more closely.
func (c *Core) zooming(ch *chunk) bool {
	return ch.zoom == zoomAsked || ch.zoom == zoomNear && !c.zoom.unsure
}

// near takes in that the chunks of a run did not turn up where they would be, and that a place of ev.Units
// bytes is there instead. A short one is that of the ends of a long run alone: what they have of a cut chunk on each side.
func (c *Core) near(ev Event) {
	for _, r := range ev.Ranges {
		rs := []Range{r}
		var bytes, ends int64
		c.each(rs, func(ch *chunk) {
			bytes += int64(ch.len)
			if !insideOf(r, ch) {
				ends += int64(ch.len)
			}
		})
		usable, forEnds := ev.Units*nearShare >= bytes, ev.Units*nearShare >= ends
		c.each(rs, func(ch *chunk) {
			if ch.state != chunkWanted || ch.zoom != zoomNone || ch.held != 0 || c.search.waits(ch) {
				return
			}
			if ch.inner = insideOf(r, ch); !usable && (ch.inner || !forEnds) {
				c.whole(ch)
				return
			}
			ch.zoom = zoomNear
			c.zoom.near = append(c.zoom.near, ch.ordinal)
		})
	}
}

// insideOf says whether a chunk of a missing run lies at none of its ends.
func insideOf(r Range, ch *chunk) bool {
	return ch.ordinal >= r.First+edgeChunks && ch.ordinal+edgeChunks < r.First+uint64(r.Count)
}

// waits says whether the file that most probably has a chunk has not been looked at: it will tell better what is
// missing than another one that has only some of its neighbours.
func (s *search) waits(ch *chunk) bool {
	g := &s.groups[ch.group]
	return g.known && s.planner.Waits(g.id) && s.planner.Namesake(g.id)
}

// whole puts a chunk in the queue of those that are fetched whole.
func (c *Core) whole(ch *chunk) {
	ch.zoom = zoomOff
	c.enqueue(ch)
}

// zoomNext asks for fine lists as long as that pays.
func (c *Core) zoomNext(now time.Time) {
	z := &c.zoom
	if len(z.near) == 0 {
		return
	}
	id, ok := c.bestZoomer()
	z.pays, z.unsure = [2]bool{}, ok && c.sources[id].likelyRate() == 0
	if z.unsure {
		for _, ord := range z.near {
			if ch := c.at(ord); ch != nil && ch.state == chunkWanted && ch.held == 0 {
				c.enqueue(ch)
			}
		}
		return
	}
	if ok {
		c.judge(&c.sources[id])
	}
	if !z.pays[0] || !z.pays[1] {
		c.lapse()
	}
	if ok && len(z.near) > 0 {
		c.zoomBatch(now, id)
	}
}

// bestZoomer is the source that would answer first, among those whose rate is known if there are any: one that
// never brings anything must not keep the others from being asked.
func (c *Core) bestZoomer() (best SourceID, ok bool) {
	sure := false
	for i := range c.sources {
		s := &c.sources[i]
		if !s.askable() || !s.zooms || s.late {
			continue
		}
		known := s.likelyRate() > 0
		if !ok || known && !sure || known == sure && s.path.Finish(0) < c.sources[best].path.Finish(0) {
			best, ok, sure = SourceID(i), true, known
		}
	}
	return best, ok
}

// zoomDue is when a source that was asked for fine lists is late, if nothing of them comes before.
func (c *Core) zoomDue(now time.Time, s *source) time.Time {
	return now.Add(max(4*s.path.Finish(0), c.cfg.MinLease))
}

// zoomLate has those chunks fetched whole whose fine lists a source owes for too long, if there is another
// source. It says when to look again.
func (c *Core) zoomLate(now time.Time) (again time.Time) {
	up := c.upMask()
	for i := range c.sources {
		s := &c.sources[i]
		if len(s.zoomed) == 0 || up&^(1<<i) == 0 {
			continue
		}
		if now.Before(s.zoomDue) {
			again = earlier(again, s.zoomDue)
			continue
		}
		for _, ord := range s.zoomed {
			if ch := c.at(ord); ch != nil && ch.zoom == zoomAsked {
				c.zoomEnded(ch)
				c.whole(ch)
			}
		}
		s.zoomed, s.late = nil, true
	}
	return again
}

// zoomEnded takes a chunk off the count of those whose fine lists are on their way.
func (c *Core) zoomEnded(ch *chunk) {
	c.zoom.bytes = max(0, c.zoom.bytes-costmodel.FineBytes(1, int64(ch.len)))
	c.zoom.open[ch.class()]--
}

// judge decides for each class of the next chunks whether zooming them pays.
func (c *Core) judge(s *source) {
	z := &c.zoom
	rate := s.likelyRate()
	var of [2]costmodel.Zoom
	var all int64
	for _, ord := range z.near[:min(len(z.near), judged)] {
		if ch := c.at(ord); ch != nil {
			of[ch.class()].Chunks++
			of[ch.class()].Bytes += int64(ch.len)
			all++
		}
	}
	wait := 0.0 // an unmeasured rate is a bound: how long the line is idle can't be told by it
	if s.path.Rate() > 0 {
		wait = max(0, s.path.MinRTT().Seconds()-float64(s.path.Outstanding())/rate)
	}
	for class := range of {
		b := &of[class]
		if b.Chunks == 0 {
			z.pays[class] = true
			continue
		}
		b.Share, b.Rate, b.Cut = z.share[class], rate, c.search.planner.PerByte(0)
		b.Wait = wait * float64(b.Chunks) / float64(all)
		z.pays[class] = b.Pays()
	}
}

// lapse has the chunks fetched whole for which zooming does not pay.
func (c *Core) lapse() {
	z := &c.zoom
	z.later = 0
	z.near = slices.DeleteFunc(z.near, func(ord uint64) bool {
		ch := c.at(ord)
		if ch == nil || ch.state != chunkWanted || ch.zoom != zoomNear {
			return true
		}
		class := ch.class()
		if z.pays[class] {
			return false
		}
		if ch.held != 0 {
			ch.zoom = zoomOff
			return true
		}
		z.share[class] += forgetShare * (firstShare - z.share[class])
		c.whole(ch)
		return true
	})
}

// full says whether enough chunks inside missing runs are looked at, for what is known of such.
func (z *zoom) full() bool { return z.open[1] >= firstTries+moreTries*z.tried[1] }

// zoomBatch asks a source for fine lists, up to a part of what it may be asked for.
func (c *Core) zoomBatch(now time.Time, id SourceID) {
	z, s := &c.zoom, &c.sources[id]
	limit := s.path.Limit() / 2
	if len(s.zoomed) == 0 {
		s.zoomDue = c.zoomDue(now, s)
	}
	var rs []Range
	var wait []uint64
	if !z.full() {
		z.later = 0
	}
	n := z.later
	for ; n < len(z.near) && z.later+len(wait) < maxParts && z.bytes < limit && z.asked+z.parts < maxParts; n++ {
		ch := c.at(z.near[n])
		switch {
		case ch == nil || ch.state != chunkWanted || ch.zoom != zoomNear:
		case ch.held != 0:
			ch.zoom = zoomOff // asked for before the rate was known
		case ch.tried&(1<<id) != 0:
			c.whole(ch)
		case ch.inner && z.full():
			wait = append(wait, ch.ordinal)
		default:
			ch.zoom = zoomAsked
			z.open[ch.class()]++
			z.asked++
			z.bytes += costmodel.FineBytes(1, int64(ch.len))
			s.zoomed, s.owed = append(s.zoomed, ch.ordinal), s.owed+1
			rs = appendOrdinal(rs, ch.ordinal)
		}
	}
	z.near = slices.Replace(z.near, z.later, n, wait...)
	z.later += len(wait)
	if rs != nil {
		c.actions = append(c.actions, Action{Kind: ActZoom, Source: id, Ranges: rs})
	}
}

// fine takes in what fine lists have shown: ev.Lens are the missing bytes of the chunks of ev.Ranges, in order.
// With a reason there are none.
func (c *Core) fine(now time.Time, ev Event) {
	z, s := &c.zoom, &c.sources[ev.Source]
	i := 0
	for _, r := range ev.Ranges {
		for k := range uint64(r.Count) {
			missing := int64(-1)
			if ev.Why == "" && i < len(ev.Lens) {
				missing = int64(ev.Lens[i])
			}
			i++
			c.fineOne(s, c.at(r.First+k), missing)
		}
	}
	if z.asked -= int64(i); z.asked <= 0 {
		z.asked, z.bytes, z.open = 0, 0, [2]int64{} // the chunks that were forgotten meanwhile, too
	}
	if s.owed -= i; s.owed <= 0 || len(s.zoomed) > 2*maxParts {
		s.zoomed = slices.DeleteFunc(s.zoomed, func(ord uint64) bool {
			ch := c.at(ord)
			return ch == nil || ch.zoom != zoomAsked
		})
	}
	s.zoomDue = c.zoomDue(now, s)
	if ev.Why == "" {
		s.refusals, s.late = 0, false
		return
	}
	if s.refusals += i; s.refusals >= maxRefusals && ev.Why == WhyNotHeld {
		s.zooms = false
	}
}

// fineOne prices a chunk of which so many bytes are missing; negative: that is not known.
func (c *Core) fineOne(s *source, ch *chunk, missing int64) {
	z := &c.zoom
	if ch == nil || ch.zoom != zoomAsked {
		return
	}
	c.zoomEnded(ch)
	z.tried[ch.class()]++
	if missing >= 0 {
		share := &z.share[ch.class()]
		*share += learnShare * (min(1, float64(missing)/float64(ch.len)) - *share)
	}
	ch.zoom = zoomOff
	if ch.state != chunkWanted {
		return
	}
	if missing > 0 && missing < int64(ch.len) {
		ch.zoom, ch.cost = zoomPart, uint32(missing)
		z.parts++
	}
	c.enqueue(ch)
}

// unpatch notes that the parts of a chunk made something else: it is to be fetched whole.
func (c *Core) unpatch(ch *chunk) {
	if ch.zoom == zoomPart && ch.held == 0 && ch.state == chunkWanted {
		ch.zoom = zoomOff
		c.zoom.parts--
	}
}

// compareWhole notes that small wanted files are to be compared with a file that was thought to be an older version,
// and had none of the chunks.
func (c *Core) compareWhole(op costmodel.Op, ev Event) {
	s := c.search
	if !ev.Failed || ev.Found > 0 || op.Offset > 0 || ev.Units == 0 || ev.Units > maxWholeFile {
		return
	}
	for _, id := range s.planner.Reconsider(costmodel.FileID(op.ID), wholeFileProb) {
		if int(id) < len(s.byID) {
			s.compareWith(s.byID[id], ev.ID)
		}
	}
}

// compareWith notes that what is wanted of a group is to be compared with a file. What is planned of the group later
// is, too.
func (s *search) compareWith(group, file uint32) {
	g := &s.groups[group]
	g.older = file + 1
	if !g.due {
		g.due = true
		s.due = append(s.due, group)
	}
}

// compareDue compares what is due, once it pays to look closer. Files of which the disk is known to have some chunks are
// left out: reading these will tell what lies beside them.
func (c *Core) compareDue() {
	s := c.search
	if s == nil || len(s.due) == 0 || !c.mayZoom() {
		return
	}
	for _, n := range s.due {
		g := &s.groups[n]
		if g.due = false; !c.somePromised(g) {
			c.compareGroup(g)
		}
	}
	s.due = s.due[:0]
}

// somePromised says whether the disk is known to have some chunks of a group.
func (c *Core) somePromised(g *group) bool {
	for i := c.find(g.begin); i < len(c.chunks) && c.chunks[i].ordinal < g.end; i++ {
		if c.chunks[i].promised > 0 {
			return true
		}
	}
	return false
}

// compareGroup has the missing chunks of a group compared with its older version.
func (c *Core) compareGroup(g *group) {
	var rs []Range
	n := 0
	for i := c.find(g.begin); i < len(c.chunks) && c.chunks[i].ordinal < g.end && n < maxWholeRun; i++ {
		if ch := &c.chunks[i]; ch.state == chunkWanted && ch.zoom == zoomNone && ch.held == 0 {
			rs = appendOrdinal(rs, ch.ordinal)
			n++
		}
	}
	if rs != nil {
		c.actions = append(c.actions, Action{Kind: ActNear, ID: g.older - 1, Ranges: rs})
	}
}

// mayZoom says whether any source gives fine lists, and is slow or far enough for them.
func (c *Core) mayZoom() bool {
	id, ok := c.bestZoomer()
	if !ok {
		return false
	}
	rate := c.sources[id].likelyRate()
	if rate == 0 {
		return true // it may turn out slow
	}
	one := costmodel.Zoom{Chunks: 1, Bytes: 16 << 10, Share: c.zoom.share[0], Rate: rate, Cut: c.search.planner.PerByte(0)}
	return one.Pays()
}
