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

	"dfetch/diskscan"
)

// running is a Run under way.
type running struct {
	t      *testing.T
	home   string
	roots  []string
	passes chan Pass

	mu      sync.Mutex
	openErr error
}

func run(t *testing.T, queue QueueConfig, roots ...string) *running {
	t.Helper()
	r := &running{t: t, home: t.TempDir(), roots: roots, passes: make(chan Pass, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		err := Run(ctx, Config{
			Open:  r.open,
			Roots: func(context.Context, *diskscan.Index) ([]string, error) { return r.roots, nil },
			Tell:  func(p Pass) { r.passes <- p },
			Queue: queue,
			Retry: time.Millisecond,
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return r
}

func (r *running) open() (*diskscan.Index, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.openErr != nil {
		return nil, r.openErr
	}
	return diskscan.OpenIndex(diskscan.IndexConfig{Dir: r.home, Wait: true}), nil
}

// lock has the index be locked by another process, or not any more.
func (r *running) lock(by error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openErr = by
}

// wantHashed waits for passes that hash this many files in all. It returns the last.
func (r *running) wantHashed(want int64) Pass {
	r.t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case p := <-r.passes:
			if want -= p.Stats.Hashed; want <= 0 {
				if want < 0 {
					r.t.Errorf("%d files too many were hashed", -want)
				}
				return p
			}
		case <-deadline:
			r.t.Fatalf("%d files were not hashed in a minute", want)
		}
	}
}

// old writes a file that has not changed for long.
func old(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(content), 0o600))
	then := time.Unix(1_500_000_000, 0)
	must(t, os.Chtimes(path, then, then))
}

var hasty = QueueConfig{Quiet: 10 * time.Millisecond, MaxQuiet: 20 * time.Millisecond}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	old(t, filepath.Join(dir, "sub/b"), "b")
	r := run(t, hasty, dir)
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
	// What moves is read at its new place, and watched there.
	must(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "moved")))
	r.wantHashed(2)
	old(t, filepath.Join(dir, "moved/deep/f"), "f")
	r.wantHashed(1)
}

// While another process has the index nothing is lost.
func TestWatchWaitsForTheIndex(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	r := run(t, hasty, dir)
	r.wantHashed(1)
	r.lock(fmt.Errorf("index: %w", diskscan.ErrLocked))
	old(t, filepath.Join(dir, "b"), "b")
	time.AfterFunc(50*time.Millisecond, func() { r.lock(nil) })
	r.wantHashed(1)
}

// What is gone is dropped when everything is listed, which is now and then.
func TestWatchListsEverything(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	old(t, filepath.Join(dir, "b"), "b")
	queue := hasty
	queue.Every = 30 * time.Millisecond
	r := run(t, queue, dir)
	r.wantHashed(2)
	must(t, os.Remove(filepath.Join(dir, "a")))
	deadline := time.After(time.Minute)
	for {
		select {
		case p := <-r.passes:
			if p.All && p.Stats.Dropped == 1 {
				return
			}
		case <-deadline:
			t.Fatal("nothing was dropped in a minute")
		}
	}
}

// An index that can't be had for another reason ends it.
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

// The index may lie in what is watched: writing it is no change.
func TestWatchLeavesTheIndexAlone(t *testing.T) {
	dir := t.TempDir()
	old(t, filepath.Join(dir, "a"), "a")
	r := run(t, hasty, dir)
	r.wantHashed(1)
	r.mu.Lock()
	home := filepath.Join(dir, "home")
	r.home = home
	r.mu.Unlock()
	old(t, filepath.Join(dir, "b"), "b")
	r.wantHashed(2) // it is another index
	old(t, filepath.Join(dir, "c"), "c")
	if p := r.wantHashed(1); slices.Contains(p.Dirs, home) {
		t.Errorf("the index's own directory was listed: %q", p.Dirs)
	}
}
