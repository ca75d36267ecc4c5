package fetch

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"dfetch/backpressure"
	"dfetch/recipe"
	"dfetch/sources"
)

// A transfer does not end while what a source brought is being written, even if the core knows already that it was claimed.
func TestTransferEndsWithTheLastWrite(t *testing.T) {
	now := time.Now()
	w := newWindow(100)
	l := newLoop(newRecorder(CoreConfig{}, nil, now), w, newCounters())
	var ended, written atomic.Bool
	begun := make(chan struct{})
	l.write = func(claimed, []byte) {
		close(begun)
		for l.writing.TryRLock() && !ended.Load() { // nobody waits for this yet
			l.writing.RUnlock()
			runtime.Gosched()
		}
		written.Store(true)
	}
	l.written = func(int64) *backpressure.WriterSample { return nil }
	want := sources.Want{Ordinal: 0, ID: recipe.ID{1}, Len: 2}
	w.add(want, place{file: &pending{path: "one"}}, 0)
	l.rec.step(now, Event{Kind: EvPlanned, Lens: []uint32{2}})
	l.rec.step(now, Event{Kind: EvPlanDone})
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		(&sink{l: l, a: newAttached(), kind: "sender"}).Deliver(&sources.Batch{Wants: []sources.Want{want}, Data: []byte("ab")})
	}()
	<-begun
	l.mail.post(w.learned([]Range{{Count: 1}})...)
	err := l.run(t.Context())
	if err != nil || !written.Load() {
		t.Errorf("the transfer ended (%v), written: %v", err, written.Load())
	}
	ended.Store(true)
	<-delivered
}
