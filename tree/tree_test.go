package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// item is one entry of a hand-made recipe with its content.
type item struct {
	path  string
	entry recipe.Entry
	data  string // with '_' runs as holes if hole is set
}

func file(path, data string, mode uint32) item {
	return item{path: path, data: data, entry: recipe.Entry{Type: recipe.TypeFile, Mode: mode, MTime: stamp, Size: int64(len(data))}}
}

func dir(path string, mode uint32) item {
	return item{path: path, entry: recipe.Entry{Type: recipe.TypeDir, Mode: mode, MTime: stamp}}
}

func symlink(path, target string) item {
	return item{path: path, entry: recipe.Entry{Type: recipe.TypeSymlink, Target: target, MTime: stamp}}
}

func hardlink(path, target string) item {
	return item{path: path, entry: recipe.Entry{Type: recipe.TypeHardlink, Target: target}}
}

// stamp has a nanosecond part that must not get lost.
var stamp = time.Date(2021, 3, 4, 5, 6, 7, 123456789, time.UTC).UnixNano()

// world is a hand-made recipe; items are in walk order, without the top.
type world []item

func (w world) walk(_ context.Context, fn func(recipe.Item) error) error {
	top := recipe.Entry{Type: recipe.TypeDir, Mode: 0o755, MTime: stamp}
	if err := fn(recipe.Item{Entry: &top}); err != nil {
		return err
	}
	for i := range w {
		e := w[i].entry
		_, e.Name = splitPath(w[i].path)
		if err := fn(recipe.Item{Path: w[i].path, Entry: &e, Number: uint64(i + 1)}); err != nil {
			return err
		}
	}
	return nil
}

func (w world) config(dest string) Config {
	root := &recipe.Root{Version: 1, Mask: recipe.MaskPortable, Top: recipe.Entry{Type: recipe.TypeDir, Mode: 0o755, MTime: stamp}}
	return Config{Dest: dest, Recipe: recipe.ID{1, 2, 3}, Root: root, walk: w.walk}
}

// fill plans everything and writes what is missing, each file in pieces of at most n bytes.
func (w world) fill(t *Tree, n int) error {
	return w.walk(context.Background(), func(it recipe.Item) error {
		f, err := t.Plan(it)
		if err != nil || f == nil {
			return err
		}
		return fillFile(f, w[it.Number-1].data, n)
	})
}

func fillFile(f *File, data string, n int) error {
	for off := 0; off < len(data); off += n {
		piece := data[off:min(off+n, len(data))]
		if f.Holds(int64(off), int64(len(piece))) {
			continue
		}
		if err := f.Write(int64(off), []byte(piece)); err != nil {
			return err
		}
	}
	return nil
}

// get makes the whole world at dest.
func (w world) get(t *testing.T, cfg Config) (Result, error) {
	t.Helper()
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		return Result{}, err
	}
	if err := w.fill(tr, 1000); err != nil {
		tr.Abort()
		return Result{}, err
	}
	return tr.Finish(context.Background())
}

func (w world) mustGet(t *testing.T, cfg Config) Result {
	t.Helper()
	r, err := w.get(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check compares what stands at dest with the world, name by name, both ways.
func (w world) check(t *testing.T, dest string) {
	t.Helper()
	want := map[string]bool{"": true}
	for _, it := range w {
		want[it.path] = true
		checkItem(t, filepath.Join(dest, it.path), it)
	}
	checkItem(t, dest, dir("", 0o755))
	err := filepath.WalkDir(dest, func(p string, _ os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dest, p); rel != "." && !want[rel] {
			t.Errorf("%s is there and should not be", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func checkItem(t *testing.T, path string, it item) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Errorf("%s: %v", it.path, err)
		return
	}
	if it.entry.Type == recipe.TypeHardlink {
		return
	}
	if got := st.Mode & unix.S_IFMT; got != fileType(it.entry.Type) {
		t.Errorf("%s: type %o", it.path, got)
	}
	if got := mtimeOf(&st); got != it.entry.MTime {
		t.Errorf("%s: mtime %d, want %d", it.path, got, it.entry.MTime)
	}
	if got := st.Mode & 0o7777; it.entry.Type != recipe.TypeSymlink && got != it.entry.Mode {
		t.Errorf("%s: mode %o, want %o", it.path, got, it.entry.Mode)
	}
	switch it.entry.Type {
	case recipe.TypeFile:
		if got, err := os.ReadFile(path); err != nil || string(got) != it.data {
			t.Errorf("%s: content %.40q (%v), want %.40q", it.path, got, err, it.data)
		}
	case recipe.TypeSymlink:
		if got, _ := os.Readlink(path); got != it.entry.Target {
			t.Errorf("%s: target %q, want %q", it.path, got, it.entry.Target)
		}
	}
}

func basicWorld() world {
	big := make([]byte, 3<<20)
	for i := range big {
		big[i] = byte(i * 7 >> 3)
	}
	return world{
		file("a", "hello", 0o644),
		file("big", string(big), 0o600),
		dir("d", 0o555),
		file("d/empty", "", 0o444),
		dir("d/e", 0o700),
		file("d/e/f\xff\xfe", "not UTF-8", 0o640),
		symlink("d/l", "../a"),
		symlink("dangling", "/nowhere/at all"),
		dir("x", 0o755),
	}
}

func TestTreeIsMade(t *testing.T) {
	for name, mode := range map[string]Fsync{"end": FsyncEnd, "none": FsyncNone, "file": FsyncFile} {
		t.Run(name, func(t *testing.T) {
			dest := filepath.Join(t.TempDir(), "missing", "dest")
			w := basicWorld()
			cfg := w.config(dest)
			cfg.Fsync = mode
			r := w.mustGet(t, cfg)
			w.check(t, dest)
			if r.Files != 4 || r.Dirs != 4 || r.Symlinks != 2 {
				t.Errorf("result %+v", r)
			}
			r = w.mustGet(t, cfg)
			w.check(t, dest)
			if r.RightFiles != 4 || r.Files != 0 || r.WrittenBytes != 0 || r.Symlinks != 0 {
				t.Errorf("second run: %+v", r)
			}
		})
	}
}

// TestStagingGoes: files that come in pieces too small for a record of their own leave nothing behind.
func TestStagingGoes(t *testing.T) {
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		dest := t.TempDir()
		w := world{file("pieces", strings.Repeat("piece", 1000), 0o644)}
		cfg := w.config(dest)
		cfg.Fsync = mode
		w.mustGet(t, cfg)
		w.check(t, dest)
	}
}

func TestSecondGetIsLocked(t *testing.T) {
	w := basicWorld()
	cfg := w.config(t.TempDir())
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Abort()
	_, err = Open(context.Background(), cfg)
	var held *LockedError
	if !errors.As(err, &held) || !errors.Is(err, ErrLocked) || held.PID != os.Getpid() || held.Since.IsZero() {
		t.Fatalf("got %v", err)
	}
}
