package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/diskscan"
)

// running is a watcher under way, with an index that has no roots of its own.
type running struct {
	*watcher

	t      *testing.T
	passes chan Pass
	failed chan error

	refused chan struct{} // opening the index failed

	set     sync.Mutex
	home    string
	keeps   []string // the roots
	max     int64    // bytes of the index; 0: as usual
	openErr error
}

// start makes a watcher and runs it until the test ends.
func start(t *testing.T, queue QueueConfig, roots ...string) *running {
	t.Helper()
	r := prepare(t, queue, roots...)
	r.begin()
	return r
}

func prepare(t *testing.T, queue QueueConfig, roots ...string) *running {
	t.Helper()
	r := &running{t: t, home: t.TempDir(), keeps: roots, passes: make(chan Pass, 10_000), failed: make(chan error, 10_000), refused: make(chan struct{}, 1)}
	w, err := newWatcher(Config{
		Open:    r.open,
		Roots:   func(context.Context, *diskscan.Index) ([]string, error) { return r.rooted(), nil },
		Tell:    func(p Pass) { r.passes <- p },
		Trouble: func(err error) { r.failed <- err },
		Queue:   queue,
		Retry:   time.Millisecond,
	})
	must(t, err)
	r.watcher = w
	return r
}

// begin runs the watcher until the test ends, or end is called.
func (r *running) begin() (end func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	end = func() {
		cancel()
		wg.Wait()
	}
	r.t.Cleanup(end)
	return end
}

func (r *running) rooted() []string {
	r.set.Lock()
	defer r.set.Unlock()
	return r.keeps
}

func (r *running) open() (*diskscan.Index, error) {
	r.set.Lock()
	defer r.set.Unlock()
	if r.openErr != nil {
		select {
		case r.refused <- struct{}{}:
		default:
		}
		return nil, r.openErr
	}
	return diskscan.OpenIndex(diskscan.IndexConfig{Dir: r.home, Wait: true, Max: r.max}), nil
}

// refuse has opening the index fail.
func (r *running) refuse(err error) {
	r.set.Lock()
	defer r.set.Unlock()
	r.openErr = err
}

// root changes what is kept up to date, and touches the index as the command does that changes it.
func (r *running) root(dirs ...string) {
	r.set.Lock()
	r.keeps = dirs
	r.set.Unlock()
	must(r.t, os.WriteFile(filepath.Join(r.home, "rows", "touched"), nil, 0o600))
}

// wantPass waits for a pass of a kind.
func (r *running) wantPass(what string, is func(Pass) bool) Pass {
	r.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case p := <-r.passes:
			if is(p) {
				return p
			}
		case <-deadline:
			r.t.Fatalf("%s: no such pass in a minute", what)
		}
	}
}

// wantHashed waits for passes that hash this many files in all. It returns the last.
func (r *running) wantHashed(want int64) Pass {
	r.t.Helper()
	last := r.wantPass(fmt.Sprintf("hashes %d files", want), func(p Pass) bool {
		want -= p.Stats.Hashed
		return want <= 0
	})
	if want < 0 {
		r.t.Errorf("%d files too many were hashed", -want)
	}
	return last
}

// old writes a file that has not changed for long.
func old(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	made := filepath.Join(t.TempDir(), "made") // nobody sees it while it is young
	must(t, os.WriteFile(made, []byte(content), 0o600))
	then := time.Unix(1_500_000_000, 0)
	must(t, os.Chtimes(made, then, then))
	must(t, os.Rename(made, path))
}

var hasty = QueueConfig{Quiet: 10 * time.Millisecond, MaxQuiet: 20 * time.Millisecond}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	old(t, filepath.Join(dir, "sub/b"), "b")
	r := start(t, hasty, dir)
	if p := r.wantHashed(2); !p.All || p.Unwatched != nil {
		t.Errorf("the first pass: %+v", p)
	}
	old(t, filepath.Join(dir, "sub/c"), "c")
	if p := r.wantHashed(1); p.All || !slices.Contains(p.Dirs, filepath.Join(dir, "sub")) {
		t.Errorf("a new file: %+v", p)
	}
	// What is new below a directory is listed as deep as it is, and watched.
	old(t, filepath.Join(dir, "new/deep/d"), "d")
	r.wantHashed(1)
	old(t, filepath.Join(dir, "new/deep/e"), "e")
	if p := r.wantHashed(1); slices.Contains(p.Dirs, dir) {
		t.Errorf("in a new directory: %+v", p)
	}
	old(t, filepath.Join(dir, "new/g"), "g")
	r.wantHashed(1)
	// What moves is read at its new place, and watched there.
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "moved")))
	r.wantHashed(3)
	old(t, filepath.Join(dir, "moved/deep/f"), "f")
	r.wantHashed(1)
	old(t, filepath.Join(dir, "moved/h"), "h")
	r.wantHashed(1)
}

// A directory may be due together with the one that it lies in, in either order.
func TestWatchOfADirectoryAndItsParent(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	for _, first := range []string{dir, sub} {
		must(t, os.RemoveAll(sub))
		r := prepare(t, hasty, dir)
		must(t, r.pass(t.Context()))
		old(t, filepath.Join(sub, "f"), "f")
		then := time.Now().Add(-time.Minute)
		r.queue.Note(first, then.Add(-time.Second))
		r.queue.Note(dir, then)
		r.queue.Note(sub, then)
		must(t, r.pass(t.Context()))
		if !r.kern.Has(sub) || !r.kern.Has(dir) {
			t.Errorf("not both are watched, with %s first", first)
		}
		must(t, r.kern.Close())
	}
}

// While another process has the index nothing is lost.
func TestWatchWaitsForTheIndex(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	r := start(t, hasty, dir)
	r.wantHashed(1)
	r.refuse(fmt.Errorf("index: %w", diskscan.ErrLocked))
	old(t, filepath.Join(dir, "b"), "b")
	for range 2 {
		select {
		case <-r.refused:
		case <-time.After(time.Minute):
			t.Fatal("not opened in a minute")
		}
	}
	r.refuse(nil)
	r.wantHashed(1)
}

// What is gone is dropped when everything is listed, which is now and then.
func TestWatchListsEverything(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	old(t, filepath.Join(dir, "b"), "b")
	r := start(t, often(), dir)
	r.wantHashed(2)
	must(t, os.Remove(filepath.Join(dir, "a")))
	r.wantPass("drops one", func(p Pass) bool { return p.All && p.Stats.Dropped == 1 })
}

// often lists everything all the time.
func often() QueueConfig {
	q := hasty
	q.Every = 20 * time.Millisecond
	return q
}

// Where the kernel tells nothing, listing everything finds what changed, however deep.
func TestWatchWithoutTheKernel(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "sub/deep/a"), "a")
	r := prepare(t, often(), dir)
	r.kern.ask = func(int) (int32, error) { return 0, unix.ENOSPC }
	r.begin()
	if p := r.wantHashed(1); !errors.Is(p.Unwatched, unix.ENOSPC) {
		t.Errorf("not said: %v", p.Unwatched)
	}
	old(t, filepath.Join(dir, "sub/deep/b"), "b")
	if p := r.wantHashed(1); !p.All {
		t.Errorf("found by %+v", p)
	}
}

// A file that is too young to be noted is looked at again, though it does not change any more.
func TestWatchComesBackForYoungFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "young"), []byte("x"), 0o600))
	r := start(t, hasty, dir)
	r.wantHashed(1) // at once, should this machine be so slow that it is old by now
}

// One from the future would be for ever young: it is left to the listing of everything.
func TestWatchLeavesTheFuture(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "f"), "x")
	then := time.Now().Add(time.Hour)
	must(t, os.Chtimes(filepath.Join(dir, "f"), then, then))
	r := start(t, hasty, dir)
	r.wantPass("leaves it", func(p Pass) bool { return p.All && p.Stats.Young == 1 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.queue.Idle() {
		t.Errorf("%v is to be read again", r.queue.dirty)
	}
}

func TestWatchTakesMoreRoots(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	old(t, filepath.Join(first, "a"), "a")
	old(t, filepath.Join(second, "sub/b"), "b")
	r := start(t, hasty, first)
	r.wantHashed(1)
	r.root(first, second)
	if p := r.wantHashed(1); p.All {
		t.Errorf("found by %+v", p)
	}
	old(t, filepath.Join(second, "sub/c"), "c")
	r.wantHashed(1)
	// What is kept no more is not watched any more.
	r.root(first)
	r.wantPass("everything", func(p Pass) bool { return p.All })
	if r.kern.Has(second) || r.kern.Has(filepath.Join(second, "sub")) || !r.kern.Has(first) {
		t.Errorf("%d are watched", r.kern.count())
	}
}

// A root that is not there is taken when it is.
func TestWatchWaitsForARoot(t *testing.T) {
	dir, late := t.TempDir(), filepath.Join(t.TempDir(), "late")
	old(t, filepath.Join(dir, "a"), "a")
	r := start(t, hasty, dir, late)
	if p := r.wantHashed(1); len(p.Stats.Refused) != 1 {
		t.Errorf("%+v", p)
	}
	old(t, filepath.Join(late, "b"), "b")
	old(t, filepath.Join(dir, "c"), "c")
	r.wantHashed(2)
	old(t, filepath.Join(late, "d"), "d")
	r.wantHashed(1)
}

// Another directory may come to be where a root was.
func TestWatchReplacedRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	old(t, filepath.Join(dir, "sub/a"), "a")
	r := start(t, hasty, dir)
	r.wantHashed(1)
	next := dir + ".next"
	old(t, filepath.Join(next, "sub/b"), "b")
	must(t, os.Rename(dir, dir+".before"))
	r.wantPass("finds none", func(p Pass) bool { return len(p.Stats.Refused) == 1 })
	must(t, os.Rename(next, dir))
	r.wantHashed(1)
	old(t, filepath.Join(dir, "sub/c"), "c")
	r.wantHashed(1)
}

// What goes wrong after the first pass is told, and tried again after a while, as long as it lasts and whatever changes.
func TestWatchGoesOnAfterTrouble(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	r := prepare(t, hasty, dir)
	r.cfg.Retry = 2 * time.Millisecond
	r.begin()
	r.wantHashed(1)
	broken := errors.New("broken")
	begun := time.Now()
	r.refuse(broken)
	old(t, filepath.Join(dir, "b"), "b")
	for range 5 {
		select {
		case err := <-r.failed:
			if !errors.Is(err, broken) {
				t.Errorf("told of %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing told in a minute")
		}
	}
	if took, want := time.Since(begun), 4*afterTrouble*r.cfg.Retry; took < want {
		t.Errorf("four retries within %v, want %v at least", took, want)
	}
	r.refuse(nil)
	r.wantHashed(1)
}

// What a pass may not have done is found by listing everything. A locked index has left nothing undone.
func TestWatchAfterTrouble(t *testing.T) {
	told := 0
	w, err := newWatcher(Config{Retry: time.Second, Trouble: func(error) { told++ }})
	must(t, err)
	defer w.kern.Close()
	broken, locked := errors.New("broken"), fmt.Errorf("index: %w", diskscan.ErrLocked)
	if w.ends(locked) || !w.ends(broken) || w.ends(nil) || w.ends(broken) {
		t.Error("another pass than the first ends it")
	}
	w.queue.EndSweep(time.Now(), 0)
	next := w.queue.NextSweep()
	if wait := w.after(nil); wait != 0 {
		t.Errorf("waits for %v after all went well", wait)
	}
	if wait := w.after(locked); wait != time.Second || told != 0 || !w.queue.NextSweep().Equal(next) {
		t.Errorf("waits for %v when it is locked", wait)
	}
	if wait := w.after(broken); wait != afterTrouble*time.Second || told != 1 || !w.queue.NextSweep().Before(next) {
		t.Errorf("waits for %v after trouble, told %d times, next at %v", wait, told, w.queue.NextSweep())
	}
}

// An index that can't be had to begin with ends it.
func TestWatchFails(t *testing.T) {
	broken := errors.New("broken")
	err := Run(t.Context(), Config{
		Open: func() (*diskscan.Index, error) { return nil, broken },
		Tell: func(Pass) { t.Error("a pass") },
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// The index may lie in what is watched, or be it: writing it is no change.
func TestWatchLeavesTheIndexAlone(t *testing.T) {
	dir := t.TempDir()
	home := filepath.Join(dir, "home")
	for _, roots := range [][]string{{dir}, {dir, filepath.Join(home, "rows")}} {
		must(t, os.RemoveAll(home))
		old(t, filepath.Join(dir, "a"), "a")
		r := prepare(t, often(), roots...)
		r.home = home
		end := r.begin()
		r.wantHashed(1)
		for range 5 {
			p := r.wantPass("everything", func(p Pass) bool { return p.All })
			if p.Stats.Files != 1 || r.kern.Has(home) {
				t.Fatalf("the index is listed: %+v", p.Stats)
			}
		}
		end()
	}
}

// An index that has just become full is left alone too: it is rewritten each time it is closed.
func TestWatchOfAnIndexThatGetsFull(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	r := prepare(t, hasty, dir)
	defer r.kern.Close()
	r.max = 1000
	for i := range 40 {
		old(t, filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint(i))
	}
	must(t, r.pass(t.Context()))
	r.Changed(dir)
	if wait := r.wait(time.Now().Add(time.Minute)); !r.full || wait <= 0 {
		t.Errorf("full is %t, waits for %v: %+v", r.full, wait, <-r.passes)
	}
}

// A full index is left alone until everything is listed next.
func TestWatchOfAFullIndex(t *testing.T) {
	dir := t.TempDir()
	w, err := newWatcher(Config{})
	must(t, err)
	defer w.kern.Close()
	now := time.Now()
	w.queue.EndSweep(now, time.Second)
	w.queue.Note(dir, now)
	if wait := w.wait(now.Add(time.Minute)); wait > 0 {
		t.Errorf("waits for %v with something due", wait)
	}
	w.full = true
	if wait := w.wait(now.Add(time.Minute)); wait <= 0 {
		t.Error("makes a pass for nothing")
	}
	if wait := w.wait(now.Add(time.Hour)); wait > 0 {
		t.Errorf("waits for %v with everything due", wait)
	}
}

func TestWatchLeavesStagingAlone(t *testing.T) {
	w, err := newWatcher(Config{})
	must(t, err)
	defer w.kern.Close()
	staging := filepath.Join(t.TempDir(), ".dfetch")
	must(t, os.Mkdir(staging, 0o700))
	if w.Made(staging); !w.queue.Idle() {
		t.Error("staging is to be read")
	}
	if w.Made(filepath.Dir(staging)); w.queue.Idle() {
		t.Error("a directory is not to be read")
	}
}
