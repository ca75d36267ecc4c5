package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copyData copies the ranges of r that hold data, and gives w its size.
func copyData(w, r *os.File, size int64) error {
	for pos := int64(0); pos < size; {
		start, err := unix.Seek(int(r.Fd()), pos, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(r.Fd()), start, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(w, start), io.NewSectionReader(r, start, end-start)); err != nil {
			return err
		}
		pos = end
	}
	return w.Truncate(size)
}

// Verify compares a receiver's destination with the source: every file, folder
// and symlink of the source must be there with the same content. What is there
// besides is no difference.
func (s Set) Verify(dest string) error {
	return filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		target := filepath.Join(dest, name)
		info, err := os.Lstat(target)
		switch {
		case err != nil:
			return err
		case info.Mode().Type() != d.Type():
			return fmt.Errorf("%s is of another type than the source's", name)
		case d.Type()&fs.ModeSymlink != 0:
			return sameLink(path, target)
		case d.Type().IsRegular():
			return sameContent(path, target)
		}
		return nil
	})
}

func sameLink(a, b string) error {
	want, err := os.Readlink(a)
	if err != nil {
		return err
	}
	got, err := os.Readlink(b)
	if err == nil && got != want {
		err = fmt.Errorf("%s points to %s, not to %s", b, got, want)
	}
	return err
}

// sameContent compares two files' bytes.
func sameContent(a, b string) error {
	fa, err := os.Open(a)
	if err != nil {
		return err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return err
	}
	defer fb.Close()
	ia, errA := fa.Stat()
	ib, errB := fb.Stat()
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	if ia.Size() != ib.Size() {
		return fmt.Errorf("%s has %d bytes, not %d", b, ib.Size(), ia.Size())
	}
	return compare(fa, fb, b)
}

func compare(a, b io.Reader, name string) error {
	bufA, bufB := make([]byte, 256<<10), make([]byte, 256<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(a, bufA)
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if _, err := io.ReadFull(b, bufB[:n]); err != nil {
			return fmt.Errorf("%s at %d: %w", name, at, err)
		}
		if !bytes.Equal(bufA[:n], bufB[:n]) {
			return fmt.Errorf("%s differs from the source between %d and %d", name, at, at+int64(n))
		}
		at += int64(n)
	}
}

// Flush writes out what earlier runs, and the making of states, have left to be written on a folder's file system.
func Flush(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// Cache brings every file below dir into the page cache, or out of it.
func Cache(dir string, warm bool) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if warm {
			_, err = io.Copy(io.Discard, f)
			return err
		}
		if err := f.Sync(); err != nil { // a page that is not written yet would stay
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
