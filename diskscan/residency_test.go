package diskscan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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

// openSynced opens a file whose pages can leave the page cache then: they are on the disk.
func openSynced(t *testing.T, path string) (*os.File, int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	return f, int(f.Fd())
}

// cools tries whether a new file leaves the page cache. The file is removed.
func cools(t *testing.T, path string) bool {
	t.Helper()
	const size = 1 << 20
	write(t, path, noise("probe", size))
	defer os.Remove(path)
	f, fd := openSynced(t, path)
	defer f.Close()
	return unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) == nil && total(cold(fd, 0, size)) == size
}

// Pages that were not cached before are not afterwards; pages that were stay.
func TestHashLeavesTheCacheAsItWas(t *testing.T) {
	dir := coolDir(t)
	path := filepath.Join(dir, "f")
	const size = 24 << 20
	write(t, path, noise("x", size))
	f, fd := openSynced(t, path)
	defer f.Close()
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

// TestColdAlike: counting the pages says what looking at each says, and does not answer where that would differ.
func TestColdAlike(t *testing.T) {
	path := filepath.Join(coolDir(t), "f")
	const size, page = 1<<20 + 100, int64(4096)
	write(t, path, noise("x", size))
	f, fd := openSynced(t, path)
	defer f.Close()
	if int64(os.Getpagesize()) != page {
		t.Skip("needs pages of 4 KiB")
	}
	for _, warm := range []int64{size, 0, 64 << 10} {
		err := errors.Join(unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED), unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM))
		if _, rerr := f.ReadAt(make([]byte, warm), 0); err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		for _, r := range []span{{0, size}, {0, 8192}, {128 << 10, size}, {0, 32<<10 + 1}} {
			want := coldMapped(fd, r.off, r.end, page)
			got, ok := coldAlike(fd, r.off, r.end, page)
			if alike := total(want) == 0 || total(want) >= r.end-r.off; ok && !slices.Equal(got, want) || ok && !alike {
				t.Errorf("%d bytes warm, range %v: %v (%v), page by page %v", warm, r, got, ok, want)
			}
			if now := cold(fd, r.off, r.end); !slices.Equal(now, want) {
				t.Errorf("%d bytes warm, range %v: cold %v, page by page %v", warm, r, now, want)
			}
		}
	}
}

// TestOverlayIsNotCold: the pages of a file on overlayfs are those of a file below, of which the kernel counts none.
func TestOverlayIsNotCold(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root and overlayfs")
	}
	base := coolDir(t)
	var dirs []any
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		dirs = append(dirs, filepath.Join(base, name))
		if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(base, "lower", "f"), noise("x", 1<<20))
	merged := filepath.Join(base, "merged")
	if err := unix.Mount("overlay", merged, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dirs[:3]...)); err != nil {
		t.Skip("needs root and overlayfs")
	}
	defer unix.Unmount(merged, unix.MNT_DETACH)
	f, err := os.Open(filepath.Join(merged, "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	if spans := cold(int(f.Fd()), 0, 1<<20); len(spans) > 0 {
		t.Errorf("%v is said to be cold, and all was read just now", spans)
	}
}
