package diskscan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// UpdateConfig says what Update is to bring up to date.
type UpdateConfig struct {
	Index *Index   // should have Wait set, or it may miss what it is too slow for
	Roots []string // absolute paths
	// Dirs are directories in the roots that are listed instead of these. Nothing is dropped then. nil: the roots are.
	Dirs []string
	// Enter is asked about each directory that a listing shows, with the inode that it shows, which is 0 if it does not
	// tell; one is left out if it says no. nil: none is.
	Enter func(path string, ino uint64) bool
	// Opened is told of each directory before it is listed, while it is open; nil for no one.
	Opened func(path string, fd int)
	// Young is told of each directory with files that changed a moment ago, and are left; nil for no one.
	Young func(path string)
	// Hashers is how many files are read at once; zero or negative is the number of processors, and at least two.
	Hashers int
	// Progress is told of each file that was hashed, by several goroutines; nil for no one.
	Progress func(path string, bytes int64)
}

// UpdateStats are what an Update did.
type UpdateStats struct {
	Files   int64 // in the directories, not empty
	Known   int64 // of these, unchanged since they were indexed
	Hashed  int64
	Bytes   int64 // of the hashed ones
	Dropped int64 // versions of files that are gone
	Young   int64 // changed within the last two seconds: left for the next time
	Left    int64 // not noted, since the index is full
	Errors  int64 // directories and files that could not be read
	Refused []Refusal
}

// Update lists directories, hashes the files there that the index does not know as they are, and drops what
// it knows of files below the directories that are gone. Files that changed within the last two seconds are
// not noted, and nothing is once the index is full; what can't be noted is not read, nor is what the index
// itself lies in.
func Update(ctx context.Context, cfg UpdateConfig) (UpdateStats, error) {
	scope := OpenScope(ctx, ScopeConfig{Roots: cfg.Roots})
	defer scope.Close()
	d, err := New(Config{Scope: scope, Index: cfg.Index, Profile: cfg.Index.cfg.Profile, Hash: cfg.Index.cfg.Hash, Opened: cfg.Opened})
	if err != nil {
		return UpdateStats{}, err
	}
	u := &update{cfg: cfg, d: d, own: cfg.Index.realDir()}
	err = u.run(ctx)
	st := UpdateStats{
		Files: u.files.Load(), Known: u.known.Load(), Hashed: u.hashed.Load(), Bytes: u.bytes.Load(),
		Dropped: u.dropped.Load(), Young: u.young.Load(), Left: u.left.Load(), Errors: u.failed.Load(), Refused: scope.Refused(),
	}
	return st, errors.Join(err, d.Close())
}

// update is one Update under way.
type update struct {
	cfg UpdateConfig
	d   *Disk
	own string // the index's own directory, which changes by being written to

	files, known, young, left, hashed, bytes, dropped, failed atomic.Int64
}

func (u *update) run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	work := make(chan File, 256)
	g.Go(func() error {
		defer close(work)
		return u.walk(gctx, work)
	})
	hashers := u.cfg.Hashers
	if hashers <= 0 {
		hashers = max(2, processors())
	}
	for range hashers {
		g.Go(func() error { return u.hashAll(gctx, work) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := u.cfg.Index.Sync(ctx); err != nil || u.cfg.Dirs != nil {
		return err
	}
	return u.dropGone(ctx)
}

// walk lists the directories, depth first, and sends the files that are to be hashed.
func (u *update) walk(ctx context.Context, work chan<- File) error {
	todo := u.starts()
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		more, err := u.list(ctx, dir, work)
		if err != nil {
			return err
		}
		todo = append(todo, slices.DeleteFunc(more, func(below Dir) bool { return !u.enters(below) })...)
	}
	return nil
}

// starts are the directories that the listing begins with.
func (u *update) starts() []Dir {
	dirs := u.d.scope.Starts()
	if u.cfg.Dirs != nil {
		dirs = nil
		for _, path := range u.cfg.Dirs {
			if dir, ok := u.d.scope.locateDir(path); ok {
				dirs = append(dirs, dir)
			}
		}
	}
	return slices.DeleteFunc(dirs, u.isOwn)
}

// enters says whether a directory that was found is to be listed.
func (u *update) enters(dir Dir) bool {
	return !u.isOwn(dir) && (u.cfg.Enter == nil || u.cfg.Enter(u.d.scope.Path(dir), dir.Ino))
}

// isOwn says whether a directory is the index's own, or lies in it.
func (u *update) isOwn(dir Dir) bool {
	path := u.d.scope.Path(dir)
	return u.own != "" && (path == u.own || within(path, u.own))
}

// list goes through one directory; the error is that of the context.
func (u *update) list(ctx context.Context, dir Dir, work chan<- File) (dirs []Dir, err error) {
	for from := int64(0); ; {
		res, err := u.d.Stat(ctx, dir, from)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil && !isSkipped(err) && !errors.Is(err, fs.ErrNotExist) {
			u.failed.Add(1)
		}
		dirs = append(dirs, res.Dirs...)
		for _, fi := range res.Files {
			if err := u.send(ctx, work, &res, fi); err != nil {
				return nil, err
			}
		}
		if from = res.Next; from == 0 || err != nil {
			return dirs, nil
		}
	}
}

func (u *update) send(ctx context.Context, work chan<- File, res *StatResult, fi FileInfo) error {
	u.files.Add(1)
	f := res.File(fi)
	st := stamp{fs: u.d.scope.roots[f.Dir.Root].fs, ino: fi.Ino, size: fi.Size, mtime: fi.MTime, ctime: fi.CTime}
	if u.cfg.Index.holds(u.d.scope.FilePath(f), st) {
		u.known.Add(1)
		return nil
	}
	switch {
	case u.cfg.Index.isYoung(fi.MTime):
		u.young.Add(1)
		if u.cfg.Young != nil && !u.cfg.Index.isFuture(fi.MTime) {
			u.cfg.Young(u.d.scope.Path(f.Dir))
		}
		return nil
	case u.cfg.Index.Full():
		u.left.Add(1)
		return nil
	}
	select {
	case work <- f:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hashAll hashes the files that come; the error is that of the context.
func (u *update) hashAll(ctx context.Context, work <-chan File) error {
	for f := range work {
		if u.cfg.Index.Full() {
			u.left.Add(1)
			continue
		}
		var at HashState
		for {
			res, err := u.d.Hash(ctx, f, at, nil, nil)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			u.bytes.Add(res.Bytes)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				u.failed.Add(1)
			}
			if at = res.Next; res.Done {
				break
			}
		}
		u.hashed.Add(1)
		if u.cfg.Progress != nil {
			u.cfg.Progress(u.d.scope.FilePath(f), f.Size)
		}
	}
	return nil
}

// dropGone drops the versions of files below the directories that are not what they were.
func (u *update) dropGone(ctx context.Context) error {
	err := u.cfg.Index.dropFiles(ctx, func(row *fileRow) bool {
		f, below := u.d.scope.locate(row.path)
		if !below {
			return false
		}
		_, err := u.d.confirmFile(ctx, f, row.stamp)
		if gone := isGone(err); gone {
			u.dropped.Add(1)
			return true
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("index: %w", err)
	}
	return u.cfg.Index.Sync(ctx)
}
