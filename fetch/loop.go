package fetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"dfetch/backpressure"
	"dfetch/diskscan"
	"dfetch/sources"
	"dfetch/tree"
)

// errNoSource says that chunks are missing and nothing is left that could bring them.
var errNoSource = errors.New("no source is left")

// loop drives a core: it turns actions into calls and results into events.
type loop struct {
	rec     *recorder
	mail    *mailbox
	win     *window
	write   func(c claimed, data []byte)         // brings verified bytes to a place
	keep    func(c claimed, seen tree.Seen) bool // says that a place's file has the bytes already; nil in a rehearsal
	lost    func(c claimed, why Why)             // a place's bytes will not come
	written func(done int64) *backpressure.WriterSample
	stats   *counters
	search  *searcher  // nil unless the core searches
	explain *explainer // nil: nobody asks
	yields  bool       // a search that the network beats is over

	mu      sync.Mutex
	sources []*attached // by SourceID
	ended   error       // why no source will come up any more; nil while one may
	fatal   chan error  // the first error that ends the transfer at once

	writing sync.RWMutex // held for reading from the claim of what a source brings until it is written
}

// attached is a source that came up, or is about to. All but done belongs to loop.mu.
type attached struct {
	id     SourceID
	source sources.Source // nil until it is announced
	down   error          // why it ended
	gone   bool
	done   chan struct{} // closed when it has ended
}

func newAttached() *attached { return &attached{done: make(chan struct{})} }

// reason is why it ended; to be asked after done is closed.
func (a *attached) reason() error {
	if a.down == nil {
		return sources.ErrClosed
	}
	return a.down
}

func newLoop(rec *recorder, win *window, stats *counters) *loop {
	return &loop{rec: rec, mail: newMailbox(), win: win, stats: stats, fatal: make(chan error, 1)}
}

// fail ends the transfer with an error; only the first one counts.
func (l *loop) fail(err error) {
	select {
	case l.fatal <- err:
	default:
	}
}

// failed is the error that fail was told of, or nil. A write that fails is told of before the core hears of its chunks.
func (l *loop) failed() error {
	select {
	case err := <-l.fatal:
		return err
	default:
		return nil
	}
}

// attach gives a source a number and announces it to the core.
func (l *loop) attach(a *attached, src sources.Source) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sources) == maxSources {
		return fmt.Errorf("more than %d connections in one transfer", maxSources)
	}
	a.id, a.source = SourceID(len(l.sources)), src
	l.sources = append(l.sources, a)
	l.mail.post(Event{Kind: EvUp, Source: a.id, RTT: src.Stats().MinRTT, Name: src.Properties().Name, Zoom: zooms(src)})
	if a.gone {
		l.mail.post(Event{Kind: EvDown, Source: a.id})
	}
	return nil
}

// noMoreSources says that nothing will come up any more, and why the last one ended.
func (l *loop) noMoreSources(err error) {
	l.mu.Lock()
	l.ended = err
	l.mu.Unlock()
	l.mail.post() // wakes the loop
}

// run steps the core until everything has come or was given up, an error ends the transfer, or no
// source is left.
func (l *loop) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var evs []Event
	var sampled time.Time
	for {
		now := time.Now()
		if now.Sub(sampled) >= sampleRTT {
			l.sample()
			sampled = now
		}
		actions, wake := l.decide(now)
		if l.search != nil {
			l.search.held.refused.Store(l.rec.core.searchRefused())
		}
		l.carryOut(actions)
		if l.rec.core.Done() {
			l.awaitWrites()
			return l.failed()
		}
		if err := l.orphaned(); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx) // the sources have ended because of it
			}
			return err
		}
		timer.Reset(untilWake(now, wake))
		select {
		case <-l.mail.wake:
		case <-timer.C:
		case err := <-l.fatal:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		evs = l.mail.take(evs)
		now = time.Now()
		for _, ev := range evs {
			l.rec.step(now, ev)
		}
	}
}

// awaitWrites waits until what sources brought is written: that a chunk was claimed may be known before.
func (l *loop) awaitWrites() {
	l.writing.Lock()
	defer l.writing.Unlock()
}

// slowDecision is how long a decision must take for the core to be told: with the pause that there is between
// two of them anyway, shorter ones keep to planning's part of the time.
const slowDecision = planPause / planParts

// decide asks the core, and tells it how much of a processor that took if it may have planned: planning has a budget.
func (l *loop) decide(now time.Time) ([]Action, time.Time) {
	if !l.rec.core.mayPlan(now) { // reading a thread's time may take as long as deciding
		return l.rec.next(now)
	}
	runtime.LockOSThread() // a thread's time says nothing of a goroutine that moves
	cpu := diskscan.ThreadTime()
	actions, wake := l.rec.next(now)
	spent := diskscan.ThreadTime() - cpu
	runtime.UnlockOSThread()
	end := time.Now()
	took := end.Sub(now)
	if spent > 0 {
		took = min(took, spent) // others had the processor for the rest
	}
	if took >= slowDecision {
		l.rec.step(end, Event{Kind: EvDecided, Seconds: took.Seconds()})
	}
	return actions, wake
}

// sampleRTT is how often the sources' round trips are asked for.
const sampleRTT = time.Second

// sample tells the core the sources' round trips. The sources are asked without the lock, which their
// sinks take.
func (l *loop) sample() {
	l.mu.Lock()
	live := slices.DeleteFunc(slices.Clone(l.sources), func(a *attached) bool { return a.gone })
	l.mu.Unlock()
	for _, a := range live {
		if rtt := a.source.Stats().MinRTT; rtt > 0 {
			l.mail.post(Event{Kind: EvSample, Source: a.id, RTT: rtt})
		}
	}
}

// untilWake is how long to wait: a second at most, so that round trips are sampled.
func untilWake(now, wake time.Time) time.Duration {
	if wake.IsZero() {
		return time.Second
	}
	return min(max(wake.Sub(now), time.Millisecond), time.Second)
}

// orphaned is the reason why nothing more can come, or nil.
func (l *loop) orphaned() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	core := l.rec.core
	if l.ended == nil || core.upMask() != 0 || !core.planDone || core.searching() && !(l.yields && core.searchRefused()) {
		return nil
	}
	return fmt.Errorf("%w: %d chunks are missing: %w", errNoSource, l.rec.core.Waiting(), l.ended)
}

func (l *loop) carryOut(actions []Action) {
	for i, a := range actions {
		switch a.Kind {
		case ActRequest:
			// A refusal means that the source has ended and has noted nothing.
			if err := l.source(a.Source).Request(l.win.wants(a.Ranges)); err != nil {
				l.mail.post(Event{Kind: EvFailed, Source: a.Source, Ranges: a.Ranges, Why: WhyClosed})
			}
		case ActCancel:
			l.source(a.Source).Cancel(l.win.wants(a.Ranges))
		case ActDrop:
			go l.source(a.Source).Close()
		case ActStat:
			l.search.stat(a.ID)
		case ActHash:
			if !a.sameBatch(actions[:i]) {
				l.search.hash(batchOf(actions[i:]))
			}
		case ActCheck:
			l.search.check(int(a.Count))
		case ActRead:
			l.search.read(a.ID)
		case ActZoom:
			l.zoom(a)
		case ActNear:
			l.search.compare(a.ID, a.Ranges)
		case ActGiveUp:
			for _, c := range l.win.claim(l.win.wants(a.Ranges), nil) {
				l.lost(c, a.Why)
			}
		}
	}
}

func (l *loop) source(id SourceID) sources.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sources[id].source
}

// sink takes what one source brings.
type sink struct {
	l    *loop
	a    *attached
	kind string
}

// Deliver writes verified chunks to their places and tells the loop.
func (s *sink) Deliver(b *sources.Batch) {
	start := time.Now()
	s.l.writing.RLock()
	got := s.l.win.claim(b.Wants, make([]claimed, 0, len(b.Wants)))
	s.l.deliver(s.kind, got, b.Data)
	s.l.writing.RUnlock()
	s.l.explain.brought(got, func(string) Origin {
		return Origin{Source: s.kind, Where: s.a.source.Properties().Name, How: "asked for"}
	})
	ev := Event{Kind: EvArrived, Source: s.a.id, Ranges: rangesOf(b.Wants), Starved: b.Starved}
	n := int64(len(b.Data))
	b.Release()
	s.l.stats.writeTime.Add(int64(time.Since(start)))
	ev.Writer = s.l.written(n)
	s.l.mail.post(ev)
}

// Fail tells the loop that chunks will not come.
func (s *sink) Fail(wants []sources.Want, err error) {
	why := whyOf(err)
	if why == WhyPatch {
		s.l.win.setPatch(rangesOf(wants), nil)
		s.l.patchFailed(len(wants))
	}
	s.l.mail.post(Event{Kind: EvFailed, Source: s.a.id, Ranges: rangesOf(wants), Why: why})
}

// Down tells the loop and whoever waits for the source's end.
func (s *sink) Down(err error) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.a.down, s.a.gone = err, true
	if s.a.source != nil {
		s.l.mail.post(Event{Kind: EvDown, Source: s.a.id})
	}
	close(s.a.done)
}

// deliver writes claimed chunks, neighbours in one file together.
func (l *loop) deliver(kind string, got []claimed, data []byte) {
	l.deliverBy(kind, got, data, l.write)
}

// deliverBy is deliver where writing to the chunks' first places is something else. Each call is for neighbours in one file.
func (l *loop) deliverBy(kind string, got []claimed, data []byte, write func(claimed, []byte)) {
	for i := 0; i < len(got); {
		n, size := neighbours(got[i:])
		l.stats.arrived(kind, got[i:i+n])
		if !got[i].dup {
			write(got[i], data[:size])
			l.writeMore(got[i:i+n], data)
		}
		i += n
		data = data[size:]
	}
}

// hold accounts for verified bytes that lie at their place already.
func (l *loop) hold(in *settled, off, n int64) {
	if err := in.twin.HoldVerified(off, n); err != nil {
		l.fail(err)
	}
}

func (l *loop) writeMore(got []claimed, data []byte) {
	for _, c := range got {
		n := int(c.want.Len)
		for _, p := range c.more {
			l.write(claimed{want: c.want, place: p}, data[:n])
		}
		data = data[n:]
	}
}

// neighbours is how many of the first chunks go to one file, one behind the other, and their bytes.
func neighbours(got []claimed) (n, size int) {
	for n < len(got) && (n == 0 || !got[n].dup && !got[0].dup &&
		got[n].file == got[0].file && got[n].off == got[0].off+int64(size)) {
		size += int(got[n].want.Len)
		n++
	}
	return n, size
}

func rangesOf(wants []sources.Want) []Range {
	var rs []Range
	for _, w := range wants {
		rs = appendOrdinal(rs, w.Ordinal)
	}
	return rs
}

func whyOf(err error) Why {
	switch {
	case errors.Is(err, sources.ErrCanceled):
		return WhyCanceled
	case errors.Is(err, sources.ErrCorrupt):
		return WhyCorrupt
	case errors.Is(err, sources.ErrChanged):
		return WhyChanged
	case errors.Is(err, sources.ErrPatch):
		return WhyPatch
	case errors.Is(err, sources.ErrNotHeld):
		return WhyNotHeld
	default:
		return WhyClosed
	}
}
