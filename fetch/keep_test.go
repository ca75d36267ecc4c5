package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dfetch/tree"
)

// TestOtherTimes: files that have the right content and another modification time are read, and not written again.
func TestOtherTimes(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "tree")
	sizes := map[string]int{"big.bin": 700_000}
	for i := range 60 {
		sizes[fmt.Sprintf("%02d/a.bin", i)] = 30_000
	}
	writeTree(t, dst, 1, sizes)
	writeTree(t, src, 1, sizes)
	edited(t, filepath.Join(src, "07/a.bin"))
	before := map[string]os.FileInfo{}
	for name := range sizes {
		before[name] = aged(t, filepath.Join(dst, name))
	}
	untilTrusted(t)
	s := serveTree(t, src, 0)
	r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 3e5, Fsync: tree.FsyncNone, Search: SearchConfig{NoPressure: true}})
	sameTree(t, src, dst)
	checkSum(t, r)
	same := 0
	for name, st := range before {
		now, err := os.Stat(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(st, now) {
			same++
		}
	}
	if n := r.DiskOps.Hash; n == 0 {
		t.Error("nothing was hashed")
	}
	if now, err := os.Stat(filepath.Join(dst, "07/a.bin")); err != nil || os.SameFile(before["07/a.bin"], now) {
		t.Errorf("an edited file was kept (%v)", err)
	}
	// Some come over the network before the disk has been looked at.
	if same < 30 || r.FilesRight != uint64(same) || r.FilesRight+r.FilesWritten != uint64(len(sizes)) {
		t.Errorf("%d of %d files are the same, %d are said to have been right and %d written", same, len(sizes), r.FilesRight, r.FilesWritten)
	}
}

// untilTrusted waits for the kernel's clock, which stamps changes: what changed just now is not kept.
func untilTrusted(t *testing.T) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	stamp := func() time.Time {
		if err := os.WriteFile(probe, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(probe)
		if err != nil {
			t.Fatal(err)
		}
		return st.ModTime()
	}
	for start := stamp(); stamp().Sub(start) < 100*time.Millisecond; {
	}
}

// aged gives a file a time of an hour ago.
func aged(t *testing.T, path string) os.FileInfo {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st
}
