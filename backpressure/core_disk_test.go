package backpressure

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

const mib = 1 << 20

// checkVerdict holds what every verdict must hold: a refusal has a reason and a later time.
func checkVerdict(t *testing.T, now time.Time, v Verdict) {
	t.Helper()
	if v.Allow && (v.Reason != "" || !v.Again.IsZero()) {
		t.Errorf("allowed with %+v", v)
	}
	if !v.Allow && (v.Reason == "" || !v.Again.After(now) || v.Again.After(now.Add(time.Hour))) {
		t.Errorf("refused with %+v at %v", v, now)
	}
}

// fed is a disk that is told of each write.
type fed struct {
	*Disk
	now    time.Time
	sample WriterSample
}

func newFed(cfg DiskConfig) *fed { return &fed{Disk: NewDisk(cfg), now: start} }

func (f *fed) Received(n int64) {
	f.sample.Received += n
	f.Writer(f.now, f.sample)
}

func (f *fed) Written(n int64, busy time.Duration) {
	f.sample.Written = min(f.sample.Written+n, f.sample.Received)
	f.sample.Busy += busy
	f.Writer(f.now, f.sample)
}

// As the backlog grows, the kinds of work give way in order, searching at Low and the sender at High.
func TestOrderOfGivingWay(t *testing.T) {
	d := newFed(DiskConfig{})
	var stopped [works]int64
	for range 5 * 16 {
		d.Received(mib / 16)
		for w := range works {
			v := d.Allow(start, w)
			checkVerdict(t, start, v)
			if !v.Allow && stopped[w] == 0 {
				stopped[w] = d.Backlog()
			}
		}
	}
	if stopped[Search] != d.Low() || stopped[Sender] != d.High() {
		t.Errorf("search stopped at %d, sender at %d; want %d and %d", stopped[Search], stopped[Sender], d.Low(), d.High())
	}
	for w := Search; w < Sender; w++ {
		if stopped[w] >= stopped[w+1] {
			t.Errorf("work %d stopped at %d, the next at %d", w, stopped[w], stopped[w+1])
		}
	}
}

// Whatever happens, a kind of work is never refused for its backlog while a later one is allowed to
// go on with a smaller one, and every refusal has its reason and time.
func TestDiskProperties(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		d := newFed(DiskConfig{Depth: 2})
		now := start
		for range 2000 {
			now = now.Add(time.Duration(rng.IntN(int(20 * time.Millisecond))))
			d.now = now
			switch rng.IntN(6) {
			case 0, 1:
				d.Received(rng.Int64N(mib))
			case 2, 3:
				d.Written(rng.Int64N(mib+mib/4), time.Duration(rng.IntN(int(10*time.Millisecond))))
			case 4:
				d.Inflight(rng.Int64N(8 * mib))
				d.Writeback(rng.Int64N(mib) - 10)
			case 5:
				d.Sample(now, DiskSample{Stall: time.Duration(rng.Int64N(1e9)), Others: rng.Int64N(1e9)})
			}
			for w := range works {
				v := d.Allow(now, w)
				checkVerdict(t, now, v)
				if v.Allow && d.Backlog() >= d.limit(w) {
					t.Fatalf("seed %d: work %d allowed with a backlog of %d", seed, w, d.Backlog())
				}
			}
			if d.Backlog() < 0 {
				t.Fatalf("seed %d: backlog %d", seed, d.Backlog())
			}
		}
		d.Written(1<<40, 0)
		d.Writeback(0)
		d.Inflight(0)
		for w := Read; w < works; w++ {
			if v := d.Allow(now, w); !v.Allow {
				t.Fatalf("seed %d: work %d refused with nothing to write: %s", seed, w, v.Reason)
			}
		}
	}
}

// A backlog that hovers about the limit does not switch the search on and off: after a refusal all of
// that moment's backlog must be on disk first.
func TestNoOscillation(t *testing.T) {
	d := newFed(DiskConfig{})
	now, flips, was := start, 0, true
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		d.now = now
		if i%2 == 0 {
			d.Received(d.Low() + 2 - d.Backlog())
		} else {
			d.Written(4, time.Microsecond)
		}
		if v := d.Allow(now, Search); v.Allow != was {
			was = v.Allow
			flips++
		}
	}
	if flips != 1 {
		t.Errorf("%d changes, want 1", flips)
	}
	d.Written(d.held[Search].until-d.writer.Written-1, 0)
	if v := d.Allow(now, Search); v.Allow {
		t.Error("allowed before the backlog of the refusal was on disk")
	}
	d.Received(d.Low()/2 - d.Backlog() + 2)
	d.Written(1, 0)
	if v := d.Allow(now, Search); v.Allow {
		t.Error("allowed before half of the limit was free")
	}
	d.Written(1, 0)
	if v := d.Allow(now, Search); !v.Allow {
		t.Errorf("still refused: %s", v.Reason)
	}
}

// A fast writer may be further behind in bytes: 50 ms of writing.
func TestLimitFollowsTheWriter(t *testing.T) {
	d := newFed(DiskConfig{})
	if d.Low() != mib {
		t.Errorf("Low is %d without measurements", d.Low())
	}
	for range 50 {
		d.Received(10 * mib)
		d.Written(10*mib, 10*time.Millisecond)
	}
	if got := d.Low(); got < 49*mib || got > 51*mib {
		t.Errorf("at 1000 MiB/s Low is %d MiB", got/mib)
	}
}

// Bytes in flight are bounded by High, for the network's kinds of work alone.
func TestInflightBound(t *testing.T) {
	d := newFed(DiskConfig{})
	d.Inflight(1 << 40)
	if v := d.Allow(start, Sender); !v.Allow {
		t.Errorf("refused before the writer's rate is known: %s", v.Reason)
	}
	d.Received(mib)
	d.Written(mib, 10*time.Millisecond)
	d.Inflight(d.High())
	for w := range works {
		v := d.Allow(start, w)
		checkVerdict(t, start, v)
		if v.Allow != (w < Bulk) {
			t.Errorf("work %d: %+v", w, v)
		}
	}
}

// What the kernel writes leaves searching and reading a third of the time, and never holds up requests.
func TestWritebackSlowsSearching(t *testing.T) {
	d := newFed(DiskConfig{})
	d.Received(100 * mib)
	d.Written(100*mib, 0)
	d.Writeback(50 * mib)
	d.SearchStarted()
	d.SearchEnded(start, 100*time.Millisecond)
	for w := range works {
		if v := d.Allow(start.Add(150*time.Millisecond), w); v.Allow != (w >= Bulk) {
			t.Errorf("work %d: %+v", w, v)
		}
		if v := d.Allow(start.Add(200*time.Millisecond), w); !v.Allow {
			t.Errorf("work %d later: %+v", w, v)
		}
	}
}

// Only as many of the bytes being written as this program wrote count.
func TestForeignWritebackIsNoReason(t *testing.T) {
	d := newFed(DiskConfig{})
	d.Writeback(50 * mib)
	d.SearchStarted()
	d.SearchEnded(start, 100*time.Millisecond)
	if v := d.Allow(start, Search); !v.Allow {
		t.Error(v.Reason)
	}
}

// A writer that does not get on stops the search however little waits, and nothing else.
func TestStuckWriterStopsSearching(t *testing.T) {
	d := newFed(DiskConfig{})
	d.Received(100)
	for _, c := range []struct {
		later time.Duration
		stops bool
	}{{stuck - 1, false}, {stuck, true}} {
		now := start.Add(c.later)
		for w := range works {
			v := d.Allow(now, w)
			checkVerdict(t, now, v)
			if stops := c.stops && w <= Read; v.Allow == stops {
				t.Errorf("work %d after %v: %+v", w, c.later, v)
			}
		}
	}
	d.now = start.Add(stuck)
	d.Written(1, 0)
	if v := d.Allow(d.now, Search); !v.Allow {
		t.Errorf("it gets on again: %s", v.Reason)
	}
}

// Counts of several writers that come out of order never go back.
func TestWriterCountsOnlyGrow(t *testing.T) {
	d := NewDisk(DiskConfig{})
	d.Writer(start, WriterSample{Received: 3 * mib, Written: 2 * mib})
	d.Writer(start, WriterSample{Received: 2 * mib, Written: mib})
	if got := d.Backlog(); got != mib {
		t.Errorf("backlog %d", got)
	}
	d.Writer(start, WriterSample{Received: 3 * mib, Written: 4 * mib})
	if got := d.Backlog(); got != 0 {
		t.Errorf("backlog %d of what was written twice", got)
	}
}

func TestDepth(t *testing.T) {
	d := newFed(DiskConfig{Depth: 2})
	for range 2 {
		if v := d.Allow(start, Search); !v.Allow {
			t.Fatal(v.Reason)
		}
		d.SearchStarted()
	}
	if v := d.Allow(start, Search); v.Allow || v.Reason != ReasonDepth {
		t.Errorf("third operation: %+v", v)
	}
	d.SearchEnded(start, time.Millisecond)
	if v := d.Allow(start, Search); !v.Allow {
		t.Error(v.Reason)
	}
}

// busyDisk plays so many windows in which something waited for half of the time.
func busyDisk(d *Disk, now time.Time, windows int, others int64) time.Time {
	s := DiskSample{}
	if others < 0 {
		s.Others = -1
	}
	for range windows + 1 {
		d.Sample(now, s)
		now = now.Add(sampleWindow)
		s.Stall += sampleWindow / 2
		if others > 0 {
			s.Others += others
		}
	}
	return now
}

// While other programs wait for the disk, the search has at most a third of the time, or does one thing at a time if they only write.
func TestOthersGetTheDisk(t *testing.T) {
	unknown := newFed(DiskConfig{})
	checkSearches(t, "unknown", unknown, busyDisk(unknown.Disk, start, 2, -1), 0.33)
	readers := newFed(DiskConfig{})
	checkSearches(t, "readers", readers, busyDisk(readers.Disk, start, 2, 10*mib), 0.33)
	writers := newFed(DiskConfig{})
	now := start
	for n := range int64(3) {
		writers.Sample(now, DiskSample{Stall: time.Duration(n) * sampleWindow / 2, Others: n * 10 * mib, Wrote: n * 10 * mib})
		now = now.Add(sampleWindow)
	}
	checkSearches(t, "writers", writers, now, 1)
	writers.SearchStarted()
	if v := writers.Allow(now.Add(time.Minute), Search); v.Allow || v.Reason != ReasonOthers {
		t.Errorf("a second operation beside writers: %+v", v)
	}
}

// checkSearches expects searching to take a share of the next ten seconds.
func checkSearches(t *testing.T, name string, d *fed, now time.Time, share float64) {
	t.Helper()
	busy, end := time.Duration(0), now.Add(10*time.Second)
	for now.Before(end) {
		v := d.Allow(now, Search)
		checkVerdict(t, now, v)
		if !v.Allow {
			now = v.Again
			continue
		}
		d.SearchStarted()
		now = now.Add(20 * time.Millisecond)
		busy += 20 * time.Millisecond
		d.SearchEnded(now, 20*time.Millisecond)
	}
	if got := busy.Seconds() / 10; math.Abs(got-share) > 0.02 {
		t.Errorf("%s: searched for %.2f of the time, want %.2f", name, got, share)
	}
}

// The waiting that the search itself causes is not taken for somebody else's.
func TestOwnWaitingIsNoPressure(t *testing.T) {
	for name, others := range map[string]int64{"nobody else": 0, "not known": -1} {
		d := newFed(DiskConfig{})
		d.SearchStarted()
		now := busyDisk(d.Disk, start, 5, others)
		d.SearchEnded(now, time.Millisecond)
		if v := d.Allow(now, Search); !v.Allow {
			t.Errorf("%s: %s", name, v.Reason)
		}
	}
	d := newFed(DiskConfig{})
	d.SearchStarted()
	now := busyDisk(d.Disk, start, 5, 10*mib)
	d.SearchEnded(now, time.Millisecond)
	if v := d.Allow(now, Search); v.Allow {
		t.Error("another program reads 100 MiB/s and waits, and the search goes on")
	}
}

// Within a second after the others have gone the search is back.
func TestPressureEnds(t *testing.T) {
	d := newFed(DiskConfig{})
	now := busyDisk(d.Disk, start, 3, -1)
	d.SearchStarted()
	d.SearchEnded(now, 50*time.Millisecond)
	calm := DiskSample{Stall: time.Hour, Others: -1}
	for range 3 {
		d.Sample(now, calm)
		now = now.Add(sampleWindow)
	}
	if v := d.Allow(now, Search); !v.Allow {
		t.Error(v.Reason)
	}
}

func TestUnknownIsNoReason(t *testing.T) {
	d := newFed(DiskConfig{})
	now := busyDisk(d.Disk, start, 3, -1)
	d.Sample(now, UnknownDisk)
	d.Writeback(-1)
	if v := d.Allow(now, Search); !v.Allow {
		t.Error(v.Reason)
	}
}

func TestVerdictsAllocateNothing(t *testing.T) {
	d, c, w := newFed(DiskConfig{}), NewCPU(CPUConfig{}), Worth{}
	p := NewPath(start, PathConfig{}, time.Millisecond)
	if n := testing.AllocsPerRun(100, func() {
		d.Received(10)
		d.Allow(start, Search)
		d.Allow(start, Sender)
		c.AllowPlan(start)
		p.Allow(start, 1<<20)
		w.Allow(start, Offer{Cost: 1, Useful: 1, Rate: 1})
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	d := newFed(DiskConfig{})
	d.Received(100 * mib)
	b.ReportAllocs()
	for b.Loop() {
		d.Allow(start, Search)
	}
}

// What is late does not count against the depth; that the search itself waits for it is no reason to yield to others.
func TestLateSearchDoesNotCount(t *testing.T) {
	d, now := NewDisk(DiskConfig{Depth: 1}), time.Unix(1000, 0)
	d.SearchStarted()
	if v := d.Allow(now, Search); v.Allow || v.Reason != ReasonDepth {
		t.Fatalf("beside one that is under way: %+v", v)
	}
	d.SearchLate()
	for i := range 5 {
		now = now.Add(200 * time.Millisecond)
		d.Sample(now, DiskSample{Stall: time.Duration(i) * 200 * time.Millisecond})
	}
	if v := d.Allow(now, Search); !v.Allow {
		t.Errorf("beside a late one: %+v", v)
	}
	d.LateEnded()
	d.SearchStarted()
	if v := d.Allow(now, Search); v.Allow {
		t.Error("the next one does not count")
	}
}
