package sourcetest

import (
	"sync"
	"time"

	"dfetch/sources"
)

// Faulty is a source in memory whose far end misbehaves. It keeps the contract all the same.
type Faulty struct {
	cfg    Config
	ledger *sources.Ledger
	peer   *Peer

	mu    sync.Mutex
	queue []uint64
	wake  chan struct{}
	stop  chan struct{}
	once  sync.Once
	done  chan struct{}
	wire  int64
}

// NewFaulty makes a source. Answers come Config.RTT after the request.
func NewFaulty(cfg Config) *Faulty {
	f := &Faulty{
		cfg:    cfg,
		ledger: sources.NewLedger(sources.LedgerConfig{Sink: cfg.Sink}),
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
	f.ledger.End(f.serve())
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
		asked := f.queue
		f.queue = nil
		f.mu.Unlock()
		for _, a := range f.peer.Answer(asked) {
			if err := f.act(a); err != nil {
				return err
			}
		}
	}
}

func (f *Faulty) act(a Answer) error {
	switch a.Op {
	case OpRefuse:
		f.ledger.Fail([]sources.Range{{First: a.Ordinal, Count: 1}}, sources.ErrNotHeld)
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
	f.mu.Lock()
	f.wire += int64(len(a.Data))
	f.mu.Unlock()
	f.ledger.Arrive(sources.Run{First: a.Ordinal, Lens: []uint32{uint32(len(a.Data))}, Buf: buf})
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
	fresh, err := f.ledger.Ask(wants)
	if err != nil {
		return err
	}
	f.mu.Lock()
	for _, r := range fresh {
		for i := range r.Count {
			f.queue = append(f.queue, r.First+i)
		}
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
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
	s.MinRTT, s.WireBytes = f.cfg.RTT, f.wire
	return s
}

// Close ends the source.
func (f *Faulty) Close() error {
	f.once.Do(func() { close(f.stop) })
	<-f.done
	return nil
}
