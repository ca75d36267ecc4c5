package diskscan

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// lineSpy is a Reader that notes how it is told to fetch, and whether two reads overlap in time. It tells the offset of each
// read.
type lineSpy struct {
	kernel
	offs    chan int64
	reading atomic.Int32
	overlap atomic.Bool
	random  atomic.Int32 // ranges that are not read in order
}

func (s *lineSpy) Fetch(fd int, off, end int64, inOrder bool) {
	if !inOrder {
		s.random.Add(1)
	}
}

func (s *lineSpy) ReadAt(fd int, p []byte, off int64) (int, error) {
	if s.reading.Add(1) > 1 {
		s.overlap.Store(true)
	}
	defer s.reading.Add(-1)
	s.offs <- off
	return s.kernel.ReadAt(fd, p, off)
}

// chill leaves in the page cache only a part of a file of so many bytes.
func chill(t *testing.T, fd int, f *os.File, size, warmFrom, warmTo int64) {
	t.Helper()
	for tries := 0; total(cold(fd, 0, size)) < size; tries++ { // whole pages
		if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if tries > 1000 { // a page that somebody holds at the moment stays
			t.Fatalf("only %d bytes of %d have left the cache", total(cold(fd, 0, size)), size)
		}
	}
	unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) // no reading ahead
	if _, err := f.ReadAt(make([]byte, warmTo-warmFrom), warmFrom); err != nil {
		t.Fatal(err)
	}
}

// TestStreams reads the runs of a cold file as streams, each of which begins while others are under way: what is read is
// read in order, and the cache is afterwards what it was.
func TestStreams(t *testing.T) {
	dir := coolDir(t)
	path := filepath.Join(dir, "f")
	const size, warmFrom, warmTo = 40<<20 - 100_000, 4 << 20, 6 << 20
	data := noise("x", size)
	write(t, path, data)
	x := openIndex(t, IndexConfig{})
	scope := ScopeConfig{Roots: []string{dir}}
	fill(t, x, scope, Config{})
	f, fd := openSynced(t, path)
	defer f.Close()
	chill(t, fd, f, size, warmFrom, warmTo)
	before := total(cold(fd, 0, size))
	if before < size/2 {
		t.Fatalf("only %d bytes of %d have left the cache", before, size)
	}
	spy := &lineSpy{offs: make(chan int64, 1000)}
	d := open(t, scope, Config{Index: x, Reader: spy, Processors: 4})
	sweep := check(t, d, idsOf(refsOf(t, data)))
	var c collector
	var seen atomic.Int64
	var wg sync.WaitGroup
	at := int64(-1)
	for _, r := range sweep.Runs {
		ended := make(chan struct{})
		wg.Go(func() {
			defer close(ended)
			res, err := d.Read(t.Context(), r, nil, c.take)
			if err != nil {
				t.Error(err)
			}
			seen.Add(res.Cold)
		})
		for begun := false; !begun; {
			select {
			case off := <-spy.offs:
				if begun = off == r.Offset; off <= at {
					t.Errorf("read at %d after %d", off, at)
				}
				at = off
			case <-ended: // what it has read is still among offs
				begun = true
			}
		}
	}
	wg.Wait()
	if len(c.chunks) != sweep.Hits || sweep.Hits == 0 {
		t.Errorf("%d chunks read of %d", len(c.chunks), sweep.Hits)
	}
	const slack = 3 << 20 // pages that are still under way, and those that the last two runs share
	if n, after := seen.Load(), total(cold(fd, 0, size)); n < before-slack || n > before+slack || after < before-slack {
		t.Errorf("%d bytes cold before, %d seen, %d after", before, n, after)
	}
	if spy.overlap.Load() || spy.random.Load() > 0 {
		t.Errorf("two reads at once: %v; ranges read in any order: %d", spy.overlap.Load(), spy.random.Load())
	}
}

// TestStreamsOfOneDevice: a second stream waits for the first, for its context's end, or until it has no patience left.
func TestStreamsOfOneDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ds devices
		d := ds.get(1)
		ctx, cancel := context.WithCancel(context.Background())
		o := &operation{ctx: ctx}
		first, err := d.enter(o, time.Second)
		if first == nil || err != nil {
			t.Fatalf("the first got %v, %v", first, err)
		}
		if l, err := ds.get(2).enter(o, time.Second); l == nil || err != nil {
			t.Errorf("another device: %v, %v", l, err)
		}
		time.AfterFunc(time.Millisecond, func() { first.leave(); first.leave() })
		second, err := d.enter(o, time.Second)
		if second == nil || err != nil {
			t.Errorf("the second got %v, %v", second, err)
		}
		time.AfterFunc(time.Millisecond, cancel)
		if l, err := d.enter(o, time.Hour); l != nil || err == nil {
			t.Errorf("canceled: %v, %v", l, err)
		}
		begin := time.Now()
		if l, err := d.enter(&operation{ctx: t.Context()}, time.Second); l != nil || err != nil || time.Since(begin) != time.Second {
			t.Errorf("without patience: %v, %v after %v", l, err, time.Since(begin))
		}
	})
}

// TestBrokenLine: once one stream has waited in vain, those that wait with it and those that come later do not wait, until the
// first one has left.
func TestBrokenLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(devices).get(1)
		o := &operation{ctx: t.Context()}
		hangs, _ := d.enter(o, time.Second)
		begin := time.Now()
		var wg sync.WaitGroup
		for _, patience := range []time.Duration{time.Second, time.Hour} {
			wg.Go(func() {
				if l, err := d.enter(o, patience); l != nil || err != nil {
					t.Errorf("with a patience of %v: %v, %v", patience, l, err)
				}
			})
		}
		wg.Wait()
		if l, err := d.enter(o, time.Hour); l != nil || err != nil || time.Since(begin) != time.Second {
			t.Errorf("the line is broken: %v, %v after %v", l, err, time.Since(begin))
		}
		hangs.leave()
		next, err := d.enter(o, time.Hour)
		if next == nil || err != nil {
			t.Errorf("after it has left: %v, %v", next, err)
		}
		time.AfterFunc(time.Minute, next.leave)
		if l, err := d.enter(o, time.Hour); l == nil || err != nil || time.Since(begin) != time.Second+time.Minute {
			t.Errorf("the line is whole again: %v, %v after %v", l, err, time.Since(begin))
		}
	})
}

// TestLineIsHandedOn: streams get their turns in the order in which they ask; who quits has none, even if it came just then.
func TestLineIsHandedOn(t *testing.T) {
	var q lines
	first := <-q.ask()
	a, b, c := q.ask(), q.ask(), q.ask()
	q.quit(b)
	first.leave()
	if len(a) != 1 || len(c) != 0 {
		t.Fatalf("turns: %d, %d", len(a), len(c))
	}
	q.giveUp(a)
	if q.broken {
		t.Error("who has a turn breaks the line")
	}
	q.quit(a)
	if l := <-c; l == nil || len(b) != 0 {
		t.Errorf("the last got %v", l)
	}
}

// What was read ahead of one stream counts for the others that follow it, in whatever order they begin.
func TestLookingAhead(t *testing.T) {
	a := ahead{}
	st := stamp{ino: 1, size: 32 << 20}
	a.keep(st, lookout{looked: []span{{0, 32 << 20}}, cold: []span{{9 << 20, 20 << 20}}})
	for _, tt := range []struct {
		mib  int64
		want []span
	}{
		{16, []span{{16 << 20, 20 << 20}}}, {8, []span{{9 << 20, 16 << 20}}}, {24, nil}, {0, nil}, {8, []span{{9 << 20, 16 << 20}}},
	} {
		r := &Run{Offset: tt.mib << 20, Len: 8 << 20, stamp: st}
		if got := inside(a.look(-1, r), span{r.Offset, r.Offset + r.Len}); !slices.Equal(got, tt.want) {
			t.Errorf("the run at %d MiB: %v, want %v", tt.mib, got, tt.want)
		}
	}
	for i := range uint64(2 * maxAhead) {
		a.look(-1, &Run{Len: 1, stamp: stamp{ino: i, size: 1}})
	}
	if len(a.files) > maxAhead {
		t.Errorf("%d files are remembered", len(a.files))
	}
}
