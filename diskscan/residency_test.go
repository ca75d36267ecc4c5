package diskscan

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Pages that were not cached before are not afterwards; pages that were stay.
func TestHashLeavesTheCacheAsItWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	const size = 24 << 20
	write(t, path, noise("x", size))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	const warmFrom, warmTo = 4 << 20, 6 << 20
	if err := unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if total(cold(fd, 0, size)) != size {
		t.Log("the file system of the test keeps its files in memory")
		return
	}
	unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) // no reading ahead
	if _, err := f.ReadAt(make([]byte, warmTo-warmFrom), warmFrom); err != nil {
		t.Fatal(err)
	}
	before := total(cold(fd, 0, size))
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	seen := int64(0)
	defer func() { t.Logf("slices %+v", cold(fd, 0, size)) }()
	for _, r := range hashAll(t, d, fileAt("f"), nil, nil) {
		seen += r.Cold
		t.Logf("slice of %d: %d cold", r.Bytes, r.Cold)
	}
	after := total(cold(fd, 0, size))
	const slack = 2 << 20 // what the kernel reads ahead at the end, or pages still under way
	if after < before-slack || total(cold(fd, warmFrom, warmTo)) > slack/2 {
		t.Errorf("%d bytes cold before, %d after; %d of the warm ones", before, after, total(cold(fd, warmFrom, warmTo)))
	}
	if seen < before-slack || seen > before+slack {
		t.Errorf("%d bytes seen cold, want %d", seen, before)
	}
	t.Logf("cold: %d before, %d seen, %d after", before, seen, after)
}
