package sourcetest

import (
	"slices"
	"sync"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
)

// Faulty is a source in memory whose far end misbehaves. It keeps the contract all the same.
type Faulty struct {
	cfg    Config
	ledger *sources.Ledger
	zooms  sources.Zooms
	peer   *Peer

	mu    sync.Mutex
	asked asks
	wake  chan struct{}
	stop  chan struct{}
	once  sync.Once
	done  chan struct{}
	wire  int64
	zoom  int64 // of fine lists
}

// asks is what waits for the far end.
type asks struct {
	fine   []uint64
	parts  []sources.Part
	chunks []uint64
}

// NewFaulty makes a source. Answers come Config.RTT after the request.
func NewFaulty(cfg Config) *Faulty {
	f := &Faulty{
		cfg:    cfg,
		ledger: sources.NewLedger(sources.LedgerConfig{Sink: cfg.Sink, MaxParts: recipe.MaxChunk}),
		peer:   NewPeer(cfg.Chunks, cfg.Faults),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	go f.run()
	return f
}

func (f *Faulty) run() {
	defer close(f.done)
	err := f.serve()
	f.zooms.End(err)
	f.ledger.End(err)
}

func (f *Faulty) serve() error {
	for {
		select {
		case <-f.stop:
			return sources.ErrClosed
		case <-f.wake:
		}
		if !f.pause(f.cfg.RTT) {
			return sources.ErrClosed
		}
		f.mu.Lock()
		asked := f.asked
		f.asked = asks{}
		f.mu.Unlock()
		for _, a := range f.answers(asked) {
			if err := f.act(a); err != nil {
				return err
			}
		}
	}
}

func (f *Faulty) answers(asked asks) []Answer {
	return slices.Concat(f.peer.AnswerZoom(asked.fine), f.peer.AnswerParts(asked.parts), f.peer.Answer(asked.chunks))
}

func (f *Faulty) act(a Answer) error {
	switch a.Op {
	case OpRefuse:
		f.ledger.Fail([]sources.Range{{First: a.Ordinal, Count: 1}}, sources.ErrNotHeld)
	case OpNoFine:
		return f.zooms.Answer(a.Ordinal, recipe.FineList{}, sources.ErrNotHeld)
	case OpFine:
		f.count(&f.zoom, fineEntry*len(a.Fine.Entries)+fineBlock*len(a.Fine.Blocks))
		return f.zooms.Answer(a.Ordinal, a.Fine, nil)
	case OpStall:
		if !f.pause(f.cfg.StallTimeout) {
			return sources.ErrClosed
		}
		return sources.ErrStalled
	case OpClose, OpFlood:
		return sources.ErrProtocol
	default:
		if !f.pause(time.Duration(float64(len(a.Data)) / f.cfg.Rate * float64(time.Second))) {
			return sources.ErrClosed
		}
		f.arrive(a)
	}
	return nil
}

func (f *Faulty) arrive(a Answer) {
	buf := sources.NewBuffer(len(a.Data))
	copy(buf.Data, a.Data)
	f.count(&f.wire, len(a.Data))
	if a.Op == OpParts {
		f.ledger.ArriveParts(sources.Parts{Chunks: []sources.Part{{Ordinal: a.Ordinal, Spans: a.Spans}}, Buf: buf})
		return
	}
	f.ledger.Arrive(sources.Run{First: a.Ordinal, Lens: []uint32{uint32(len(a.Data))}, Buf: buf})
}

// What an entry and a block of a fine list count for, in bytes.
const fineEntry, fineBlock = 10, 2

func (f *Faulty) count(what *int64, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*what += int64(n)
}

// pause waits; false if the source was closed.
func (f *Faulty) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.stop:
		return false
	}
}

// Request asks for chunks.
func (f *Faulty) Request(wants []sources.Want) error {
	whole, parts, err := f.ledger.Ask(wants)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked.chunks = appendOrdinals(f.asked.chunks, whole)
	for _, w := range parts {
		f.asked.parts = append(f.asked.parts, sources.Part{Ordinal: w.Ordinal, Spans: w.Patch.Missing})
	}
	f.wakeUp()
	return nil
}

// Zoom asks for fine lists.
func (f *Faulty) Zoom(wants []sources.Want, answer func(sources.Want, recipe.FineList, error)) error {
	fresh, err := f.zooms.Ask(wants, answer)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked.fine = appendOrdinals(f.asked.fine, fresh)
	f.wakeUp()
	return nil
}

func (f *Faulty) wakeUp() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func appendOrdinals(dst []uint64, ranges []sources.Range) []uint64 {
	for _, r := range ranges {
		for i := range r.Count {
			dst = append(dst, r.First+i)
		}
	}
	return dst
}

// Cancel gives wants back.
func (f *Faulty) Cancel(wants []sources.Want) { f.ledger.Cancel(wants) }

// Properties says what the source is.
func (f *Faulty) Properties() sources.Properties {
	return sources.Properties{Kind: "faulty", Name: "faulty source", HoldsAll: true}
}

// Stats says how it does.
func (f *Faulty) Stats() sources.Stats {
	s := f.ledger.Stats()
	f.mu.Lock()
	defer f.mu.Unlock()
	s.MinRTT, s.WireBytes, s.ZoomBytes = f.cfg.RTT, f.wire+f.zoom, f.zoom
	return s
}

// Close ends the source.
func (f *Faulty) Close() error {
	f.once.Do(func() { close(f.stop) })
	<-f.done
	return nil
}
