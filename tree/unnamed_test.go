package tree

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// stagedNow counts the staged files of a destination.
func stagedNow(t *testing.T, tr *Tree) (n int) {
	t.Helper()
	names, err := readNames(tr.stage.fd, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, ok := stagedNumber(name); ok {
			n++
		}
	}
	return n
}

// TestUnnamed: without fsync, a whole file in a new directory has no name before it is complete, where
// the file system can do that; the result is the same where it can't.
func TestUnnamed(t *testing.T) {
	for _, can := range []bool{true, false} {
		for _, mode := range []Fsync{FsyncNone, FsyncEnd} {
			testUnnamed(t, can, mode)
		}
	}
}

func testUnnamed(t *testing.T, can bool, mode Fsync) {
	w := world{dir("d", 0o755), file("d/f", "content", 0o640), file("d/g", "more", 0o400)}
	dest := filepath.Join(t.TempDir(), "dest")
	var tr *Tree
	points := 0
	cfg := w.config(dest)
	cfg.Fsync = mode
	cfg.fault = func(point string) {
		if point != "staged" {
			return
		}
		points++
		if got, want := stagedNow(t, tr) > 0, !tr.unnamed; got != want {
			t.Errorf("fsync %d, unnamed %v: a staged file: %v", mode, tr.unnamed, got)
		}
		if _, err := os.Lstat(filepath.Join(dest, "d/g")); err == nil {
			t.Errorf("fsync %d: d/g has its name before it is complete", mode)
		}
	}
	var err error
	tr, err = Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if tr.unnamed && mode != FsyncNone {
		t.Error("files that are to be forced to the disk need a name in staging")
	}
	tr.unnamed = tr.unnamed && can
	if err := w.fill(tr, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, dest)
	if points != 2 {
		t.Errorf("%d files were staged, want 2", points)
	}
}

// TestUnnamedNameIsTaken: what somebody else puts at the live name meanwhile is replaced.
func TestUnnamedNameIsTaken(t *testing.T) {
	w := world{dir("d", 0o755), file("d/f", "content", 0o644)}
	dest := filepath.Join(t.TempDir(), "dest")
	cfg := w.config(dest)
	cfg.Fsync = FsyncNone
	cfg.fault = func(point string) {
		if point == "staged" {
			put(t, dest, "d/f")
		}
	}
	w.mustGet(t, cfg)
	w.check(t, dest)
}
