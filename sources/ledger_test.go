package sources

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"dfetch/recipe"
)

// tally is a sink that counts how each ordinal was settled.
type tally struct {
	got     map[uint64]int
	failed  map[uint64]error
	batches int
	down    []error
	keep    []*Batch // not released yet
}

func newTally() *tally { return &tally{got: map[uint64]int{}, failed: map[uint64]error{}} }

func (s *tally) Deliver(b *Batch) {
	s.batches++
	for _, w := range b.Wants {
		s.got[w.Ordinal]++
	}
	s.keep = append(s.keep, b)
}

func (s *tally) Fail(wants []Want, err error) {
	for _, w := range wants {
		s.failed[w.Ordinal] = err
	}
}

func (s *tally) Down(err error) { s.down = append(s.down, err) }

// chunksOf makes n chunks of 100 bytes, and the run that holds them.
func chunksOf(n int) ([]Want, func(first, count int) Run) {
	wants, data := make([]Want, n), make([]byte, 0, 100*n)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range wants {
		for range 100 {
			data = append(data, byte(rng.Uint32()))
		}
		wants[i] = Want{Ordinal: uint64(i), ID: recipe.BLAKE3.Chunk(data[100*i:]), Len: 100}
	}
	return wants, func(first, count int) Run {
		buf := NewBuffer(100 * count)
		copy(buf.Data, data[100*first:])
		run := Run{First: uint64(first), Buf: buf}
		for range count {
			run.Lens = append(run.Lens, 100)
		}
		return run
	}
}

func TestRunIsOneBatch(t *testing.T) {
	wants, run := chunksOf(200)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	fresh, _, err := l.Ask(wants)
	if err != nil || len(fresh) != 1 || fresh[0] != (Range{0, 200}) {
		t.Fatalf("Ask: %v, %v", fresh, err)
	}
	l.Arrive(run(0, 200))
	if sink.batches != 1 || len(sink.got) != 200 {
		t.Fatalf("%d batches with %d chunks, want 1 with 200", sink.batches, len(sink.got))
	}
	if s := l.Stats(); s.Outstanding != 0 || s.Progress.IsZero() {
		t.Fatalf("stats are %+v", s)
	}
}

func TestBadChunkSplitsTheRun(t *testing.T) {
	wants, run := chunksOf(10)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	_, _, _ = l.Ask(wants)
	r := run(0, 10)
	r.Buf.Data[450] ^= 1
	l.Arrive(r)
	if sink.batches != 2 || len(sink.got) != 9 || !errors.Is(sink.failed[4], ErrCorrupt) {
		t.Fatalf("%d batches, %d good, chunk 4: %v", sink.batches, len(sink.got), sink.failed[4])
	}
	if l.Stats().Rejected != 1 {
		t.Fatalf("%d rejected", l.Stats().Rejected)
	}
}

func TestWrongLengthIsCorrupt(t *testing.T) {
	wants, run := chunksOf(3)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	_, _, _ = l.Ask(wants)
	r := run(0, 3)
	r.Lens[0], r.Lens[1] = 99, 101
	l.Arrive(r)
	if !errors.Is(sink.failed[0], ErrCorrupt) || !errors.Is(sink.failed[1], ErrCorrupt) || sink.got[2] != 1 {
		t.Fatalf("failed %v, got %v", sink.failed, sink.got)
	}
}

func TestUnaskedAndTwice(t *testing.T) {
	wants, run := chunksOf(10)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	_, _, _ = l.Ask(wants[2:5])
	l.Arrive(run(0, 10))
	l.Arrive(run(0, 10))
	if len(sink.got) != 3 || l.Stats().Unasked != 17 || l.Strays() != 1700 {
		t.Fatalf("got %v, %d unasked, %d bytes of strays", sink.got, l.Stats().Unasked, l.Strays())
	}
}

func TestBufferOutlivesItsLastBatchOnly(t *testing.T) {
	wants, run := chunksOf(10)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	_, _, _ = l.Ask(wants)
	r := run(0, 10)
	r.Buf.Data[450] ^= 1 // two batches
	l.Arrive(r)
	for i, b := range sink.keep {
		if r.Buf.refs.Load() != int32(len(sink.keep)-i) {
			t.Fatalf("%d references before release %d of %d", r.Buf.refs.Load(), i, len(sink.keep))
		}
		b.Release()
	}
	defer func() {
		if recover() == nil {
			t.Fatal("one release too many went unnoticed")
		}
	}()
	r.Buf.Release()
}

func TestCancelFailEnd(t *testing.T) {
	wants, run := chunksOf(8)
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	_, _, _ = l.Ask(wants)
	if gone := l.Cancel(wants[:2]); len(gone) != 1 || gone[0] != (Range{0, 2}) {
		t.Fatalf("canceled %v", gone)
	}
	l.Fail([]Range{{First: 2, Count: 2}, {First: 100, Count: ^uint64(0) - 200}}, ErrChanged)
	cause := errors.New("cause")
	l.End(cause)
	l.End(errors.New("second"))
	l.Arrive(run(0, 8))
	for i, want := range []error{ErrCanceled, ErrCanceled, ErrChanged, ErrChanged, cause, cause, cause, cause} {
		if !errors.Is(sink.failed[uint64(i)], want) {
			t.Errorf("chunk %d: %v, want %v", i, sink.failed[uint64(i)], want)
		}
	}
	if len(sink.down) != 1 || !errors.Is(sink.down[0], cause) || len(sink.got) != 0 {
		t.Errorf("down %v, got %v", sink.down, sink.got)
	}
	if _, _, err := l.Ask(wants); !errors.Is(err, ErrClosed) {
		t.Errorf("Ask after End: %v", err)
	}
}

func TestEmptyWantIsRefused(t *testing.T) {
	l := NewLedger(LedgerConfig{Sink: newTally()})
	if _, _, err := l.Ask([]Want{{Ordinal: 1, Len: 5}, {Ordinal: 2}}); err == nil || l.Stats().Outstanding != 0 {
		t.Fatalf("%v, %d outstanding", err, l.Stats().Outstanding)
	}
}

// TestBookAgainstMap holds the book against the obvious one, a map.
func TestBookAgainstMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	k, twin := newBook(), map[uint64]Want{}
	for range 50_000 {
		ordinal := rng.Uint64N(1000)
		w := Want{Ordinal: ordinal, Len: 1 + rng.Uint32N(100)}
		_, there := twin[ordinal]
		switch rng.IntN(3) {
		case 0, 1:
			if k.put(w) == there {
				t.Fatalf("put %d: there already is %v", ordinal, there)
			}
			if !there {
				twin[ordinal] = w
			}
		case 2:
			got, ok := k.take(ordinal)
			if ok != there || (ok && got != twin[ordinal]) {
				t.Fatalf("take %d: %+v %v, want %+v", ordinal, got, ok, twin[ordinal])
			}
			delete(twin, ordinal)
		}
	}
	var sum int64
	for _, w := range twin {
		sum += int64(w.Len)
	}
	if k.bytes != sum {
		t.Fatalf("%d bytes, want %d", k.bytes, sum)
	}
	if all := k.takeAll(); len(all) != len(twin) || len(k.blocks) != 0 || k.bytes != 0 {
		t.Fatalf("%d wants in all, want %d; %d blocks left", len(all), len(twin), len(k.blocks))
	}
}

func TestMemoryOfAMillionWants(t *testing.T) {
	wants := make([]Want, 1<<20)
	for i := range wants {
		wants[i] = Want{Ordinal: uint64(i), Len: 1}
	}
	before := heap()
	l := NewLedger(LedgerConfig{Sink: newTally()})
	if _, _, err := l.Ask(wants); err != nil {
		t.Fatal(err)
	}
	if each := (heap() - before) / int64(len(wants)); each > 120 {
		t.Errorf("%d bytes for each want, which has 48 itself", each)
	}
	runtime.KeepAlive(l)
	runtime.KeepAlive(wants)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants, run := chunksOf(100)
		l := NewLedger(LedgerConfig{Sink: newTally()})
		time.Sleep(time.Hour) // idle time does not count
		_, _, _ = l.Ask(wants)
		for i := range 100 {
			time.Sleep(100 * time.Millisecond) // 1000 bytes a second
			l.Arrive(run(i, 1))
		}
		if r := l.Stats().Rate; r < 900 || r > 1100 {
			t.Errorf("rate is %.0f, want 1000", r)
		}
		_, _, _ = l.Ask(wants[:1])
		time.Sleep(10 * time.Second)
		if r := l.Stats().Rate; r > 100 {
			t.Errorf("rate is %.0f after ten silent seconds", r)
		}
	})
}

// blocker is a sink that waits for its gate in Deliver.
type blocker struct {
	tally
	gate chan struct{}
}

func (b *blocker) Deliver(batch *Batch) {
	<-b.gate
	batch.Release()
}

// TestIntakeTellsGoodFromBad: what the workers deliver was asked for and is right; the rest fails or is counted.
func TestIntakeTellsGoodFromBad(t *testing.T) {
	sink := newTally()
	l := NewLedger(LedgerConfig{Sink: sink})
	wants, run := chunksOf(6)
	wants[4].Len = 99
	if _, _, err := l.Ask(wants[:5]); err != nil { // 5 is not asked for
		t.Fatal(err)
	}
	in := NewIntake(IntakeConfig{Workers: 1})
	r := run(0, 6)
	r.Buf.Data[250]++ // in chunk 2
	if err := in.Submit(t.Context(), l, r); err != nil {
		t.Fatal(err)
	}
	in.Close()
	if len(sink.got) != 3 || sink.got[0] != 1 || sink.got[1] != 1 || sink.got[3] != 1 || len(sink.failed) != 2 {
		t.Errorf("got %v, failed %v", sink.got, sink.failed)
	}
	for _, n := range []uint64{2, 4} {
		if !errors.Is(sink.failed[n], ErrCorrupt) {
			t.Errorf("chunk %d: %v", n, sink.failed[n])
		}
	}
	if s := l.Stats(); s.Unasked != 1 || s.Outstanding != 0 {
		t.Errorf("%+v", s)
	}
}

func TestIntakeBlocksWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wants, run := chunksOf(30)
		sink := &blocker{tally: *newTally(), gate: make(chan struct{})}
		l := NewLedger(LedgerConfig{Sink: sink})
		_, _, _ = l.Ask(wants)
		in := NewIntake(IntakeConfig{Workers: 2, Bytes: 3 * 64 << 10}) // three small buffers
		done := 0
		go func() {
			for i := range 30 {
				_ = in.Submit(context.Background(), l, run(i, 1))
				done++
			}
		}()
		synctest.Wait()
		if done != 3 {
			t.Errorf("%d runs were taken, want 3", done)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := in.Submit(ctx, l, run(0, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Submit with a canceled context: %v", err)
		}
		close(sink.gate)
		synctest.Wait()
		if done != 30 || l.Stats().Outstanding != 0 {
			t.Errorf("%d runs were taken, %d bytes outstanding", done, l.Stats().Outstanding)
		}
		l.End(ErrClosed)
		if err := in.Submit(context.Background(), l, run(0, 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("Submit after End: %v", err)
		}
		in.Close()
	})
}

func TestSubtract(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		ranges, gone := randomRanges(rng, 5), randomRanges(rng, 5)
		var want []Range
		for _, r := range ranges {
			for o := r.First; o < r.End(); o++ {
				if !contains(gone, o) {
					want = append(want, Range{o, 1})
				}
			}
		}
		var got []Range
		for _, r := range Subtract(ranges, gone) {
			for o := r.First; o < r.End(); o++ {
				got = append(got, Range{o, 1})
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%v without %v: %v", ranges, gone, got)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%v without %v: %v", ranges, gone, got)
			}
		}
	}
}

func randomRanges(rng *rand.Rand, n int) []Range {
	ranges := make([]Range, rng.IntN(n))
	for i := range ranges {
		ranges[i] = Range{First: rng.Uint64N(30), Count: 1 + rng.Uint64N(8)}
	}
	return ranges
}

func contains(ranges []Range, o uint64) bool {
	for _, r := range ranges {
		if o >= r.First && o < r.End() {
			return true
		}
	}
	return false
}
