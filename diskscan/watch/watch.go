package watch

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dfetch/diskscan"
)

// Config says what is watched. Open, Roots and Tell must be set.
type Config struct {
	// Open opens the index for one pass; diskscan.ErrLocked is tried again after Retry.
	Open func() (*diskscan.Index, error)
	// Roots are the directories to be kept up to date, absolute and without symlinks.
	Roots func(context.Context, *diskscan.Index) ([]string, error)
	// Tell is told what each pass did.
	Tell func(Pass)
	// Trouble is told of errors after the first pass, whose own error ends Run; nil for no one. What fails is tried
	// again after twelve times Retry.
	Trouble func(error)
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

// afterTrouble is how many times Retry nothing is done when something went wrong.
const afterTrouble = 12

// watcher is one Run.
type watcher struct {
	cfg   Config
	kern  *notifier
	known map[string]bool // roots that were listed
	rows  string          // where the index's rows lie: a change there may be a root more
	begun bool            // a pass went well
	full  bool            // the index takes nothing new until everything is listed next
	woken chan struct{}   // something changed, after nothing had

	mu    sync.Mutex
	queue *Queue
	roots []string
	quiet bool // no directory is known to have changed
}

// Run keeps the index up to date until the context ends, which is no error.
func Run(ctx context.Context, cfg Config) error {
	w, err := newWatcher(cfg)
	if err != nil {
		return err
	}
	return w.run(ctx)
}

func newWatcher(cfg Config) (*watcher, error) {
	kern, err := newNotifier()
	cfg.Retry = cmp.Or(cfg.Retry, 5*time.Second)
	return &watcher{cfg: cfg, kern: kern, known: map[string]bool{}, woken: make(chan struct{}, 1), queue: NewQueue(cfg.Queue), quiet: true}, err
}

func (w *watcher) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return w.kern.Listen(w) })
	g.Go(func() error {
		defer w.kern.Close()
		return w.loop(ctx)
	})
	return g.Wait()
}

// Changed implements hears.
func (w *watcher) Changed(dir string) { w.note(func(q *Queue) { q.Note(dir, time.Now()) }) }

// Made implements hears. The sooner it is watched, the less is found by listing alone.
func (w *watcher) Made(dir string) {
	if !diskscan.IsStaging(filepath.Base(dir)) {
		w.kern.Add(dir)
		w.Changed(dir)
	}
}

// Gone implements hears. Of other directories those tell that they lie in.
func (w *watcher) Gone(dir string) {
	w.mu.Lock()
	isRoot := slices.Contains(w.roots, dir)
	w.mu.Unlock()
	if isRoot {
		w.Changed(dir)
	}
}

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
			err := w.pass(ctx)
			if ctx.Err() != nil || w.ends(err) {
				return err
			}
			wait = w.after(err)
		}
		if !w.sleep(ctx, wait) {
			return nil
		}
	}
}

// ends says whether what a pass ended with ends the watcher: only the first one's trouble does.
func (w *watcher) ends(err error) bool {
	if err == nil {
		w.begun = true
	}
	return !w.begun && !errors.Is(err, diskscan.ErrLocked)
}

// after is how long to wait after a pass.
func (w *watcher) after(err error) time.Duration {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, diskscan.ErrLocked):
		return w.cfg.Retry
	}
	w.fails(err)
	return afterTrouble * w.cfg.Retry
}

// fails tells of an error. What the pass took may not be done, so everything is listed anew.
func (w *watcher) fails(err error) {
	if w.cfg.Trouble != nil {
		w.cfg.Trouble(err)
	}
	w.Lost()
}

// sleep waits until something may be due; false when the context ended.
func (w *watcher) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-w.woken:
	}
	return true
}

// wait is how long nothing is due. While nothing changes, the next listing of everything is waited for.
func (w *watcher) wait(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.queue.Next()
	if w.full {
		next = w.queue.NextSweep()
	}
	if w.quiet = w.queue.Idle(); w.quiet || !now.Before(next) {
		return next.Sub(now)
	}
	return min(tick, next.Sub(now))
}

// pass opens the index and updates what is due. If the context ends, the error is what closing the index gave.
func (w *watcher) pass(ctx context.Context) error {
	x, err := w.cfg.Open()
	if err != nil {
		return err
	}
	roots, err := w.cfg.Roots(ctx, x)
	if err == nil {
		err = w.update(ctx, x, roots)
	}
	ended := errors.Join(x.Close(), x.Trouble())
	if ctx.Err() != nil {
		return ended
	}
	return errors.Join(err, ended)
}

// update updates everything, or the directories that are due.
func (w *watcher) update(ctx context.Context, x *diskscan.Index, roots []string) error {
	start := time.Now()
	w.setRoots(x, roots)
	dirs, all := w.take(start, roots)
	if !all && len(dirs) == 0 {
		return nil
	}
	cfg := diskscan.UpdateConfig{Index: x, Roots: roots, Dirs: dirs, Progress: w.cfg.Progress, Enter: w.kern.Add, Young: w.Changed}
	if all {
		w.kern.BeginTurn()
		cfg.Enter = func(dir string) bool {
			w.kern.Add(dir)
			return true
		}
	}
	if len(w.known) > 0 {
		cfg.Hashers = 1 // nobody waits for it
	}
	w.kern.Add(w.rows)
	st, err := diskscan.Update(ctx, cfg)
	if err != nil {
		return err
	}
	w.updated(roots, &st)
	if all {
		w.kern.EndTurn()
		now := time.Now()
		w.note(func(q *Queue) { q.EndSweep(now, now.Sub(start)) })
	}
	w.cfg.Tell(Pass{All: all, Dirs: dirs, Stats: st, Unwatched: w.kern.Full()})
	return nil
}

// setRoots takes in which directories are kept up to date. When one is no more, everything is listed anew, so that it is not
// watched.
func (w *watcher) setRoots(x *diskscan.Index, roots []string) {
	w.rows = x.RowsDir()
	gone := false
	for root := range w.known {
		if !slices.Contains(roots, root) {
			delete(w.known, root)
			gone = true
		}
	}
	w.mu.Lock()
	w.roots = roots
	w.mu.Unlock()
	if gone {
		w.Lost()
	}
}

// updated takes in what an update did.
func (w *watcher) updated(roots []string, st *diskscan.UpdateStats) {
	w.full = st.Left > 0
	for _, root := range roots {
		refused := func(r diskscan.Refusal) bool { return r.Path == root }
		if !slices.ContainsFunc(st.Refused, refused) {
			w.known[root] = true
		}
	}
}

// take decides what an update lists: everything, for which dirs is nil, or what is due and the roots that are new.
func (w *watcher) take(now time.Time, roots []string) (dirs []string, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue.SweepDue(now) {
		w.queue.BeginSweep()
		return nil, true
	}
	dirs = slices.DeleteFunc(w.queue.Take(now, batch), func(dir string) bool { return dir == w.rows })
	for _, root := range roots {
		if !w.known[root] {
			dirs = append(dirs, root)
		}
	}
	return dirs, false
}
