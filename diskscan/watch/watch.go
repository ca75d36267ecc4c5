package watch

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dfetch/diskscan"
)

// Config says what is watched. Open, Roots and Tell must be set.
type Config struct {
	// Open opens the index for one pass; diskscan.ErrLocked is tried again, any other error ends Run.
	Open func() (*diskscan.Index, error)
	// Roots are the directories to be kept up to date, absolute and without symlinks.
	Roots func(context.Context, *diskscan.Index) ([]string, error)
	// Tell is told what each pass did.
	Tell func(Pass)
	// Progress is told of each file that was hashed; nil for no one.
	Progress func(path string, bytes int64)
	Queue    QueueConfig
	// Retry is how long a locked index is left alone; zero is 5 s.
	Retry time.Duration
}

// Pass is what one pass did.
type Pass struct {
	All   bool     // everything was listed
	Dirs  []string // otherwise: what was
	Stats diskscan.UpdateStats
	// Unwatched is why changes of some directories are not told of; nil if they are.
	Unwatched error
}

// batch bounds the directories of one pass.
const batch = 1024

// tick is how often it is looked whether something is due while directories change.
const tick = time.Second

// watcher is one Run.
type watcher struct {
	cfg   Config
	kern  *notifier
	known map[string]bool // roots that were listed
	woken chan struct{}   // something changed, after nothing had

	mu    sync.Mutex
	queue *Queue
	quiet bool // no directory is known to have changed
}

// Run keeps the index up to date until the context ends, which is no error.
func Run(ctx context.Context, cfg Config) error {
	kern, err := newNotifier()
	if err != nil {
		return err
	}
	cfg.Retry = cmp.Or(cfg.Retry, 5*time.Second)
	w := &watcher{cfg: cfg, kern: kern, known: map[string]bool{}, woken: make(chan struct{}, 1), queue: NewQueue(cfg.Queue), quiet: true}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return kern.Listen(w) })
	g.Go(func() error {
		defer kern.Close()
		return w.loop(gctx)
	})
	if err := g.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// Changed implements hears.
func (w *watcher) Changed(dir string) { w.note(func(q *Queue) { q.Note(dir, time.Now()) }) }

// Lost implements hears.
func (w *watcher) Lost() { w.note(func(q *Queue) { q.NoteAll(time.Now()) }) }

func (w *watcher) note(what func(*Queue)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what(w.queue)
	if w.quiet {
		w.quiet = false
		select {
		case w.woken <- struct{}{}:
		default:
		}
	}
}

// loop makes passes until the context ends.
func (w *watcher) loop(ctx context.Context) error {
	for {
		wait := w.wait(time.Now())
		if wait <= 0 {
			var err error
			if wait, err = w.pass(ctx); err != nil {
				return err
			}
		}
		if err := w.sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// sleep waits until something may be due.
func (w *watcher) sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	case <-w.woken:
	}
	return nil
}

// wait is how long nothing is due. While nothing changes, the next listing of everything is waited for.
func (w *watcher) wait(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.queue.Next()
	if w.quiet = w.queue.Idle(); w.quiet || !now.Before(next) {
		return next.Sub(now)
	}
	return min(tick, next.Sub(now))
}

// pass opens the index and updates what is due. It says how long to wait.
func (w *watcher) pass(ctx context.Context) (time.Duration, error) {
	x, err := w.cfg.Open()
	if errors.Is(err, diskscan.ErrLocked) {
		return w.cfg.Retry, nil
	}
	if err != nil {
		return 0, err
	}
	roots, err := w.cfg.Roots(ctx, x)
	if err == nil {
		err = w.update(ctx, x, roots)
	}
	return 0, errors.Join(err, x.Close(), x.Trouble())
}

// update updates everything, or the directories that are due.
func (w *watcher) update(ctx context.Context, x *diskscan.Index, roots []string) error {
	start := time.Now()
	cfg := diskscan.UpdateConfig{Index: x, Roots: roots, Progress: w.cfg.Progress, Enter: w.kern.Add}
	all := w.take(start, &cfg)
	if all {
		cfg.Enter = func(dir string) bool {
			w.kern.Add(dir)
			return true
		}
	}
	if len(w.known) > 0 {
		cfg.Hashers = 1 // nobody waits for it
	}
	st, err := diskscan.Update(ctx, cfg)
	if err != nil {
		return err
	}
	for _, root := range roots {
		w.known[root] = true
	}
	if all {
		now := time.Now()
		w.mu.Lock()
		w.queue.EndSweep(now, now.Sub(start))
		w.mu.Unlock()
	}
	w.cfg.Tell(Pass{All: all, Dirs: cfg.Dirs, Stats: st, Unwatched: w.kern.Full()})
	return nil
}

// take decides what an update lists: everything, or what is due and the roots that are new.
func (w *watcher) take(now time.Time, cfg *diskscan.UpdateConfig) (all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue.SweepDue(now) {
		w.queue.BeginSweep()
		return true
	}
	cfg.Dirs = append([]string{}, w.queue.Take(now, batch)...) // not nil, which would be everything
	for _, root := range cfg.Roots {
		if !w.known[root] {
			cfg.Dirs = append(cfg.Dirs, root)
		}
	}
	return false
}
