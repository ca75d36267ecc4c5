package tree

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

var longText = strings.Repeat("what stood here before ", 10)

// holding gives a destination with the file a and a config that holds what wanted says.
func holding(t *testing.T, w world, wanted func(Old) bool) (Config, Inode) {
	t.Helper()
	dest := t.TempDir()
	if err := os.WriteFile(filepath.Join(dest, "a"), []byte(longText), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := w.config(dest)
	cfg.Fsync, cfg.Hold = FsyncNone, wanted
	return cfg, inodeAt(t, filepath.Join(dest, "a"))
}

func inodeAt(t *testing.T, path string) Inode {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return inodeOf(&st)
}

func mustOpen(t *testing.T, cfg Config) *Tree {
	t.Helper()
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func readHeld(t *testing.T, tr *Tree, file Inode) (string, bool) {
	t.Helper()
	fd, ok := tr.OpenHeld(file)
	if !ok {
		return "", false
	}
	f := os.NewFile(uintptr(fd), "held")
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), true
}

func always(Old) bool { return true }

// TestReplacedFileIsHeld: whatever takes the name of a file, the file can be read until it is let go.
func TestReplacedFileIsHeld(t *testing.T) {
	for name, w := range map[string]world{
		"by a file":      {file("a", "new", 0o644)},
		"by a directory": {dir("a", 0o755), file("a/x", "new", 0o644)},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, old := holding(t, w, always)
			tr := mustOpen(t, cfg)
			if err := w.fill(tr, 100); err != nil {
				t.Fatal(err)
			}
			list, _ := tr.HeldIn(inodeAt(t, cfg.Dest))
			if len(list) != 1 || list[0].Name != "a" || list[0].Size != int64(len(longText)) || list[0].File != old {
				t.Errorf("held: %+v", list)
			}
			if got, ok := readHeld(t, tr, old); !ok || got != longText {
				t.Errorf("the held file is %q, %v", got, ok)
			}
			tr.LetGo(old)
			tr.LetGo(old)
			list, _ = tr.HeldIn(inodeAt(t, cfg.Dest))
			if _, ok := readHeld(t, tr, old); ok || len(list) != 0 {
				t.Error("it is held still")
			}
			if _, err := tr.Finish(context.Background()); err != nil {
				t.Fatal(err)
			}
			w.check(t, cfg.Dest)
		})
	}
}

// TestFilesOfAReplacedDirectoryAreHeld: a file takes the place of a directory. What lay in that can be read until it
// is let go.
func TestFilesOfAReplacedDirectoryAreHeld(t *testing.T) {
	w := world{file("d", "new", 0o644)}
	cfg, _ := holding(t, w, func(o Old) bool { return o.Name != "unwanted" })
	put(t, cfg.Dest, "d/x", "d/tiny", "d/useless/tiny", "d/sub/y", "d/sub/unwanted")
	for _, name := range []string{"d/x", "d/sub/y", "d/sub/unwanted"} {
		if err := os.WriteFile(filepath.Join(cfg.Dest, name), []byte(longText+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) Inode { return inodeAt(t, filepath.Join(cfg.Dest, name)) }
	x, y, unwanted, d, sub := at("d/x"), at("d/sub/y"), at("d/sub/unwanted"), at("d"), at("d/sub")
	cfg.Delete = true
	tr := mustOpen(t, cfg)
	if err := w.fill(tr, 100); err != nil {
		t.Fatal(err)
	}
	if got, _ := readHeld(t, tr, x); got != longText+"d/x" {
		t.Errorf("held: %q", got)
	}
	if got, _ := readHeld(t, tr, y); got != longText+"d/sub/y" {
		t.Errorf("held: %q", got)
	}
	if list, _ := tr.HeldIn(sub); len(list) != 1 || list[0].Name != "y" || list[0].File != y {
		t.Errorf("held of the directory below: %+v", list)
	}
	for dir, gone := range map[Inode]OldDir{inodeAt(t, cfg.Dest): {d, "d"}, d: {sub, "sub"}} {
		if _, dirs := tr.HeldIn(dir); !slices.Equal(dirs, []OldDir{gone}) {
			t.Errorf("gave way: %+v, want %+v", dirs, gone)
		}
	}
	tr.LetGo(y)
	for _, f := range []Inode{y, unwanted} {
		if _, ok := readHeld(t, tr, f); ok {
			t.Error("held though nobody wants it")
		}
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	noStaging(t, cfg.Dest)
	w[:1].check(t, cfg.Dest)
}

// TestOnlyWhatIsWantedIsHeld: the small ones, what is not wanted, and what is right are not.
func TestOnlyWhatIsWantedIsHeld(t *testing.T) {
	w := world{file("a", "new", 0o644), file("b", "tiny now", 0o644)}
	var asked []string
	cfg, old := holding(t, w, func(o Old) bool { asked = append(asked, o.Name); return false })
	put(t, cfg.Dest, "b")
	tr := mustOpen(t, cfg)
	if err := w.fill(tr, 100); err != nil {
		t.Fatal(err)
	}
	if _, ok := readHeld(t, tr, old); ok {
		t.Error("held though it is not wanted")
	}
	if len(asked) != 1 || asked[0] != "a" {
		t.Errorf("asked for %q", asked)
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	noStaging(t, cfg.Dest)
}

func noStaging(t *testing.T, dest string) {
	t.Helper()
	if _, err := os.Lstat(filepath.Join(dest, DirName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("staging directory: %v", err)
	}
}

// TestHeldFileOutlivesARun: a run that is ended leaves what it held to the next one.
func TestHeldFileOutlivesARun(t *testing.T) {
	w := world{file("a", "new", 0o644), file("b", "still to come", 0o644)}
	cfg, old := holding(t, w, always)
	tr := mustOpen(t, cfg)
	if err := w[:1].fill(tr, 100); err != nil {
		t.Fatal(err)
	}
	if err := tr.Abort(); err != nil {
		t.Fatal(err)
	}
	tr = mustOpen(t, cfg)
	if err := w[:1].fill(tr, 100); err != nil {
		t.Fatal(err)
	}
	if got, _ := readHeld(t, tr, old); got != longText {
		t.Errorf("the next run holds %q", got)
	}
	if err := tr.Abort(); err != nil {
		t.Fatal(err)
	}
	cfg.Hold = nil
	if tr = mustOpen(t, cfg); tr.journal.hasAside(1) {
		t.Error("a run that does not search keeps what another held")
	}
	if err := tr.Abort(); err != nil {
		t.Fatal(err)
	}
	noStaging(t, cfg.Dest)
}

// TestNothingStagedLeavesNothing: a run that ends with nothing to go on from leaves no staging directory, and one
// with something keeps it.
func TestNothingStagedLeavesNothing(t *testing.T) {
	w := world{file("a", strings.Repeat("x", 200), 0o644)}
	cfg := w.config(t.TempDir())
	tr := mustOpen(t, cfg)
	if err := tr.Reserve(1 << 60); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	if err := tr.Abort(); err != nil {
		t.Fatal(err)
	}
	noStaging(t, cfg.Dest)

	tr = mustOpen(t, cfg)
	err := w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if f != nil {
			err = f.Write(0, []byte(w[0].data[:100]))
		}
		return err
	})
	if err := errors.Join(err, tr.Abort()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a run that ends before it has planned anything keeps it too
		if _, err := os.Lstat(filepath.Join(cfg.Dest, DirName)); err != nil {
			t.Fatal(err)
		}
		if err := mustOpen(t, cfg).Abort(); err != nil {
			t.Fatal(err)
		}
	}
}
