package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dfetch/eval/dataset"
	"dfetch/recipe"
)

// describes tells whether the recipe in a file is of this set: every file, folder and
// symlink with its size, permissions and time, and every chunk with the hash of its
// bytes. It reads the set from its beginning to its end, by itself. Where the files
// are cut is the recipe's affair.
func describes(ctx context.Context, file string, set dataset.Set) error {
	f, err := recipe.OpenFile(file)
	if err != nil {
		return err
	}
	defer f.Close()
	d := description{f, set.Dir, map[string]bool{}}
	if err := recipe.Walk(ctx, f, f.Root(), func(item recipe.Item) error { return d.check(ctx, item) }); err != nil {
		return fmt.Errorf("the recipe: %w", err)
	}
	return d.complete(set)
}

// description is a recipe that is held against a folder.
type description struct {
	recipe *recipe.File
	dir    string
	seen   map[string]bool // paths below dir
}

// types are what a file's mode says of each type of entry that sets have.
var types = map[recipe.Type]fs.FileMode{recipe.TypeDir: fs.ModeDir, recipe.TypeFile: 0, recipe.TypeSymlink: fs.ModeSymlink}

// check compares an entry with what is there.
func (d *description) check(ctx context.Context, item recipe.Item) error {
	name, e := filepath.FromSlash(item.Path), item.Entry
	d.seen[filepath.Clean(name)] = true
	path := filepath.Join(d.dir, name)
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	kind, known := types[e.Type]
	switch {
	case !known || info.Mode().Type() != kind:
		return fmt.Errorf("%q is of another type there", item.Path)
	case kind == fs.ModeSymlink:
		return sameTarget(path, e.Target)
	case uint32(info.Mode().Perm()) != e.Mode&0o777:
		return fmt.Errorf("%q has permissions %o there, not %o", item.Path, e.Mode, info.Mode().Perm())
	case info.ModTime().UnixNano() != e.MTime:
		return fmt.Errorf("%q has another time there than %v", item.Path, info.ModTime())
	case kind == 0:
		return d.content(ctx, path, info.Size(), e)
	}
	return nil
}

func sameTarget(path, target string) error {
	got, err := os.Readlink(path)
	if err == nil && got != target {
		err = fmt.Errorf("%s points to %q, not to %q", path, got, target)
	}
	return err
}

// content compares a file with its entry's size and chunks.
func (d *description) content(ctx context.Context, path string, size int64, e *recipe.Entry) error {
	if size != e.Size {
		return fmt.Errorf("%s has %d bytes, not %d", path, size, e.Size)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if size <= recipe.MaxInline {
		data, err := io.ReadAll(f)
		if err == nil && !bytes.Equal(data, e.Inline) {
			err = fmt.Errorf("%s has other content in the recipe", path)
		}
		return err
	}
	end := int64(0)
	err = recipe.Chunks(ctx, d.recipe, e, func(at int64, ref recipe.Ref) error {
		if at != end {
			return fmt.Errorf("%s: a chunk begins at %d, not at %d", path, at, end)
		}
		end += ref.Bytes
		return d.chunk(f, at, ref)
	})
	if err == nil && end != size {
		err = fmt.Errorf("%s: the chunks end at %d, not at %d", path, end, size)
	}
	return err
}

// chunk compares one chunk or hole with the file's bytes.
func (d *description) chunk(f *os.File, at int64, ref recipe.Ref) error {
	if ref.Hole {
		return zeros(f, at, ref.Bytes)
	}
	data := make([]byte, min(ref.Bytes, recipe.MaxChunk))
	if _, err := f.ReadAt(data, at); err != nil {
		return err
	}
	if int64(len(data)) != ref.Bytes || d.recipe.Root().Hash.Chunk(data) != ref.ID {
		return fmt.Errorf("%s: the chunk of %d bytes at %d has another hash", f.Name(), ref.Bytes, at)
	}
	return nil
}

// zeros tells whether so many bytes of a file are zero.
func zeros(f *os.File, at, n int64) error {
	r, buf, zero := io.NewSectionReader(f, at, n), make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		got, err := r.Read(buf)
		if !bytes.Equal(buf[:got], zero[:got]) {
			return fmt.Errorf("%s: the hole at %d holds data", f.Name(), at)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// complete tells whether the recipe has all that is there.
func (d *description) complete(set dataset.Set) error {
	return filepath.WalkDir(set.Path(), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(d.dir, path)
		if err == nil && !d.seen[name] {
			err = fmt.Errorf("the recipe lacks %q", name)
		}
		return err
	})
}
