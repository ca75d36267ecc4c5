package sender

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/sources"
)

const (
	openDir  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	openFile = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
)

// files reads the served tree's regular files. Every path goes component by component from a
// directory that was opened once, and no component may be a symbolic link: what lies outside the
// tree can't be reached. It keeps the last directory and the last file open, which serves requests in
// recipe order. It is used by one goroutine.
type files struct {
	root    int // of the tree; not owned
	dir     int // last directory, -1 for none
	dirPath string
	fd      int // last file, -1 for none
	file    *target
	fault   error // what is wrong with file; sticky
}

func newFiles(root int) *files { return &files{root: root, dir: -1, fd: -1} }

// close closes what is open.
func (f *files) close() {
	f.closeFile()
	f.closeDir()
}

func (f *files) closeFile() {
	if f.fd >= 0 {
		_ = unix.Close(f.fd)
	}
	f.fd, f.file, f.fault = -1, nil, nil
}

func (f *files) closeDir() {
	if f.dir >= 0 {
		_ = unix.Close(f.dir)
	}
	f.dir, f.dirPath = -1, ""
}

// read fills p from offset off of a file. It fails with sources.ErrChanged if the file is not, or
// does not stay while it is read, what the recipe says.
func (f *files) read(t *target, off int64, p []byte) error {
	if f.file != t {
		f.closeFile()
		f.file = t
		f.fault = f.open(t)
	}
	if f.fault == nil {
		f.fault = f.readAt(t, off, p)
	}
	return f.fault
}

func (f *files) open(t *target) error {
	dir, err := f.openDir(t.dir)
	if err != nil {
		return fault(t, err)
	}
	f.fd, err = retry(func() (int, error) { return unix.Openat(dir, t.name, openFile, 0) })
	if err != nil {
		f.fd = -1
		return fault(t, err)
	}
	return f.check(t)
}

// openDir returns the descriptor of a directory of the tree.
func (f *files) openDir(dir string) (int, error) {
	if dir == "" {
		return f.root, nil
	}
	if f.dir >= 0 && f.dirPath == dir {
		return f.dir, nil
	}
	f.closeDir()
	fd, err := walkTo(f.root, dir)
	if err != nil {
		return -1, err
	}
	f.dir, f.dirPath = fd, dir
	return fd, nil
}

// walkTo opens a directory below root. The kernel does it in one call where it can.
func walkTo(root int, dir string) (int, error) {
	how := unix.OpenHow{Flags: openDir, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := retry(func() (int, error) { return unix.Openat2(root, dir, &how) })
	if err == nil || (!errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM)) {
		return fd, err
	}
	return walkSteps(root, dir)
}

// walkSteps opens one component after the other.
func walkSteps(root int, dir string) (int, error) {
	at := root
	for _, name := range strings.Split(dir, "/") {
		if name == "" || name == "." || name == ".." {
			return -1, unix.EINVAL
		}
		fd, err := retry(func() (int, error) { return unix.Openat(at, name, openDir, 0) })
		if at != root {
			_ = unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = fd
	}
	return at, nil
}

// check compares the open file with the recipe.
func (f *files) check(t *target) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fault(t, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%q is not a regular file any more: %w", t.path(), sources.ErrChanged)
	case st.Size != t.size:
		return fmt.Errorf("%q has %d bytes, recipe says %d: %w", t.path(), st.Size, t.size, sources.ErrChanged)
	case st.Mtim.Nano() != t.mtime:
		return fmt.Errorf("%q was written since: %w", t.path(), sources.ErrChanged)
	}
	return nil
}

func (f *files) readAt(t *target, off int64, p []byte) error {
	for len(p) > 0 {
		n, err := retry(func() (int, error) { return unix.Pread(f.fd, p, off) })
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fault(t, err)
		}
		p, off = p[n:], off+int64(n)
	}
	return f.check(t)
}

// fault tells a file that is not what it was from one that can't be read.
func fault(t *target, err error) error {
	for _, gone := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENXIO, io.ErrUnexpectedEOF} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%q: %v: %w", t.path(), err, sources.ErrChanged)
		}
	}
	return fmt.Errorf("%q: %w", t.path(), err)
}

func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
