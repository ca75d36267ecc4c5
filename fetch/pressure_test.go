package fetch

import (
	"testing"
	"time"

	"dfetch/backpressure"
)

// busyDisk is a world in which another program takes most of the disk from a moment on: what took a
// second takes ten. seen says whether the kernel tells.
func busyDisk(similar int, from time.Duration, seen bool) *world {
	w := newWorld(1, CoreConfig{Search: true}, nil, &simSource{opens: true, rate: 2.5e6, rtt: 40 * time.Millisecond})
	w.addDisk(&simDisk{statCost: 1e-4, rate: 20e6})
	n := 0
	for range 100 {
		w.addFile(400, func() bool { n++; return similar > 0 && n%similar == 0 })
	}
	w.after(from, func() { w.d.rate, w.d.statCost = w.d.rate/10, w.d.statCost*10 })
	if seen {
		w.watch(w.now.Add(from), backpressure.DiskSample{})
	}
	return w
}

// watch tells the core ten times a second what the kernel says of the disk: after a moment something
// always waits for it, and others move 20 MB/s.
func (w *world) watch(busy time.Time, s backpressure.DiskSample) {
	writer := w.writer.sample
	w.core.Step(w.now, Event{Kind: EvMachine, Disk: &s, Writeback: -1, Writer: &writer})
	w.after(100*time.Millisecond, func() {
		if w.now.After(busy) {
			s.Stall += 100 * time.Millisecond
			s.Others += 2e6
		}
		w.watch(busy, s)
	})
}

// searched is how many seconds the disk was busy with operations that began after a moment.
func (d *simDisk) searched(after time.Time) (seconds float64) {
	for _, op := range d.starts {
		if op.at.After(after) {
			seconds += op.seconds
		}
	}
	return seconds
}

// TestSearchLeavesABusyDisk: within a second after the disk got busy the search is down to about a third
// of its time, and the transfer ends as if the network had brought all that was missing then.
func TestSearchLeavesABusyDisk(t *testing.T) {
	const from = 20 * time.Second
	for _, similar := range []int{0, 2} {
		w := busyDisk(similar, from, true)
		start := w.now
		network := w.srcs[0].fetchTimes(w.lens)[len(w.lens)]
		var left int64
		w.after(from, func() { left = w.core.wantedBytes })
		took := w.runPlanned(time.Hour, w.lens)
		w.checkAll(t)
		second := start.Add(from + time.Second)
		if share := w.d.searched(second) / w.now.Sub(second).Seconds(); share > 0.36 {
			t.Errorf("1 of %d similar: the search takes %.2f of a busy disk's time", similar, share)
		}
		rest := from.Seconds() + float64(left)/w.srcs[0].rate
		if took.Seconds() > 1.05*min(network, rest) {
			t.Errorf("1 of %d similar: took %v; the network alone %.1f s, for the rest until %.1f s", similar, took, network, rest)
		}
	}
}

// TestBusyDiskAndFilesInMemory: what lies in memory is searched as if the disk were idle.
func TestBusyDiskAndFilesInMemory(t *testing.T) {
	var took [2]time.Duration
	for i, cached := range []bool{false, true} {
		w := newWorld(1, CoreConfig{Search: true}, nil, &simSource{opens: true, rate: 2.5e6, rtt: 40 * time.Millisecond})
		w.addDisk(&simDisk{statCost: 1e-4, rate: 400e6, cached: cached})
		for range 20 {
			w.addFile(4000, func() bool { return true })
		}
		w.watch(w.now, backpressure.DiskSample{})
		took[i] = w.runPlanned(time.Hour, w.lens)
		w.checkAll(t)
	}
	if 2*took[1] > took[0] {
		t.Errorf("on a busy disk: files in memory %v, others %v", took[1], took[0])
	}
}

// TestBusyDiskUnseen: where the kernel says nothing, a disk that gets ten times slower still does not
// make the transfer slower than the network alone.
func TestBusyDiskUnseen(t *testing.T) {
	for _, similar := range []int{0, 2, 10} {
		w := busyDisk(similar, 20*time.Second, false)
		network := w.srcs[0].fetchTimes(w.lens)[len(w.lens)]
		took := w.runPlanned(time.Hour, w.lens)
		w.checkAll(t)
		if took.Seconds() > 1.05*network {
			t.Errorf("1 of %d similar: took %v; the network alone %.1f s", similar, took, network)
		}
	}
}

// TestWriterThatGetsSlow: when writing gets slower than the network nothing more is asked for until most
// of what is on its way has been written, and what waits stays bounded. The writer is never idle for that.
func TestWriterThatGetsSlow(t *testing.T) {
	const slow = 2e6
	w := newWorld(1, CoreConfig{}, lensOf(20000, simChunk), &simSource{rate: 100e6, rtt: 100 * time.Millisecond})
	w.writer.rate = 500e6
	var left, asked, askedLater int64
	w.after(time.Second, func() { w.writer.rate, left = slow, w.core.wantedBytes })
	w.after(1500*time.Millisecond, func() { asked = w.requested() })
	w.after(5*time.Second, func() { askedLater = w.requested() })
	took := w.run(time.Hour)
	w.checkAll(t)
	if asked != askedLater || left == 0 {
		t.Errorf("%d bytes were asked for while %d waited to be written", askedLater-asked, w.writer.most)
	}
	if w.writer.most > 32<<20 {
		t.Errorf("%d bytes waited to be written", w.writer.most)
	}
	if ideal := 1 + float64(left)/slow; took.Seconds() > 1.01*ideal {
		t.Errorf("took %v; writing takes until %.1f s", took, ideal)
	}
}

// requested is how many bytes have been asked for.
func (w *world) requested() (n int64) {
	for _, a := range w.actions {
		if a.Kind == ActRequest {
			eachOrdinal(a.Ranges, func(ord uint64) { n += int64(w.lens[ord]) })
		}
	}
	return n
}

// TestBacklogHoldsRequests: while much has come that is not written nothing is asked for, until all of it
// is written.
func TestBacklogHoldsRequests(t *testing.T) {
	c, now := NewCore(CoreConfig{}), time.Unix(1000, 0)
	c.Step(now, Event{Kind: EvUp, RTT: time.Millisecond})
	c.Step(now, Event{Kind: EvPlanned, Lens: lensOf(1000, simChunk)})
	for _, s := range []struct {
		written int64
		asks    bool
	}{{0, false}, {7 << 20, false}, {8 << 20, true}} {
		now = now.Add(100 * time.Millisecond)
		c.Step(now, Event{Kind: EvMachine, Writer: &backpressure.WriterSample{Received: 8 << 20, Written: s.written}})
		actions, wake := c.Next(now)
		if asks := len(actions) > 0; asks != s.asks {
			t.Errorf("%d of 8 MiB written: %v", s.written, actions)
		}
		if !wake.After(now) {
			t.Errorf("%d of 8 MiB written: to be asked again at %v", s.written, wake)
		}
	}
}

// TestStalledWriter: while nothing can be written nothing more is asked for and nothing is searched;
// afterwards it goes on.
func TestStalledWriter(t *testing.T) {
	const stall = 30 * time.Second
	w := newWorld(1, CoreConfig{Search: true}, nil, &simSource{opens: true, rate: 20e6, rtt: 20 * time.Millisecond})
	w.addDisk(&simDisk{statCost: 1e-4, rate: 10e6})
	n := 0
	for range 40 {
		w.addFile(400, func() bool { n++; return n%2 == 0 })
	}
	w.writer.rate = 1e9
	w.watch(w.now.Add(time.Hour), backpressure.DiskSample{})
	w.after(time.Second, func() { w.writer.free = w.now.Add(stall) })
	requested := 0
	w.after(5*time.Second, func() { requested = len(w.actions) })
	w.after(stall, func() {
		if len(w.actions) > requested {
			t.Errorf("%v… while nothing could be written", w.actions[requested])
		}
	})
	took := w.runPlanned(time.Hour, w.lens)
	w.checkAll(t)
	if w.writer.most > 64<<20 {
		t.Errorf("%d bytes waited to be written", w.writer.most)
	}
	if limit := stall + time.Duration(1.1*float64(sum(w.lens))/20e6*1e9); took > limit {
		t.Errorf("took %v, more than %v", took, limit)
	}
}
