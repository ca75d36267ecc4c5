package tree

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// oldFile makes a file that was changed last an hour ago, and says what it is.
func oldFile(t *testing.T, path, data string) Seen {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	return seenAt(t, path)
}

func seenAt(t *testing.T, path string) Seen {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return Seen{File: inodeOf(&st), Name: filepath.Base(path), MTime: mtimeOf(&st), CTime: ctimeOf(&st), At: time.Now().Add(time.Hour)}
}

// awaitTick waits until the file system's clock, which some kernels read rarely, is beyond a time.
func awaitTick(t *testing.T, ctime int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tick")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if seenAt(t, path).CTime > ctime {
			return
		}
		_ = os.Remove(path)
	}
	t.Fatal("the file system's clock stands still")
}

// keepOne plans a world of one file and has it kept as somebody has seen it, or else writes it.
func keepOne(t *testing.T, w world, dest string, seen Seen) (kept bool, r Result) {
	t.Helper()
	tr := mustOpen(t, w.config(dest))
	err := w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		if kept = f.Keep(seen); kept {
			return nil
		}
		return f.Write(0, []byte(w[it.Number-1].data))
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err = tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	return kept, r
}

func TestKeep(t *testing.T) {
	data := strings.Repeat("content ", 1000)
	w := world{file("a", data, 0o640)}
	for name, c := range map[string]struct {
		change func(t *testing.T, dest string, seen *Seen)
		want   bool
	}{
		"as it was seen": {func(*testing.T, string, *Seen) {}, true},
		"another file": {func(t *testing.T, dest string, _ *Seen) {
			oldFile(t, filepath.Join(dest, "b"), "wrong")
			if err := os.Rename(filepath.Join(dest, "b"), filepath.Join(dest, "a")); err != nil {
				t.Fatal(err)
			}
		}, false},
		"changed since": {func(t *testing.T, dest string, _ *Seen) {
			oldFile(t, filepath.Join(dest, "a"), strings.ToUpper(data))
			if err := os.Chtimes(filepath.Join(dest, "a"), time.Time{}, time.Now().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
		}, false},
		"changed a moment ago": {func(t *testing.T, dest string, seen *Seen) {
			if err := os.WriteFile(filepath.Join(dest, "a"), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
			*seen = seenAt(t, filepath.Join(dest, "a"))
			seen.At = time.Unix(0, seen.CTime)
		}, false},
		"changed since, and its time put back": {func(t *testing.T, dest string, seen *Seen) {
			path := filepath.Join(dest, "a")
			awaitTick(t, seen.CTime)
			if err := os.WriteFile(path, []byte(strings.ToUpper(data)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Unix(0, seen.MTime)); err != nil {
				t.Fatal(err)
			}
		}, false},
		"two names": {func(t *testing.T, dest string, _ *Seen) {
			if err := os.Link(filepath.Join(dest, "a"), filepath.Join(dest, "b")); err != nil {
				t.Fatal(err)
			}
		}, false},
		"another name": {func(_ *testing.T, _ string, seen *Seen) { seen.Name = "b" }, false},
		"another size": {func(t *testing.T, dest string, seen *Seen) {
			*seen = oldFile(t, filepath.Join(dest, "a"), "longer or shorter")
		}, false},
		"gone": {func(t *testing.T, dest string, _ *Seen) {
			f, err := os.Open(filepath.Join(dest, "a")) // nobody gets its inode
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Close() })
			if err := os.Remove(filepath.Join(dest, "a")); err != nil {
				t.Fatal(err)
			}
		}, false},
		"a symlink": {func(t *testing.T, dest string, _ *Seen) {
			if err := os.Rename(filepath.Join(dest, "a"), filepath.Join(dest, "b")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("b", filepath.Join(dest, "a")); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dest := t.TempDir()
			seen := oldFile(t, filepath.Join(dest, "a"), data)
			c.change(t, dest, &seen)
			kept, r := keepOne(t, w, dest, seen)
			if kept != c.want || (r.Files == 0) != c.want || (r.RightFiles == 1) != c.want {
				t.Errorf("kept %v, %d files written, %d right; want kept %v", kept, r.Files, r.RightFiles, c.want)
			}
			if now := seenAt(t, filepath.Join(dest, "a")); (now.File == seen.File) != c.want {
				t.Errorf("the file is the same: %v, want %v", now.File == seen.File, c.want)
			}
			checkItem(t, filepath.Join(dest, "a"), w[0])
		})
	}
}

// TestKeepInline: a file whose content lies in the recipe is compared, and rewritten only if it differs.
func TestKeepInline(t *testing.T) {
	inline := file("a", "short", 0o644)
	inline.entry.Inline = []byte("short")
	for name, c := range map[string]struct {
		item    item
		content string
		want    bool
	}{
		"the same":      {inline, "short", true},
		"another":       {inline, "SHORT", false},
		"empty":         {file("a", "", 0o644), "", true},
		"not empty now": {file("a", "", 0o644), "text", false},
	} {
		t.Run(name, func(t *testing.T) {
			dest := t.TempDir()
			path := filepath.Join(dest, "a")
			seen := oldFile(t, path, c.content)
			w := world{c.item}
			cfg := w.config(dest)
			cfg.Now = func() time.Time { return time.Now().Add(time.Hour) }
			r := w.mustGet(t, cfg)
			if kept := seenAt(t, path).File == seen.File; kept != c.want || (r.RightFiles == 1) != c.want {
				t.Errorf("kept %v, %d right, want %v", kept, r.RightFiles, c.want)
			}
			checkItem(t, path, c.item)
		})
	}
}

// TestKeepOfAnother: who may not set a file's metadata replaces it, where its directory lets him, as ever.
func TestKeepOfAnother(t *testing.T) {
	const envDest = "TREE_TEST_KEEP"
	inline := file("b", "short", 0o644)
	inline.entry.Inline = []byte("short")
	w := world{file("a", strings.Repeat("content ", 1000), 0o644), inline}
	if os.Geteuid() == 0 {
		dest := t.TempDir()
		for _, it := range w {
			oldFile(t, filepath.Join(dest, it.path), it.data)
			if err := os.Chmod(filepath.Join(dest, it.path), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for p := dest; p != "/" && p != filepath.Clean(os.TempDir()); p = filepath.Dir(p) {
			if err := os.Chmod(p, 0o777); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(envDest, dest)
		if asUser(t) {
			w.checkFiles(t, dest)
			return
		}
	}
	dest := os.Getenv(envDest)
	if dest == "" {
		t.Skip("needs root, to make a file that belongs to somebody else")
	}
	tr := mustOpen(t, w.config(dest))
	err := w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		if f.Keep(seenAt(t, filepath.Join(dest, "a"))) {
			t.Error("kept")
		}
		return f.Write(0, []byte(w[it.Number-1].data))
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := tr.Finish(context.Background()); r.Files != 2 || r.RightFiles != 0 {
		t.Errorf("%d files written, %d right (%v)", r.Files, r.RightFiles, err)
	}
}

// checkFiles compares files and no more.
func (w world) checkFiles(t *testing.T, dest string) {
	t.Helper()
	for _, it := range w {
		checkItem(t, filepath.Join(dest, it.path), it)
	}
}
