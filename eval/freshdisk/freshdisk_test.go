package freshdisk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func mustMake(t *testing.T, folder string) *Disk {
	t.Helper()
	d, err := Make(folder, 8<<20)
	if errors.Is(err, ErrNone) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func device(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Dev
}

// TestDiskIsEmptyAndItsOwn: what is written goes to a file system of its own, and nothing stays behind.
func TestDiskIsEmptyAndItsOwn(t *testing.T) {
	folder := t.TempDir()
	d := mustMake(t, folder)
	if device(t, d.Dir()) == device(t, folder) {
		t.Error("it is the folder's own file system")
	}
	if err := os.WriteFile(filepath.Join(d.Dir(), "file"), make([]byte, 8<<20), 0o644); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDeadOwnersDiskIsRemoved: the next disk removes what a killed process left, mounted and not, but not what a living
// one has.
func TestDeadOwnersDiskIsRemoved(t *testing.T) {
	folder := t.TempDir()
	alive, left := mustMake(t, folder), mustMake(t, folder)
	// The same names as of a process that started at another time.
	fields := strings.SplitN(filepath.Base(left.Dir()), "-", 4)
	fields[2] = "1"
	dead := filepath.Join(folder, strings.Join(fields, "-"))
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	killed := &Disk{dead}
	if err := killed.make(8 << 20); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, fields[0]+"-"+fields[1]+"-1-"+fields[3]+"9"+imageEnding), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next := mustMake(t, folder)
	if device(t, alive.Dir()) == device(t, folder) {
		t.Error("the living owner's was unmounted")
	}
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 4 {
		t.Errorf("want two disks with an image each, there are %v, %v", entries, err)
	}
	if device(t, next.Dir()) == device(t, folder) {
		t.Error("the next one is not mounted")
	}
}

// TestNoDiskIsNamed: where none can be made the error says so and why, and nothing stays behind.
func TestNoDiskIsNamed(t *testing.T) {
	t.Setenv("PATH", "")
	folder := t.TempDir()
	_, err := Make(folder, 8<<20)
	if !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "mkfs.ext4") {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := Make(filepath.Join(folder, "none"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
