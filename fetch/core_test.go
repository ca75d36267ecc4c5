package fetch

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func lensOf(n int, size uint32) []uint32 {
	lens := make([]uint32, n)
	for i := range lens {
		lens[i] = size
	}
	return lens
}

func sum(lens []uint32) (n int64) {
	for _, l := range lens {
		n += int64(l)
	}
	return n
}

// checkAll fails unless each chunk came, or was given up, exactly once and nothing is left open.
func (w *world) checkAll(t *testing.T) {
	t.Helper()
	if err := w.unsettled(); err != nil {
		t.Fatal(err)
	}
}

// unsettled says what is neither there nor given up.
func (w *world) unsettled() error {
	if !w.core.Done() {
		return fmt.Errorf("not done: %d chunks wait", w.core.Waiting())
	}
	for ord := range w.lens {
		_, lost := w.lost[uint64(ord)]
		if got := w.got[uint64(ord)] > 0; got == lost {
			return fmt.Errorf("chunk %d: arrived %v, given up %v", ord, got, lost)
		}
	}
	return nil
}

func TestOneSourceIsAskedOnceInOrder(t *testing.T) {
	w := newWorld(1, CoreConfig{}, lensOf(1000, 16<<10), &simSource{rate: 10e6, rtt: 20 * time.Millisecond})
	w.run(time.Hour)
	w.checkAll(t)
	next := uint64(0)
	for _, a := range w.actions {
		for _, r := range a.Ranges {
			if a.Kind != ActRequest || r.First != next {
				t.Fatalf("%v where a request from %d on was expected", a, next)
			}
			next += uint64(r.Count)
		}
	}
}

// TestWindowFillsThePath: a long fat link must be used from soon after the start until the end.
func TestWindowFillsThePath(t *testing.T) {
	for _, c := range []struct {
		rate float64
		rtt  time.Duration
	}{{12.5e6, 100 * time.Millisecond}, {37.5e6, 100 * time.Millisecond}, {193e3, 40 * time.Millisecond}, {1e6, 500 * time.Millisecond}} {
		lens := lensOf(int(c.rate*30/(16<<10)), 16<<10) // half a minute of data
		w := newWorld(1, CoreConfig{}, lens, &simSource{rate: c.rate, rtt: c.rtt})
		took := w.run(time.Hour)
		w.checkAll(t)
		ideal := time.Duration(float64(sum(lens)) / c.rate * 1e9)
		if ratio := took.Seconds() / (ideal + c.rtt).Seconds(); ratio > 1.10 {
			t.Errorf("rate %.0f B/s, round trip %v: %.2f times the link's time", c.rate, c.rtt, ratio)
		}
	}
}

// TestWindowOpensOnAFastPath: where a round trip takes no time, what is asked for must grow all the same.
// Requests are answered whole, so that nothing is outstanding after each.
func TestWindowOpensOnAFastPath(t *testing.T) {
	c := NewCore(CoreConfig{})
	now := time.Unix(1000, 0)
	c.Step(now, Event{Kind: EvUp, RTT: 50 * time.Microsecond})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(65536, 16<<10)})
	c.Step(now, Event{Kind: EvPlanDone})
	const perRequest = 200 * time.Microsecond // what asking and answering costs, whatever the size
	rounds := 0
	for ; !c.Done(); rounds++ {
		actions, _ := c.Next(now)
		for _, a := range actions {
			n := int64(0)
			for _, r := range a.Ranges {
				n += int64(r.Count) * 16 << 10
			}
			now = now.Add(perRequest + time.Duration(n)) // 1 GB/s
			c.Step(now, Event{Kind: EvArrived, Source: a.Source, Ranges: a.Ranges})
		}
	}
	if rounds > 1000 {
		t.Errorf("%d rounds for 1 GiB: the window did not open", rounds)
	}
}

// TestSourcesShareTheWork: two sources take about their sum's time, with few bytes fetched twice.
func TestSourcesShareTheWork(t *testing.T) {
	lens := lensOf(4000, 16<<10)
	w := newWorld(1, CoreConfig{}, lens,
		&simSource{rate: 2e6, rtt: 30 * time.Millisecond}, &simSource{rate: 8e6, rtt: 30 * time.Millisecond})
	took := w.run(time.Hour)
	w.checkAll(t)
	ideal := float64(sum(lens)) / 10e6
	if took.Seconds() > 1.15*ideal {
		t.Errorf("took %v; both together need %.2f s", took, ideal)
	}
	if w.dup > sum(lens)/20 {
		t.Errorf("%d bytes came twice", w.dup)
	}
}

func TestFailedChunkComesFromElsewhere(t *testing.T) {
	w := newWorld(1, CoreConfig{}, lensOf(500, 16<<10),
		&simSource{rate: 1e6, rtt: time.Millisecond, fails: 0.3, why: WhyChanged},
		&simSource{rate: 1e6, rtt: time.Millisecond})
	w.run(time.Hour)
	w.checkAll(t)
	if len(w.lost) > 0 {
		t.Errorf("%d chunks given up though the second source has them", len(w.lost))
	}
}

func TestChunkNobodyHasIsGivenUp(t *testing.T) {
	w := newWorld(1, CoreConfig{}, lensOf(200, 16<<10),
		&simSource{rate: 1e6, rtt: time.Millisecond, fails: 0.5, why: WhyChanged},
		&simSource{rate: 1e6, rtt: time.Millisecond, fails: 1, why: WhyNotHeld})
	w.run(time.Hour)
	w.checkAll(t)
	if len(w.lost) == 0 {
		t.Error("nothing was given up")
	}
}

func TestLiarIsDropped(t *testing.T) {
	liar := &simSource{rate: 50e6, rtt: time.Millisecond, fails: 1, why: WhyCorrupt}
	w := newWorld(1, CoreConfig{}, lensOf(3000, 16<<10), liar, &simSource{rate: 5e6, rtt: time.Millisecond})
	w.run(time.Hour)
	w.checkAll(t)
	if !liar.closed || len(w.lost) > 0 {
		t.Errorf("closed %v, %d chunks given up", liar.closed, len(w.lost))
	}
}

// TestStalledLease: chunks leased to a source that answers nothing are asked of the other one.
func TestStalledLease(t *testing.T) {
	w := newWorld(1, CoreConfig{}, lensOf(100, 16<<10),
		&simSource{stalled: true, rate: 1, rtt: time.Millisecond}, &simSource{rate: 1e6, rtt: time.Millisecond})
	took := w.run(time.Minute)
	w.checkAll(t)
	if took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestMaxRate: a limit is kept, and used.
func TestMaxRate(t *testing.T) {
	lens := lensOf(1000, 16<<10)
	w := newWorld(1, CoreConfig{MaxRate: 1e6}, lens, &simSource{rate: 50e6, rtt: time.Millisecond})
	took := w.run(time.Hour)
	w.checkAll(t)
	if rate := float64(sum(lens)) / took.Seconds(); rate > 1.02e6 || rate < 0.95e6 {
		t.Errorf("rate %.0f B/s under a limit of 1000000", rate)
	}
}

func TestNothingPlanned(t *testing.T) {
	w := newWorld(1, CoreConfig{}, nil, &simSource{rate: 1e6, rtt: time.Millisecond})
	w.run(time.Second)
	w.checkAll(t)
}

// TestRandomWorlds: whatever the sources do, each chunk is settled, and outstanding bytes add up.
func TestRandomWorlds(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := randomWorld(seed, rng)
		w.run(24 * time.Hour)
		w.checkAll(t)
		for i, s := range w.core.sources {
			if s.up && !w.srcs[i].stalled && s.path.Outstanding() != outstandingOf(w, i) {
				t.Fatalf("world %d: source %d has %d bytes outstanding; the core counts %d", seed, i, outstandingOf(w, i), s.path.Outstanding())
			}
		}
	}
}

func outstandingOf(w *world, id int) (n int64) {
	for ord := range w.srcs[id].asked {
		n += int64(w.lens[ord])
	}
	return n
}

func randomWorld(seed uint64, rng *rand.Rand) *world {
	lens := make([]uint32, 1+rng.IntN(2000))
	for i := range lens {
		lens[i] = 1 + rng.Uint32N(64<<10)
	}
	whys := []Why{WhyCanceled, WhyCorrupt, WhyChanged, WhyNotHeld}
	var srcs []*simSource
	for i := range 1 + rng.IntN(5) {
		s := &simSource{rate: 1e4 * float64(uint(1)<<rng.IntN(14)), rtt: time.Duration(1+rng.IntN(300)) * time.Millisecond}
		if rng.IntN(2) == 0 {
			s.fails, s.why = rng.Float64()*0.5, whys[rng.IntN(len(whys))]
		}
		s.stalled = i > 0 && rng.IntN(6) == 0
		srcs = append(srcs, s)
	}
	return newWorld(seed, CoreConfig{}, lens, srcs...)
}

// TestEqualEventsEqualActions: two runs of one world decide the same.
func TestEqualEventsEqualActions(t *testing.T) {
	for seed := range uint64(20) {
		var logs [2][]Action
		for i := range logs {
			w := randomWorld(seed, rand.New(rand.NewPCG(seed, 2)))
			w.run(24 * time.Hour)
			logs[i] = w.actions
		}
		if !reflect.DeepEqual(logs[0], logs[1]) {
			t.Fatalf("world %d: two runs differ", seed)
		}
	}
}

func BenchmarkCore(b *testing.B) {
	lens := lensOf(65536, 16<<10)
	for b.Loop() {
		w := newWorld(1, CoreConfig{}, lens, &simSource{rate: 1e9, rtt: time.Millisecond})
		w.run(time.Hour)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/65536, "ns/chunk")
}

// A chunk counts as outstanding until it is whole. One that fills a small window alone does not let a slow path run dry.
func TestLongChunksKeepASlowPathBusy(t *testing.T) {
	const rate, rtt = 193e3, 140 * time.Millisecond
	lens, total := make([]uint32, 200), 0
	for i := range lens {
		lens[i] = 8 << 10
		if i%5 == 0 {
			lens[i] = 64 << 10
		}
		total += int(lens[i])
	}
	w := newWorld(1, CoreConfig{}, lens, &simSource{rate: rate, rtt: rtt})
	took := w.run(time.Hour)
	w.checkAll(t)
	if least := time.Duration(float64(total)/rate*1e9) + rtt; took > least+rtt {
		t.Errorf("the transfer took %v, the path needs %v", took, least)
	}
}
