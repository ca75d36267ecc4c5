package watch

import (
	"cmp"
	"context"
	"errors"
	"os"
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
	full  bool            // the index takes nothing new: it is left alone until everything is listed next
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

// Made implements hears. The directory above it may change all the time, and be read late.
func (w *watcher) Made(dir string) {
	if !diskscan.IsStaging(filepath.Base(dir)) {
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
		wait, woken := w.wait(time.Now()), w.woken
		if wait <= 0 {
			err := w.pass(ctx)
			if ctx.Err() != nil || w.ends(err) {
				return err
			}
			if wait = w.after(err); err != nil {
				woken = nil // whatever changes
			}
		}
		if !sleep(ctx, wait, woken) {
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

// sleep waits until something may be due, or the channel says so; false when the context ended.
func sleep(ctx context.Context, wait time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-woken:
	}
	return true
}

// wait is how long nothing is due. While nothing changes, the next listing of everything is waited for.
func (w *watcher) wait(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.full {
		w.quiet = false
		return w.queue.NextSweep().Sub(now)
	}
	next := w.queue.Next()
	if w.quiet = w.queue.Idle(); w.quiet || !now.Before(next) {
		return next.Sub(now)
	}
	return min(tick, next.Sub(now))
}

// pass opens the index and updates what is due. If the context ends, the error is what closing the index gave.
func (w *watcher) pass(ctx context.Context) error {
	start := time.Now()
	x, err := w.cfg.Open()
	if ctx.Err() != nil && err != nil {
		return nil
	}
	if err != nil {
		return err
	}
	roots, err := w.cfg.Roots(ctx, x)
	all := false
	if err == nil {
		all, err = w.update(ctx, x, roots)
	}
	ended := errors.Join(x.Close(), x.Trouble())
	if ctx.Err() != nil {
		return ended
	}
	if err = errors.Join(err, ended); err == nil {
		w.ended(start, all)
	}
	return err
}

// ended notes that a pass went well.
func (w *watcher) ended(start time.Time, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.queue.EndRead(now)
	if all {
		w.queue.EndSweep(now, now.Sub(start))
	}
}

// update updates everything, or the directories that are due.
func (w *watcher) update(ctx context.Context, x *diskscan.Index, roots []string) (all bool, err error) {
	w.setRoots(x, roots)
	dirs, all := w.take(time.Now(), roots)
	if !all && len(dirs) == 0 {
		return false, nil
	}
	cfg := diskscan.UpdateConfig{
		Index: x, Roots: roots, Dirs: dirs, Progress: w.cfg.Progress, Enter: w.kern.Found, Opened: w.kern.Add, Young: w.Changed,
	}
	if all {
		w.kern.BeginTurn()
		cfg.Enter = func(dir string, ino uint64) bool {
			w.kern.Found(dir, ino)
			return true
		}
	}
	if len(w.known) > 0 {
		cfg.Hashers = 1 // nobody waits for it
	}
	w.watchRows()
	st, err := diskscan.Update(ctx, cfg)
	if err != nil {
		return all, err
	}
	w.full = st.Left > 0 || x.Full()
	w.updated(roots, &st)
	if all {
		w.kern.EndTurn()
	}
	w.cfg.Tell(Pass{All: all, Dirs: dirs, Stats: st, Unwatched: w.kern.Full()})
	return all, nil
}

// watchRows watches what changes when another command changes the index.
func (w *watcher) watchRows() {
	if dir, err := os.Open(w.rows); err == nil {
		w.kern.Add(w.rows, int(dir.Fd()))
		dir.Close()
	}
}

// setRoots takes in which directories are kept up to date. When one is no more, everything is listed anew, so that it is not
// watched.
func (w *watcher) setRoots(x *diskscan.Index, roots []string) {
	w.rows = x.RowsDir()
	gone := false
	for root, listed := range w.known {
		if !slices.Contains(roots, root) {
			delete(w.known, root)
			gone = gone || listed
		}
	}
	w.mu.Lock()
	w.roots = roots
	w.mu.Unlock()
	if gone {
		w.Lost()
	}
}

// updated takes in which roots were listed. One that could not be is due again, since nothing may tell when it can.
func (w *watcher) updated(roots []string, st *diskscan.UpdateStats) {
	for _, root := range roots {
		refused := func(r diskscan.Refusal) bool { return r.Path == root }
		if w.known[root] = !slices.ContainsFunc(st.Refused, refused); !w.known[root] {
			w.Changed(root)
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
	dirs = slices.DeleteFunc(slices.Clone(w.queue.Take(now, batch)), func(dir string) bool { return dir == w.rows })
	for _, root := range roots {
		if !w.known[root] && !slices.Contains(dirs, root) {
			dirs = append(dirs, root)
		}
	}
	return dirs, false
}
