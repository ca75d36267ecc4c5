package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// put makes what stands at the destination before a run: "path" is a directory if it ends in a slash,
// "path -> target" a symlink, else a file with its own path as content.
func put(t *testing.T, dest string, what ...string) {
	t.Helper()
	for _, w := range what {
		link, target, isLink := strings.Cut(w, " -> ")
		p := filepath.Join(dest, link)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		switch {
		case err != nil:
		case isLink:
			err = os.Symlink(target, p)
		case strings.HasSuffix(w, "/"):
			err = os.MkdirAll(p, 0o755)
		default:
			err = os.WriteFile(p, []byte(w), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTypesChange(t *testing.T) {
	for _, c := range []struct {
		name   string
		before []string
		w      world
	}{
		{"file to directory", []string{"a"}, world{dir("a", 0o755), file("a/b", "new", 0o644)}},
		{"empty directory to file", []string{"a/"}, world{file("a", "new", 0o644)}},
		{"symlink to directory", []string{"a -> ../outside"}, world{dir("a", 0o755), file("a/victim", "mine", 0o644)}},
		{"symlink to file", []string{"a -> b", "b"}, world{file("a", "new", 0o644), file("b", "b2", 0o644)}},
		{"file to symlink", []string{"a"}, world{symlink("a", "b")}},
		{"empty directory to symlink", []string{"a/"}, world{symlink("a", "b")}},
		{"symlink to symlink", []string{"a -> x"}, world{symlink("a", "y")}},
		{"names swapped", []string{"a", "b"}, world{file("a", "b", 0o644), file("b", "a", 0o644)}},
	} {
		for _, mode := range []Fsync{FsyncEnd, FsyncNone} {
			t.Run(c.name+fmt.Sprint(mode), func(t *testing.T) {
				base := t.TempDir()
				dest := filepath.Join(base, "dest")
				put(t, base, "outside/victim", "dest/")
				put(t, dest, c.before...)
				cfg := c.w.config(dest)
				cfg.Fsync = mode
				c.w.mustGet(t, cfg)
				c.w.check(t, dest)
				if got, _ := os.ReadFile(filepath.Join(base, "outside", "victim")); string(got) != "outside/victim" {
					t.Errorf("the file outside is %q", got)
				}
			})
		}
	}
}

func TestFullDirectoryInTheWay(t *testing.T) {
	w := world{file("a", "new", 0o644), file("b", "other", 0o644), hardlink("c", "a"), symlink("d", "x")}
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		dest := t.TempDir()
		put(t, dest, "a/old/file", "a/more", "d/kept")
		cfg := w.config(dest)
		cfg.Fsync = mode
		r, err := w.get(t, cfg)
		var partial *PartialError
		if !errors.As(err, &partial) || partial.Count != 3 || r.FailedCount != 3 {
			t.Fatalf("got %v", err)
		}
		if !errors.Is(r.Failed[0].Err, errNotEmpty) || r.Failed[0].Path != "a" {
			t.Errorf("failed: %v", r.Failed)
		}
		if got, _ := os.ReadFile(filepath.Join(dest, "a/old/file")); string(got) != "a/old/file" {
			t.Error("the directory in the way was harmed")
		}
		if got, _ := os.ReadFile(filepath.Join(dest, "b")); string(got) != "other" {
			t.Error("the rest did not go on")
		}
		// With the cause gone, a second run needs no content.
		cfg.Delete = true
		tr, err := Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = w.walk(context.Background(), func(it recipe.Item) error {
			f, err := tr.Plan(it)
			if f != nil {
				t.Errorf("%s has to come again", it.Path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.check(t, dest)
	}
}

// TestFailedFile: a file that can't be completed leaves the old one, gets no new names, and what came
// of it is there for the next run.
func TestFailedFile(t *testing.T) {
	w := world{file("a", "0123456789", 0o644), hardlink("b", "a"), file("c", "c", 0o644)}
	dest := t.TempDir()
	put(t, dest, "a")
	cfg := w.config(dest)
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		if it.Path == "c" {
			return f.Write(0, []byte("c"))
		}
		defer f.Fail(errors.New("no source has it"))
		return f.Write(0, []byte("01234"))
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tr.Finish(context.Background())
	if !errors.Is(err, ErrPartial) || r.FailedCount != 2 || r.Failed[1].Path != "b" || r.Files != 1 {
		t.Fatalf("%v: %v", err, r.Failed)
	}
	if got, _ := os.ReadFile(dest + "/a"); string(got) != "a" {
		t.Errorf("the old file has become %q", got)
	}
	tr, f := openOne(t, cfg, w)
	if !f.Holds(0, 5) {
		t.Errorf("kept: %v", f.Have())
	}
	if err := f.Write(5, []byte("56789")); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, dest)
}

// TestForgottenFile: a run that never completed a file does not end well.
func TestForgottenFile(t *testing.T) {
	w := world{file("a", "0123456789", 0o644)}
	tr, f := openOne(t, w.config(t.TempDir()), w)
	write(t, f, w, 0, 5)
	if _, err := tr.Finish(context.Background()); !errors.Is(err, ErrPartial) {
		t.Errorf("got %v", err)
	}
}

func TestDelete(t *testing.T) {
	w := world{dir("d", 0o755), file("d/keep", "k", 0o644), file("e", "e", 0o644)}
	before := []string{"d/extra", "d/sub/x", "d/sub/y", "a", "z -> ../outside", "f/"}
	for _, c := range []struct {
		limit   int
		deleted uint64
		skipped uint64
	}{{0, 7, 0}, {7, 7, 0}, {3, 3, 3}, {-1, 0, 6}} {
		base := t.TempDir()
		dest := filepath.Join(base, "dest")
		put(t, base, "outside/stays", "dest/")
		put(t, dest, before...)
		cfg := w.config(dest)
		cfg.Delete, cfg.MaxDelete = true, c.limit
		r, err := w.get(t, cfg)
		var over *MaxDeleteError
		if errors.As(err, &over) != (c.skipped > 0) || err != nil && over == nil {
			t.Fatalf("limit %d: %v", c.limit, err)
		}
		if r.Deleted != c.deleted {
			t.Errorf("limit %d: %d deleted", c.limit, r.Deleted)
		}
		if over != nil && (over.Skipped < c.skipped || !errors.Is(err, ErrMaxDelete)) {
			t.Errorf("limit %d: %v", c.limit, err)
		}
		if c.skipped == 0 {
			w.check(t, dest)
		}
		if _, err := os.Stat(filepath.Join(base, "outside", "stays")); err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutDeleteExtrasStay(t *testing.T) {
	w := world{dir("d", 0o755), file("e", "e", 0o644)}
	dest := t.TempDir()
	put(t, dest, "d/extra", "other/file")
	w.mustGet(t, w.config(dest))
	for _, p := range []string{"d/extra", "other/file"} {
		if _, err := os.Stat(filepath.Join(dest, p)); err != nil {
			t.Error(err)
		}
	}
}

func TestFileRecipe(t *testing.T) {
	for _, name := range []string{"f", strings.Repeat("n", 255)} {
		dest := filepath.Join(t.TempDir(), "new", name)
		cfg := Config{Dest: dest, Recipe: recipe.ID{5}, Root: &recipe.Root{
			Version: 1, Mask: recipe.MaskPortable, Top: file("orig", "content", 0o640).entry,
		}}
		w := world{file("orig", "content", 0o640)}
		cfg.walk = func(_ context.Context, fn func(recipe.Item) error) error {
			return fn(recipe.Item{Path: "orig", Entry: &w[0].entry})
		}
		tr, err := Open(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		f, err := tr.Plan(recipe.Item{Path: "orig", Entry: &w[0].entry})
		if err != nil {
			t.Fatal(err)
		}
		if err := fillFile(f, "content", 3); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		checkItem(t, dest, w[0])
		if names, _ := os.ReadDir(filepath.Dir(dest)); len(names) != 1 {
			t.Errorf("left beside the file: %v", names)
		}
	}
}

// TestDestIsSpecial: a file recipe never takes the place of a device, fifo or socket.
func TestDestIsSpecial(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(dest, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dest: dest, Recipe: recipe.ID{5}, Root: &recipe.Root{
		Version: 1, Mask: recipe.MaskPortable, Top: file("orig", "content", 0o640).entry,
	}}
	if tr, err := Open(context.Background(), cfg); !errors.Is(err, errSpecial) {
		t.Errorf("got %v", err)
		_ = tr.Abort()
	}
	if names, _ := os.ReadDir(filepath.Dir(dest)); len(names) != 1 {
		t.Errorf("left beside the fifo: %v", names)
	}
}

func TestDestIsSymlink(t *testing.T) {
	real := t.TempDir()
	dest := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, dest); err != nil {
		t.Fatal(err)
	}
	w := basicWorld()
	w.mustGet(t, w.config(dest))
	w.check(t, real)
}

func TestStagingOfSomebodyElseIsRefused(t *testing.T) {
	w := basicWorld()
	dest := t.TempDir()
	put(t, dest, ".dfetch -> "+t.TempDir())
	if _, err := Open(context.Background(), w.config(dest)); err == nil || !strings.Contains(err.Error(), DirName) {
		t.Fatalf("got %v", err)
	}
}

// TestNamesThatFold pretends a file system that takes A and a, and both forms of é, for one name.
func TestNamesThatFold(t *testing.T) {
	w := world{file("A", "1", 0o644), dir("D", 0o755), file("D/x", "2", 0o644), file("a", "3", 0o644), dir("d", 0o755), file("d/x", "4", 0o644), file("e\u0301", "5", 0o644), file("\u00e9", "6", 0o644)}
	cfg := w.config(t.TempDir())
	cfg.fold = &folding{letters: true, forms: true}
	cfg.Delete = true
	r, err := w.get(t, cfg)
	if !errors.Is(err, ErrPartial) || r.FailedCount != 4 {
		t.Fatalf("got %v: %v", err, r.Failed)
	}
	if text := r.Failed[0].String(); !strings.Contains(text, `"A"`) || r.Failed[0].Path != "a" {
		t.Errorf("both names should be told: %s", text)
	}
	world{w[0], w[1], w[2], w[6]}.check(t, cfg.Dest)
}

func TestThisFileSystemKeepsNamesApart(t *testing.T) {
	dest := t.TempDir()
	w := world{file("A", "1", 0o644), file("a", "2", 0o644)}
	w.mustGet(t, w.config(dest))
	w.check(t, dest)
}

func TestNameTooLong(t *testing.T) {
	w := world{file("a", "1", 0o644), file(strings.Repeat("n", 256), "2", 0o644), dir(strings.Repeat("o", 256), 0o755), file(strings.Repeat("o", 256)+"/p", "3", 0o644), file("z", "4", 0o644)}
	for _, mode := range []Fsync{FsyncEnd, FsyncNone} {
		cfg := w.config(t.TempDir())
		cfg.Fsync = mode
		r, err := w.get(t, cfg)
		if !errors.Is(err, ErrPartial) || r.FailedCount != 3 {
			t.Fatalf("got %v: %v", err, r.Failed)
		}
		for _, name := range []string{"a", "z"} {
			if _, err := os.Stat(filepath.Join(cfg.Dest, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDeepPath is longer than any path that a system call takes at once.
func TestDeepPath(t *testing.T) {
	var w world
	p := strings.Repeat("x", 200)
	for range 25 {
		w = append(w, dir(p, 0o755))
		p += "/" + strings.Repeat("x", 200)
	}
	w = append(w, file(p, "deep", 0o644))
	dest := t.TempDir()
	w.mustGet(t, w.config(dest))
	if r := w.mustGet(t, w.config(dest)); r.RightFiles != 1 {
		t.Errorf("second run: %+v", r)
	}
}
