package diskscan

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// coolDir is a directory whose files can leave the page cache. Without one the test is skipped.
func coolDir(t *testing.T) string {
	t.Helper()
	dirs := []string{t.TempDir()}
	if dir, err := os.MkdirTemp("/var/tmp", "diskscan"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if cools(t, filepath.Join(dir, "probe")) {
			return dir
		}
	}
	t.Skip("needs a file system whose files can leave the page cache")
	return ""
}

// cools tries whether a new file leaves the page cache. The file is removed.
func cools(t *testing.T, path string) bool {
	t.Helper()
	const size = 1 << 20
	write(t, path, noise("probe", size))
	defer os.Remove(path)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	fd := int(f.Fd())
	return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) == nil && total(cold(fd, 0, size)) == size
}

// Pages that were not cached before are not afterwards; pages that were stay.
func TestHashLeavesTheCacheAsItWas(t *testing.T) {
	dir := coolDir(t)
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
	chill(t, fd, f, size, warmFrom, warmTo)
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
