package fetch

import (
	"math/bits"
	"sort"
	"time"

	"dfetch/backpressure"
	"dfetch/costmodel"
)

// CoreConfig sets the core's limits. Zero values mean the defaults.
type CoreConfig struct {
	MaxInflight int64         // bytes asked for at one time, all sources together; 0 = 64 MiB
	MaxWindow   int64         // as backpressure.PathConfig.Max
	MinWindow   int64         // as backpressure.PathConfig.Min
	Grace       time.Duration // as backpressure.PathConfig.Grace
	MinLease    time.Duration // a lease lasts at least this long; 0 = 2 s
	MaxRate     float64       // bytes a second asked for, all sources together; 0 = no limit
	Search      bool          // look for chunks on the disk
	Index       bool          // the search has an index to ask
	SearchDepth int           // disk operations at one time, all devices together; 0 = 2
	NoPressure  bool          // search whatever the disk and the network do (to compare with)
	DiskOrder   costmodel.Order
	NetRate     float64 `json:",omitempty"` // bytes a second to weigh the disk against while no source is up; 0 = none
}

func (c CoreConfig) withDefaults() CoreConfig {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&c.MaxInflight, 64<<20)
	def((*int64)(&c.MinLease), int64(2*time.Second))
	if c.SearchDepth == 0 {
		c.SearchDepth = 2
	}
	return c
}

// chunkState is where a chunk stands.
type chunkState uint8

const (
	chunkWanted chunkState = iota
	chunkDone
	chunkLost
)

// chunk is a planned chunk. A chunk is leased when held is not zero.
type chunk struct {
	ordinal  uint64
	held     uint64 // sources that have been asked and have not answered
	tried    uint64 // sources that can't bring it
	len      uint32
	group    uint32 // number of its file
	cost     uint32 // in zoomPart: its missing bytes
	state    chunkState
	zoom     zoomState
	queued   bool   // stands in Core.again
	asked    bool   // some source has been asked for it
	promised uint16 // runs that are to be read and will tell
	inner    bool   // lies inside a run of missing chunks, not at its ends
}

// fresh says whether a chunk is wanted and was never asked for.
func (ch *chunk) fresh() bool {
	return ch.state == chunkWanted && !ch.asked && !ch.queued
}

// Core is the pure part of the control loop. It is not safe for concurrent use.
type Core struct {
	cfg         CoreConfig
	chunks      []chunk // by ordinal; the settled ones at the front are cut off now and then
	settled     int     // chunks[:settled] are done or lost
	fresh       int     // chunks[fresh:] have never been asked
	scan        int     // the same for those that are not held back
	again       []uint64
	sources     []source
	planDone    bool
	inflight    int64
	wanted      int   // chunks neither done nor lost
	unasked     int   // of them, never asked for
	wantedBytes int64 // their lengths
	brought     backpressure.Counts
	disk        *backpressure.Disk
	cpu         *backpressure.CPU
	requestAt   time.Time // when the disk may take more requests; zero if it may now
	search      *search   // nil without one
	zoom        zoom
	tokens      float64   // bytes that MaxRate allows to ask for now
	filledAt    time.Time // when tokens was right
	actions     []Action
}

// NewCore makes a core.
func NewCore(cfg CoreConfig) *Core {
	c := &Core{cfg: cfg.withDefaults(), zoom: newZoom(), cpu: backpressure.NewCPU(backpressure.CPUConfig{PlanPause: planPause, PlanShare: 1. / planParts})}
	c.disk = backpressure.NewDisk(backpressure.DiskConfig{Depth: c.cfg.SearchDepth})
	if cfg.Search {
		c.search = newSearch(c.cfg, c.disk)
	}
	return c
}

// Done says whether everything that was planned has come or was given up, and no more will be planned.
func (c *Core) Done() bool { return c.planDone && c.wanted == 0 }

// Waiting is how many planned chunks have neither come nor been given up.
func (c *Core) Waiting() int { return c.wanted }

// Step takes an event in. now never goes back.
func (c *Core) Step(now time.Time, ev Event) {
	switch ev.Kind {
	case EvPlanned:
		c.plan(ev)
	case EvPlanDone:
		c.planDone = true
		c.expectNoMore()
	case EvUp:
		c.sourceUp(now, ev)
	case EvDown:
		c.sources[ev.Source].up = false
		c.giveUpUnreachable()
	case EvSample:
		c.sources[ev.Source].path.RoundTrip(ev.RTT)
	case EvArrived:
		c.machine(now, ev)
		c.arrived(now, ev)
	case EvMachine:
		c.machine(now, ev)
	case EvDecided:
		c.decided(now, ev)
	case EvFound:
		c.found(now, ev)
	case EvFailed:
		c.failed(now, ev.Source, ev.Ranges, ev.Why)
	default:
		c.searchStep(now, ev)
	}
}

// firstChunks is for how many chunks there is room at first.
const firstChunks = 8 << 10

func (c *Core) plan(ev Event) {
	if c.chunks == nil {
		c.chunks = make([]chunk, 0, firstChunks) // it is copied when it grows beyond that
	}
	for i, n := range ev.Lens {
		c.chunks = append(c.chunks, chunk{ordinal: ev.First + uint64(i), len: n, group: ev.Group})
		c.wantedBytes += int64(n)
	}
	c.wanted += len(ev.Lens)
	c.unasked += len(ev.Lens)
	if c.search != nil {
		c.search.planned(ev)
	}
}

// settle notes that a chunk is done or lost.
func (c *Core) settle(ch *chunk, state chunkState) {
	if !ch.asked {
		c.nowAsked(ch)
	}
	ch.state = state
	c.wanted--
	c.wantedBytes -= int64(ch.len)
	if ch.zoom == zoomPart {
		c.zoom.parts--
	}
	if c.search != nil {
		c.search.settled(ch)
	}
}

// nowAsked takes a chunk off those that no source was ever asked for.
func (c *Core) nowAsked(ch *chunk) {
	c.unasked--
	if s := c.search; s != nil && int(ch.group) < len(s.groups) {
		s.groups[ch.group].unasked--
	}
}

// find is the place of an ordinal in c.chunks, or of the next higher one.
func (c *Core) find(ord uint64) int {
	return sort.Search(len(c.chunks), func(i int) bool { return c.chunks[i].ordinal >= ord })
}

// at is a planned chunk by its ordinal; nil if there is none.
func (c *Core) at(ord uint64) *chunk {
	if i := c.find(ord); i < len(c.chunks) && c.chunks[i].ordinal == ord {
		return &c.chunks[i]
	}
	return nil
}

// each calls f for the planned chunks of the ranges.
func (c *Core) each(rs []Range, f func(ch *chunk)) {
	for _, r := range rs {
		end := r.First + uint64(r.Count)
		for i := c.find(r.First); i < len(c.chunks) && c.chunks[i].ordinal < end; i++ {
			f(&c.chunks[i])
		}
	}
}

func (c *Core) arrived(now time.Time, ev Event) {
	s := &c.sources[ev.Source]
	bit := uint64(1) << ev.Source
	if ev.Starved && !backlogged(ev.Writer, s.path.Outstanding()) {
		s.path.Starved()
	}
	c.each(ev.Ranges, func(ch *chunk) {
		c.answer(s, ch, bit)
		s.bad = 0
		s.path.Arrived(now, ch.bytes())
		c.brought.Received += ch.bytes()
	})
	c.done(ev.Ranges)
	s.endLeases(ev.Ranges)
	c.trim()
}

// backlogged says whether most of what is outstanding has come, and waits to be written: then nobody can tell
// from the source whether more should have been asked for.
func backlogged(w *backpressure.WriterSample, outstanding int64) bool {
	return w != nil && 2*(w.Received-w.Written) > outstanding
}

// found takes in chunks that the disk had.
func (c *Core) found(now time.Time, ev Event) {
	if c.search != nil {
		c.search.progress, c.search.gain = now, now
		c.each(ev.Ranges, func(ch *chunk) {
			c.brought.Found += int64(ch.len)
			if ev.InOrder {
				c.search.passed(ch.group, ch.ordinal+1)
			}
		})
	}
	c.done(ev.Ranges)
	c.trim()
}

// done settles chunks, and takes back what other sources have been asked for of them.
func (c *Core) done(rs []Range) {
	var cancel map[SourceID][]Range
	c.each(rs, func(ch *chunk) {
		if ch.state != chunkWanted {
			return
		}
		c.settle(ch, chunkDone)
		for m := ch.held; m != 0; m &= m - 1 {
			if cancel == nil {
				cancel = map[SourceID][]Range{}
			}
			o := SourceID(bits.TrailingZeros64(m))
			cancel[o] = appendOrdinal(cancel[o], ch.ordinal)
		}
	})
	for o := 0; cancel != nil && o < len(c.sources); o++ {
		if rs := cancel[SourceID(o)]; rs != nil {
			c.actions = append(c.actions, Action{Kind: ActCancel, Source: SourceID(o), Ranges: rs})
		}
	}
}

// answer notes that a source has answered for a chunk, well or badly.
func (c *Core) answer(s *source, ch *chunk, bit uint64) {
	if ch.held&bit == 0 {
		return
	}
	ch.held &^= bit
	s.path.Answered(ch.bytes())
	c.inflight -= ch.bytes()
}

func (c *Core) failed(now time.Time, id SourceID, rs []Range, why Why) {
	s := &c.sources[id]
	bit := uint64(1) << id
	c.each(rs, func(ch *chunk) {
		c.answer(s, ch, bit)
		switch why {
		case WhyCanceled, WhyClosed:
		case WhyPatch:
			c.unpatch(ch)
		default:
			ch.tried |= bit
		}
		if why == WhyCorrupt {
			s.bad++
		}
		c.requeue(ch, why)
	})
	s.endLeases(rs)
	if s.bad >= maxBadInRow && !s.dropped {
		s.dropped = true
		c.actions = append(c.actions, Action{Kind: ActDrop, Source: id, Why: WhyCorrupt})
	}
	c.trim()
}

// requeue puts a chunk that was not delivered back in the queue, or gives it up when every source
// that is up has failed to bring it.
func (c *Core) requeue(ch *chunk, why Why) {
	if ch.state != chunkWanted || ch.held != 0 {
		return
	}
	if up := c.upMask(); up != 0 && up&^ch.tried == 0 {
		c.giveUp(ch, why)
		return
	}
	c.enqueue(ch)
}

func (c *Core) enqueue(ch *chunk) {
	if !ch.queued {
		ch.queued = true
		c.again = append(c.again, ch.ordinal)
	}
}

func (c *Core) giveUp(ch *chunk, why Why) {
	c.settle(ch, chunkLost)
	if n := len(c.actions); n > 0 && c.actions[n-1].Kind == ActGiveUp && c.actions[n-1].Why == why {
		c.actions[n-1].Ranges = appendOrdinal(c.actions[n-1].Ranges, ch.ordinal)
		return
	}
	c.actions = append(c.actions, Action{Kind: ActGiveUp, Ranges: []Range{{ch.ordinal, 1}}, Why: why})
}

// giveUpUnreachable gives up the queued chunks that none of the remaining sources can bring.
func (c *Core) giveUpUnreachable() {
	up := c.upMask()
	if up == 0 {
		return
	}
	for _, ord := range c.again {
		if ch := c.at(ord); ch != nil && ch.state == chunkWanted && ch.held == 0 && up&^ch.tried == 0 {
			c.giveUp(ch, WhyNotHeld)
		}
	}
	c.trim()
}

func (c *Core) upMask() uint64 {
	var m uint64
	for i := range c.sources {
		if c.sources[i].up {
			m |= 1 << i
		}
	}
	return m
}

// trim cuts settled chunks off the front once they are most of the slice.
func (c *Core) trim() {
	for c.settled < len(c.chunks) {
		ch := &c.chunks[c.settled]
		if ch.state == chunkWanted || ch.held != 0 {
			break
		}
		c.settled++
	}
	if c.settled < 4096 || c.settled < len(c.chunks)/2 {
		return
	}
	n := copy(c.chunks, c.chunks[c.settled:])
	c.chunks = c.chunks[:n]
	c.fresh, c.scan = max(0, c.fresh-c.settled), max(0, c.scan-c.settled)
	c.settled = 0
}
