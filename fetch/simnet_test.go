package fetch

import (
	"math"
	"time"

	"dfetch/backpressure"
)

// simSource is a simulated sender: what is asked for comes in the order of asking, at a rate, after a
// round trip. Some of it may fail.
type simSource struct {
	rate    float64 // bytes a second
	rtt     time.Duration
	opens   bool    // the path opens as TCP does: see sendTime
	fails   float64 // share of chunks that fail for good
	why     Why
	stalled bool // answers nothing
	closed  bool
	asked   map[uint64]int // the number of the request for each outstanding ordinal
	queue   []simAsk       // at the sender
	busy    bool           // it is sending
	sent    int64          // bytes
}

// simAsk is a chunk that was asked for, by the number of the request.
type simAsk struct {
	ord     uint64
	number  int
	starved bool // there was nothing to send before it
}

// What TCP has to begin with, and what a receiver lets it have at most (Linux' defaults).
const (
	simFirstWindow = 10 * 1460
	simMaxWindow   = 6 << 20
)

// sendTime is how long n bytes take after so many others, in seconds. A path that opens has a window of
// ten segments in the first round trip and twice as much in each following one, up to the rate and the
// receiver's window.
func (s *simSource) sendTime(after, n int64) float64 {
	rate := s.rate
	if s.opens && s.rtt > 0 {
		window := simFirstWindow + math.Ln2*(float64(after)+float64(n)/2)
		rate = min(rate, min(window, simMaxWindow)/s.rtt.Seconds())
	}
	return float64(n) / rate
}

// request brings a request to its source in half a round trip.
func (w *world) request(a Action) {
	s := w.srcs[a.Source]
	var asks []simAsk
	eachOrdinal(a.Ranges, func(ord uint64) {
		if s.asked[ord] != 0 {
			panic("a chunk is asked twice of one source")
		}
		w.seq++
		s.asked[ord] = w.seq
		asks = append(asks, simAsk{ord: ord, number: w.seq})
	})
	if s.stalled {
		return
	}
	w.after(s.rtt/2, func() {
		asks[0].starved = !s.busy && s.sent > 0
		s.queue = append(s.queue, asks...)
		w.send(a.Source)
	})
}

// send begins with the next chunk that is still asked for, unless one is being sent.
func (w *world) send(id SourceID) {
	s := w.srcs[id]
	if s.busy || len(s.queue) == 0 {
		return
	}
	ask := s.queue[0]
	s.queue = s.queue[1:]
	n := int64(w.lens[ask.ord])
	s.busy = true
	took := time.Duration(s.sendTime(s.sent, n) * 1e9)
	s.sent += n
	fail := w.rng.Float64() < s.fails
	w.after(took, func() {
		s.busy = false
		w.send(id)
	})
	w.after(took+s.rtt/2, func() { w.answer(id, ask, fail) })
}

// cancel takes chunks back: the core is told at once, the sender half a round trip later.
func (w *world) cancel(a Action) {
	s := w.srcs[a.Source]
	gone := map[int]bool{}
	eachOrdinal(a.Ranges, func(ord uint64) {
		if number := s.asked[ord]; number != 0 {
			gone[number] = true
			delete(s.asked, ord)
			w.core.Step(w.now, Event{Kind: EvFailed, Source: a.Source, Ranges: []Range{{ord, 1}}, Why: WhyCanceled})
		}
	})
	w.after(s.rtt/2, func() {
		kept := s.queue[:0]
		for _, ask := range s.queue {
			if !gone[ask.number] {
				kept = append(kept, ask)
			}
		}
		s.queue = kept
	})
}

// answer is what the receiver gets of a chunk.
func (w *world) answer(id SourceID, ask simAsk, fail bool) {
	s := w.srcs[id]
	rs := []Range{{ask.ord, 1}}
	switch {
	case s.asked[ask.ord] != ask.number:
		return
	case fail:
		delete(s.asked, ask.ord)
		w.core.Step(w.now, Event{Kind: EvFailed, Source: id, Ranges: rs, Why: s.why})
		return
	}
	n := int64(w.lens[ask.ord])
	w.after(w.writer.take(w.now, n), func() {
		w.writer.sample.Written += n
		if s.asked[ask.ord] != ask.number {
			return
		}
		delete(s.asked, ask.ord)
		if w.got[ask.ord]++; w.got[ask.ord] > 1 {
			w.dup += n
		}
		sample := w.writer.sample
		w.core.Step(w.now, Event{Kind: EvArrived, Source: id, Ranges: rs, Starved: ask.starved, Writer: &sample})
	})
}

// drop ends a source.
func (w *world) drop(id SourceID) {
	s := w.srcs[id]
	s.closed = true
	s.queue = nil
	for ord := range uint64(len(w.lens)) {
		if s.asked[ord] != 0 {
			delete(s.asked, ord)
			w.core.Step(w.now, Event{Kind: EvFailed, Source: id, Ranges: []Range{{ord, 1}}, Why: WhyClosed})
		}
	}
	w.core.Step(w.now, Event{Kind: EvDown, Source: id})
}

// simWriter writes what arrives, one chunk after the other.
type simWriter struct {
	rate   float64 // bytes a second; 0 takes no time
	free   time.Time
	sample backpressure.WriterSample
	most   int64 // the largest backlog
}

// take is how long it is until n bytes that have just come are written.
func (s *simWriter) take(now time.Time, n int64) time.Duration {
	s.sample.Received += n
	s.most = max(s.most, s.sample.Received-s.sample.Written)
	if s.rate == 0 {
		return 0
	}
	took := time.Duration(float64(n) / s.rate * 1e9)
	s.sample.Busy += took
	if s.free.Before(now) {
		s.free = now
	}
	s.free = s.free.Add(took)
	return s.free.Sub(now)
}
