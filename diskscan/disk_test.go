package diskscan

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// bare makes a Disk without a scope, for operations that a test makes up.
func bare(t *testing.T, cfg Config) *Disk {
	t.Helper()
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An operation that hangs costs its caller the stall time, and others of its device a slot; other
// devices go on.
func TestHangingOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := bare(t, Config{Stall: time.Second})
		hang := make(chan struct{})
		start := time.Now()
		err := d.run(t.Context(), 1, func(*operation) error { <-hang; return nil })
		if !errors.Is(err, ErrStalled) || time.Since(start) < time.Second || time.Since(start) > 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		for _, dev := range []uint64{1, 2} {
			if err := d.run(t.Context(), dev, func(*operation) error { return nil }); err != nil {
				t.Errorf("device %d: %v", dev, err)
			}
		}
		synctest.Wait() // who got an operation's result may go on before its goroutine has
		if s := d.Stats(); s.Abandoned != 1 || s.Running != 1 {
			t.Errorf("stats %+v", s)
		}
		if err := d.Close(); !errors.Is(err, ErrStalled) {
			t.Errorf("closed with %v", err)
		}
		close(hang)
		synctest.Wait()
		if err := d.Close(); err != nil {
			t.Errorf("closed at last with %v", err)
		}
	})
}

// A device whose slots are all taken by operations that hang refuses more, in time.
func TestDeviceFullOfHangingOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := bare(t, Config{Stall: time.Second})
		hang := make(chan struct{})
		for range defaultDepth {
			go d.run(t.Context(), 1, func(*operation) error { <-hang; return nil })
		}
		synctest.Wait()
		start := time.Now()
		if err := d.run(t.Context(), 1, func(*operation) error { return nil }); !errors.Is(err, ErrStalled) {
			t.Errorf("got %v", err)
		}
		if waited := time.Since(start); waited > 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		close(hang)
		d.Close()
	})
}

// Progress restarts the stall clock, and a caller that takes its time stops it.
func TestSlowOperationIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := bare(t, Config{Stall: time.Second})
		err := d.run(t.Context(), 1, func(o *operation) error {
			for range 20 {
				time.Sleep(700 * time.Millisecond)
				if err := o.step(); err != nil {
					return err
				}
			}
			return o.tell(func() { time.Sleep(time.Minute) })
		})
		if err != nil {
			t.Error(err)
		}
		d.Close()
	})
}

// Nothing is told once the caller has gone on.
func TestAbandonedOperationTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := bare(t, Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		var told atomic.Bool
		go func() {
			time.Sleep(time.Second)
			cancel(reason)
		}()
		err := d.run(ctx, 1, func(o *operation) error {
			time.Sleep(2 * time.Second)
			return o.tell(func() { told.Store(true) })
		})
		if !errors.Is(err, reason) {
			t.Errorf("got %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if told.Load() {
			t.Error("something was told")
		}
		if err := d.run(t.Context(), 1, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// An operation that is abandoned while several goroutines tell its caller something returns after all of them, and nothing is
// told from then on.
func TestAbandonedOperationWaitsForItsSinks(t *testing.T) {
	d := bare(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var told atomic.Int32
	var ended atomic.Bool
	err := d.run(ctx, 1, func(o *operation) error {
		var sinks, telling sync.WaitGroup
		for range 2 {
			telling.Add(1)
			sinks.Go(func() {
				_ = o.tell(func() {
					telling.Done()
					for !ended.Load() && o.mu.TryRLock() { // nobody waits for this yet
						o.mu.RUnlock()
						runtime.Gosched()
					}
					told.Add(1)
				})
			})
		}
		telling.Wait()
		cancel()
		sinks.Wait()
		return o.tell(func() { told.Add(1) })
	})
	if n := told.Load(); n != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("it returned %v after %d of 2 were told", err, n)
	}
	ended.Store(true)
	if err := d.Close(); err != nil || told.Load() != 2 {
		t.Errorf("%d were told, %v", told.Load(), err)
	}
}

// No more operations run at once on a device than its depth.
func TestDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := bare(t, Config{})
		defer d.Close()
		for _, depth := range []int{1, 4, 16} {
			d.devices.get(7).share.Store(int64(deviceSlots / depth))
			var running, most atomic.Int64
			done := make(chan struct{})
			for range 40 {
				go func() {
					d.run(t.Context(), 7, func(*operation) error {
						most.Store(max(most.Load(), running.Add(1)))
						time.Sleep(time.Second)
						running.Add(-1)
						return nil
					})
					done <- struct{}{}
				}()
			}
			for range 40 {
				<-done
			}
			if most.Load() > int64(depth) {
				t.Errorf("%d at once, want %d at most", most.Load(), depth)
			}
		}
	})
}

func TestBuffersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBuffers(3*100, 100)
		o := &operation{ctx: t.Context()}
		var held [][]byte
		for range 3 {
			buf, err := b.get(o)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, buf)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.get(&operation{ctx: ctx}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a fourth buffer: %v", err)
		}
		b.put(held[0])
		if _, err := b.get(o); err != nil {
			t.Error(err)
		}
	})
}

func TestDepthFor(t *testing.T) {
	for _, tt := range []struct {
		seek, abreast time.Duration
		want          int
	}{
		{50 * time.Microsecond, 50 * time.Microsecond, 16},
		{time.Millisecond, time.Millisecond, 4},
		{8 * time.Millisecond, 25 * time.Millisecond, 1},
		{8 * time.Millisecond, 10 * time.Millisecond, 4},
	} {
		if got := depthFor(tt.seek, tt.abreast); got != tt.want {
			t.Errorf("%v, %v: %d, want %d", tt.seek, tt.abreast, got, tt.want)
		}
	}
}

func TestCalibrate(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/large", noise("x", MinProbeFile))
	write(t, dir+"/small", noise("x", 1000))
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	large, at := fileAt("large"), d.devices.get(d.scope.Device(Dir{}))
	large.Size = MinProbeFile
	if _, ok := d.Calibrate(t.Context(), fileAt("small")); ok {
		t.Error("a small file was measured")
	}
	if _, ok := d.Calibrate(t.Context(), large); ok || at.tried.Load() {
		t.Error("a file in the page cache was measured")
	}
	f, fd := openSynced(t, dir+"/large")
	defer f.Close()
	if unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) != nil {
		t.Fatal("the page cache takes no advice")
	}
	cost, ok := d.Calibrate(t.Context(), large)
	if !ok {
		t.Log("the file system of the test has no reads past its cache")
		return
	}
	t.Logf("%+v", cost)
	if known, ok := d.DeviceCost(Dir{}); !ok || known != cost || at.share.Load() != int64(deviceSlots/cost.Depth) {
		t.Errorf("known %+v, share %d", known, at.share.Load())
	}
	if _, ok := d.Calibrate(t.Context(), large); ok {
		t.Error("it was measured twice")
	}
	if cost.Seek <= 0 || cost.PerByte <= 0 || cost.Depth < 1 || cost.Depth > deviceSlots {
		t.Errorf("%+v", cost)
	}
}

func TestColdSpans(t *testing.T) {
	got := coldSpans([]byte{1, 0, 2, 1, 0xff, 0}, 8192, 4096)
	want := []span{{12288, 20480}, {28672, 32768}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
	rest := coldBeyond([]span{{0, 80}, {85, 100}, {160, 200}}, 90)
	if !slices.Equal(rest, []span{{90, 100}, {160, 200}}) {
		t.Errorf("cold beyond: %v", rest)
	}
	if n := coldUpTo([]span{{0, 80}, {85, 100}, {160, 200}}, 90); n != 85 {
		t.Errorf("%d cold, want 85", n)
	}
}

func TestNewRefuses(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	for name, cfg := range map[string]Config{
		"profile":       {Profile: recipe.Profile{Name: "odd"}},
		"hash":          {Hash: 9},
		"another index": {Index: x, Hash: recipe.SHA256},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Failures are counted by what they mean.
func TestFailuresAreCounted(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Stats
	}{
		{unix.EACCES, Stats{Denied: 1}},
		{ErrSeen, Stats{Skipped: 1}},
		{unix.EXDEV, Stats{Skipped: 1}},
		{ErrOutside, Stats{Skipped: 1}},
		{unix.EIO, Stats{Errors: 1}},
		{ErrStalled, Stats{}}, // counted where it was abandoned
	} {
		d := bare(t, Config{})
		d.countError(t.Context(), tt.err)
		if got := d.Stats(); got != tt.want {
			t.Errorf("%v: %+v", tt.err, got)
		}
	}
	d := bare(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d.countError(ctx, unix.EIO); d.Stats() != (Stats{}) {
		t.Errorf("counted although the caller ended it: %+v", d.Stats())
	}
}

// Close does not wait for what has stalled, nor long for what may.
func TestCloseBesideHangingOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		for _, stalled := range []bool{true, false} {
			d := bare(t, Config{})
			go d.run(t.Context(), 1, func(*operation) error { <-hang; return nil })
			if synctest.Wait(); stalled {
				time.Sleep(time.Minute)
			}
			start := time.Now()
			if err := d.Close(); !errors.Is(err, ErrStalled) {
				t.Errorf("closed with %v", err)
			}
			if waited := time.Since(start); stalled && waited > 0 || waited > closing {
				t.Errorf("waited %v; stalled: %v", waited, stalled)
			}
		}
		close(hang)
	})
}

// A device hangs until the operations that have stalled come back.
func TestDeviceHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, hang := bare(t, Config{}), make(chan struct{})
		if err := d.run(t.Context(), 1, func(*operation) error { <-hang; return nil }); !errors.Is(err, ErrStalled) {
			t.Error(err)
		}
		if !d.devices.get(1).hangs() || d.devices.get(2).hangs() {
			t.Error("it is not known which device hangs")
		}
		start := time.Now()
		err := d.runIn(t.Context(), 1, slots{deviceSlots, time.Hour}, func(*operation) error { return nil })
		if waited := time.Since(start); !errors.Is(err, ErrStalled) || waited > hungPatience {
			t.Errorf("%v after %v beside one that hangs", err, waited)
		}
		close(hang)
		synctest.Wait()
		if d.devices.get(1).hangs() {
			t.Error("it still hangs")
		}
	})
}
