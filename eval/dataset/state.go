package dataset

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Dest is the destination's name in a receiver's folder, Sibling that of the
// folder beside it which some states fill.
const (
	Dest    = "dst"
	Sibling = "old"
)

// Populate puts a receiver's folder, which must be empty, into a state. It fails
// with result.Missing if the set does not have that state.
func (s Set) Populate(ctx context.Context, state, dir string) error {
	dest := filepath.Join(dir, Dest)
	if err := os.MkdirAll(dest, 0o777); err != nil {
		return err
	}
	old, place, err := s.old(ctx, state)
	if err != nil || old == "" {
		return err
	}
	return CopyTree(ctx, old, filepath.Join(dir, place))
}

// old returns the folder to copy into the receiver's, and its name there.
func (s Set) old(ctx context.Context, state string) (from, place string, err error) {
	switch {
	case state == "empty":
		return "", "", nil
	case state == "right":
		return s.Dir, Dest, nil
	case state == "previous" || state == "previous-sibling":
		from = filepath.Join(filepath.Dir(s.Dir), "old")
		if _, err := os.Stat(from); err != nil {
			return "", "", s.unknown(state)
		}
		if state == "previous" {
			return from, Dest, nil
		}
		return from, Sibling, nil
	case strings.Contains(s.kind, ":"):
		return "", "", s.unknown(state)
	case state == "sibling":
		from, err = s.version(ctx, "similar-99")
		return from, Sibling, err
	}
	from, err = s.version(ctx, state)
	return from, Dest, err
}

// version returns a kept older version of the set.
func (s Set) version(ctx context.Context, state string) (string, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	edit, err := s.editor(state)
	if err != nil {
		return "", err
	}
	return s.store.keep(s.key+"."+state, func(dir string) error {
		return s.eachFile(ctx, func(i int64, name string) error { return edit(dir, i, name) })
	})
}

// eachFile calls f for the source's files in the order of their names.
func (s Set) eachFile(ctx context.Context, f func(i int64, name string) error) error {
	i := int64(0)
	return filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		i++
		return f(i-1, name)
	})
}

// editor returns what makes one old file out of the source's file of that name.
func (s Set) editor(state string) (func(dir string, i int64, name string) error, error) {
	switch {
	case state == "useless":
		return s.useless, nil
	case state == "moved" && s.Tree():
		return s.moved, nil
	case strings.HasPrefix(state, "similar-"):
		number, clustered := strings.CutSuffix(strings.TrimPrefix(state, "similar-"), "-clustered")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || n > 99 {
			return nil, s.unknown(state)
		}
		if s.Tree() {
			return s.similarTree(int64(100-n), clustered), nil
		}
		return s.similarFile(int64(100-n), clustered), nil
	}
	return nil, s.unknown(state)
}

// useless writes a file of the same name and size, and for a single file another
// one of a similar name.
func (s Set) useless(dir string, _ int64, name string) error {
	info, err := os.Stat(filepath.Join(s.Dir, name))
	if err != nil {
		return err
	}
	names := []string{name}
	if !s.Tree() {
		names = append(names, strings.Replace(name, "2", "1", 1))
	}
	for _, name := range names {
		bytes, _ := random("useless " + name)
		err := create(filepath.Join(dir, name), oldTime, func(w *bufio.Writer) error {
			return copyRandom(w, bytes, info.Size())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moved copies a file to another folder and name; content and time stay.
func (s Set) moved(dir string, i int64, name string) error {
	to := filepath.Join(dir, fmt.Sprintf("m%03d", i%97), fmt.Sprintf("g%05d", i))
	return CopyFile(filepath.Join(s.Dir, name), to)
}

// similarTree edits a share of the tree's files and copies the others.
func (s Set) similarTree(percent int64, clustered bool) func(string, int64, string) error {
	return func(dir string, i int64, name string) error {
		from, to := filepath.Join(s.Dir, name), filepath.Join(dir, name)
		changed := i*percent/100 != (i+1)*percent/100
		if clustered {
			changed = i < s.Files*percent/100
		}
		if !changed {
			return CopyFile(from, to)
		}
		return editFile(from, to, edits{places: 2, percent: 20})
	}
}

func (s Set) similarFile(percent int64, clustered bool) func(string, int64, string) error {
	return func(dir string, _ int64, name string) error {
		return editFile(filepath.Join(s.Dir, name), filepath.Join(dir, name), edits{places: 50, percent: percent, clustered: clustered})
	}
}

// edits say how an older version differs: percent of the bytes, in so many
// places, over all of the file or within a part of twice the edited length.
type edits struct {
	places, percent int64
	clustered       bool
}

// editFile writes an older version of a file.
func editFile(from, to string, e edits) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return create(to, oldTime, func(w *bufio.Writer) error { return e.apply(w, f, info.Size()) })
}

// apply copies r, of this size, to w with the edits: of each four, two overwrite,
// one inserts and one leaves out.
func (e edits) apply(w io.Writer, r io.Reader, size int64) error {
	bytes, numbers := random(fmt.Sprintf("edits of %d percent", e.percent))
	length := size * e.percent / 100 / e.places
	start, span := int64(0), size
	if e.clustered {
		span = min(size, 2*length*e.places)
		start = (size - span) / 2
	}
	stride := span / e.places
	pos := int64(0)
	for i := range e.places {
		at := start + i*stride + numbers.Int64N(max(stride-length, 0)+1)
		if _, err := io.CopyN(w, r, at-pos); err != nil {
			return err
		}
		pos = at
		if i%4 != 3 {
			if err := copyRandom(w, bytes, length); err != nil {
				return err
			}
		}
		if i%4 != 1 {
			if _, err := io.CopyN(io.Discard, r, length); err != nil {
				return err
			}
			pos += length
		}
	}
	_, err := io.Copy(w, r)
	return err
}

// CopyTree copies a tree's folders, files and symlinks with their times.
func CopyTree(ctx context.Context, from, to string) error {
	times := map[string]time.Time{} // of folders, set when they are full
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case d.IsDir():
			if info, err := d.Info(); err == nil {
				times[target] = info.ModTime()
			}
			return os.MkdirAll(target, 0o777)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		return CopyFile(path, target)
	})
	for dir, t := range times {
		err = errors.Join(err, os.Chtimes(dir, time.Time{}, t))
	}
	return err
}

// CopyFile copies a file with its time and mode; its folder is made. Holes stay
// holes where the file system tells them.
func CopyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	err = copyData(w, r, info.Size())
	return errors.Join(err, w.Close(), os.Chtimes(to, time.Time{}, info.ModTime()))
}
