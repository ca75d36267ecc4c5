package diskscan

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// maxOpening bounds the directories that are being opened at one time.
const maxOpening = 64

// addAll adds directories in their order. They are opened at the same time, so that several that don't answer
// cost no more patience than one.
func (s *Scope) addAll(ctx context.Context, timeout time.Duration, paths []string, as root) {
	opened, errs := make([]root, len(paths)), make([]error, len(paths))
	var g errgroup.Group
	g.SetLimit(maxOpening)
	for i, path := range paths {
		g.Go(func() error {
			opened[i], errs[i] = openRoot(ctx, timeout, path)
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	for i, path := range paths {
		s.take(opened[i], errs[i], path, as)
	}
}

// openUp searches siblings as they are where they lie below a directory that is: it would come to them anyway, and
// list them a second time.
func (s *Scope) openUp() {
	for i := range s.roots {
		in := &s.roots[i]
		for j := range s.roots {
			over := &s.roots[j]
			if over.start && !over.public && over.only == "" && over.dev == in.dev && (in.path == over.path || within(in.path, over.path)) {
				in.public = false
			}
		}
	}
}

// startsAt says whether a search starts at a directory of this path anyway, and shows as much there as from a root.
func (s *Scope) startsAt(path string, from *root) bool {
	for i := range s.roots {
		r := &s.roots[i]
		if r.start && r.only == "" && r.path == path && (!r.public || from.public) {
			return true
		}
	}
	return false
}

// addDest adds the destination and what lies beside it.
func (s *Scope) addDest(ctx context.Context, cfg *ScopeConfig) {
	dest, err := filepath.Abs(cfg.Dest)
	if err != nil {
		s.refuse(cfg.Dest, err)
		return
	}
	if cfg.File {
		s.addFileDest(ctx, cfg, dest)
		return
	}
	own := s.addQuietly(ctx, cfg.Timeout, dest, root{start: true, dest: true, began: time.Now().UnixNano()})
	if own != nil {
		dest = own.path
	}
	if cfg.Siblings && dest != "/" {
		s.addBeside(ctx, cfg, dest, own)
	}
}

// addFileDest adds the file itself, what lies beside it, and what lies beside its directory.
func (s *Scope) addFileDest(ctx context.Context, cfg *ScopeConfig, dest string) {
	own := s.addQuietly(ctx, cfg.Timeout, filepath.Dir(dest), root{start: true, dest: true, only: filepath.Base(dest)})
	if own == nil || !cfg.Siblings {
		return
	}
	s.addBeside(ctx, cfg, filepath.Join(own.path, filepath.Base(dest)), own)
	if own.path != "/" {
		s.addBeside(ctx, cfg, own.path, own)
	}
}

// addBeside adds the directory that holds path, but for path itself. It must be on own's file system.
func (s *Scope) addBeside(ctx context.Context, cfg *ScopeConfig, path string, own *root) {
	r, err := openRoot(ctx, cfg.Timeout, filepath.Dir(path))
	switch {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		s.refuse(filepath.Dir(path), err)
	case own != nil && own.dev != r.dev:
		unix.Close(r.fd)
	default:
		r.start, r.public, r.except = true, !cfg.Trusted, filepath.Base(path)
		if err := r.admitItself(); err != nil {
			s.refuse(r.path, err)
			s.private = append(s.private, r.path)
			return
		}
		s.roots = append(s.roots, r)
	}
}

// admitItself looks at the root as at a directory found below another one; it closes what may not be read.
func (r *root) admitItself() error {
	var st unix.Stat_t
	err := unix.Fstat(r.fd, &st)
	if err == nil && (!r.allows(&st) || r.public && isDotted(filepath.Base(r.path))) {
		err = fmt.Errorf("%w: not every user may read it", ErrOutside)
	}
	if err != nil {
		unix.Close(r.fd)
	}
	return err
}

// addQuietly is add, but a directory that does not exist is no refusal.
func (s *Scope) addQuietly(ctx context.Context, timeout time.Duration, path string, as root) *root {
	r := s.add(ctx, timeout, path, as)
	if n := len(s.refused); r == nil && n > 0 && errors.Is(s.refused[n-1].Err, unix.ENOENT) {
		s.refused = s.refused[:n-1]
	}
	return r
}

// add opens a directory as a root with the rules of as. The result is valid until the next add.
func (s *Scope) add(ctx context.Context, timeout time.Duration, path string, as root) *root {
	r, err := openRoot(ctx, timeout, path)
	return s.take(r, err, path, as)
}

// take adds a root that was opened, or notes why it was not.
func (s *Scope) take(r root, err error, path string, as root) *root {
	if err != nil {
		s.refuse(path, err)
		return nil
	}
	r.start, r.dest, r.only, r.began = as.start, as.dest, as.only, as.began
	s.roots = append(s.roots, r)
	return &r
}

func (s *Scope) refuse(path string, err error) {
	s.refused = append(s.refused, Refusal{Path: path, Err: err})
}

// openRoot opens a directory, on a goroutine that is left behind if it takes too long.
func openRoot(ctx context.Context, timeout time.Duration, path string) (root, error) {
	type opened struct {
		root root
		err  error
	}
	result := make(chan opened)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s did not answer for %v: %w", path, timeout, ErrStalled))
	defer cancel()
	go func() {
		r, err := openRootNow(path)
		select {
		case result <- opened{r, err}:
		case <-ctx.Done():
			if err == nil {
				unix.Close(r.fd)
			}
		}
	}()
	select {
	case o := <-result:
		return o.root, o.err
	case <-ctx.Done():
		return root{}, context.Cause(ctx)
	}
}

func openRootNow(path string) (root, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return root{}, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return root{}, err
	}
	fd, err := openAt(unix.AT_FDCWD, path, dirFlags)
	if err != nil {
		return root{}, err
	}
	r, err := describeRoot(fd, path)
	if err != nil {
		unix.Close(fd)
	}
	return r, err
}

func describeRoot(fd int, path string) (root, error) {
	if err := searchable(fd); err != nil {
		return root{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return root{}, err
	}
	return root{path: path, fd: fd, dev: st.Dev, ino: st.Ino, fs: fsIdentity(fd, st.Dev)}, nil
}

// fsIdentity is what the index knows a file system by.
func fsIdentity(fd int, dev uint64) uint64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return dev
	}
	if id := uint64(uint32(st.Fsid.Val[0])) | uint64(uint32(st.Fsid.Val[1]))<<32; id != 0 {
		return id
	}
	return dev
}
