package sources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gated is a sink that notes what it is told, in order, and waits for its gate in Deliver and Fail.
type gated struct {
	gate chan struct{}

	mu    sync.Mutex
	calls []string
}

func (g *gated) note(call string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, call)
}

func (g *gated) Deliver(b *Batch) {
	<-g.gate
	b.Release()
	g.note("delivered")
}

func (g *gated) Fail([]Want, error) {
	<-g.gate
	g.note("failed")
}

func (g *gated) Down(error) { g.note("down") }

// TestEndComesLast: while the sink is busy with what a source brought or gave up, End waits, whoever told the sink. After Down it
// is told nothing.
func TestEndComesLast(t *testing.T) {
	wants, run := chunksOf(4)
	type tell func(l *Ledger, in *Intake, n int)
	arrive := func(l *Ledger, _ *Intake, n int) { l.Arrive(run(n, 1)) }
	for name, way := range map[string]struct {
		tell tell
		want string
	}{
		"runs":              {arrive, "delivered"},
		"runs of an intake": {func(l *Ledger, in *Intake, n int) { _ = in.Submit(context.Background(), l, run(n, 1)) }, "delivered"},
		"canceled":          {func(l *Ledger, _ *Intake, n int) { l.Cancel(wants[n : n+1]) }, "failed"},
		"failed":            {func(l *Ledger, _ *Intake, n int) { l.Fail(Ranges(wants[n:n+1]), ErrChanged) }, "failed"},
	} {
		for busy := 1; busy <= 2; busy++ {
			t.Run(fmt.Sprintf("%d %s", busy, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sink := &gated{gate: make(chan struct{})}
					l := NewLedger(LedgerConfig{Sink: sink})
					in := NewIntake(IntakeConfig{Workers: 2})
					_, _, _ = l.Ask(wants[:busy])
					var want []string
					for n := range busy {
						go way.tell(l, in, n)
						want = append(want, way.want)
					}
					synctest.Wait()
					go l.End(ErrClosed)
					for n := range busy {
						synctest.Wait()
						if len(sink.calls) != n {
							t.Errorf("the sink was told %v", sink.calls)
						}
						sink.gate <- struct{}{}
					}
					synctest.Wait()
					way.tell(l, in, 2)
					if want = append(want, "down"); !slices.Equal(sink.calls, want) {
						t.Errorf("the sink was told %v, want %v", sink.calls, want)
					}
					in.Close()
				})
			})
		}
	}
}

// Canceling or failing what is not outstanding tells the sink nothing, and keeps nobody waiting.
func TestNothingToTakeBack(t *testing.T) {
	wants, _ := chunksOf(2)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	if gone := l.Cancel(wants); len(gone) != 0 {
		t.Errorf("canceled %v", gone)
	}
	l.Fail(Ranges(wants), ErrChanged)
	l.End(ErrClosed)
	if len(sink.failed) != 0 || len(sink.down) != 1 {
		t.Errorf("failed %v, down %v", sink.failed, sink.down)
	}
}

// What a sink is busy with is outstanding until it came, and so is what turns out to be bad.
func TestOutstandingUntilSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants, run := chunksOf(3)
		sink := &gated{gate: make(chan struct{})}
		l := NewLedger(LedgerConfig{Sink: sink})
		_, _, _ = l.Ask(wants)
		r := run(0, 3)
		r.Buf.Data[150]++ // in chunk 1
		r.Buf.Data[250]++ // in chunk 2
		go l.Arrive(r)
		synctest.Wait()
		if n := l.Stats().Outstanding; n != 200 { // the good one is settled, and the others are not
			t.Errorf("%d bytes are outstanding, want 200", n)
		}
		sink.gate <- struct{}{}
		sink.gate <- struct{}{}
		synctest.Wait()
		if s := l.Stats(); s.Outstanding != 0 || s.Rejected != 2 {
			t.Errorf("%d bytes are outstanding, %d chunks were rejected", s.Outstanding, s.Rejected)
		}
	})
}

// The rate counts from when something is asked for after an idle time, and asking for more meanwhile takes nothing from it.
func TestRateBeginsWithAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants, run := chunksOf(5)
		l := NewLedger(LedgerConfig{Sink: newTally()})
		time.Sleep(time.Hour)
		for i := range wants {
			_, _, _ = l.Ask(wants[i:min(i+2, len(wants))])
			if i == 4 {
				break
			}
			time.Sleep(100 * time.Millisecond)
			l.Arrive(run(i, 1))
		}
		if r := l.Stats().Rate; r < 990 || r > 1010 {
			t.Errorf("rate is %.0f, want 1000", r)
		}
	})
}

// TestIntakeGivesUp: a run that finds no room before its context ends is dropped: it keeps neither the ledger from ending nor
// the intake from closing, and counts as dealt with.
func TestIntakeGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants, run := chunksOf(3)
		sink := &gated{gate: make(chan struct{})}
		l := NewLedger(LedgerConfig{Sink: sink})
		_, _, _ = l.Ask(wants)
		in := NewIntake(IntakeConfig{Workers: 1, Runs: 1})
		for i := range 2 { // one is with the sink, one waits
			if err := in.Submit(context.Background(), l, run(i, 1)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := in.Submit(ctx, l, run(2, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without room: %v", err)
		}
		if s := in.Stats(); s != (IntakeStats{Received: 300, Settled: 100}) {
			t.Errorf("%+v", s)
		}
		closed := false
		go func() { in.Close(); closed = true }()
		for range 2 {
			synctest.Wait()
			if closed {
				t.Error("the intake is closed while the sink is busy")
			}
			sink.gate <- struct{}{}
		}
		synctest.Wait()
		if s := in.Stats(); !closed || s.Settled != s.Received || l.Stats().Outstanding != 100 {
			t.Errorf("closed: %v, %+v, %d bytes outstanding", closed, s, l.Stats().Outstanding)
		}
		go l.End(ErrClosed)
		sink.gate <- struct{}{}
		synctest.Wait()
		if want := []string{"delivered", "delivered", "failed", "down"}; !slices.Equal(sink.calls, want) {
			t.Errorf("the sink was told %v, want %v", sink.calls, want)
		}
	})
}
