package tree

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRacingSymlinks: while a tree is made, another goroutine keeps exchanging its directories for
// symlinks that lead outside. Nothing may appear there.
func TestRacingSymlinks(t *testing.T) {
	base := t.TempDir()
	dest, outside := filepath.Join(base, "dest"), filepath.Join(base, "outside")
	put(t, base, "outside/d/", "dest/")
	w := world{dir("d", 0o755)}
	for i := range 200 {
		w = append(w, file(fmt.Sprintf("d/%03d", i), strings.Repeat("x", 100), 0o644))
	}
	w = append(w, dir("d/s", 0o755), symlink("d/s/l", "t"), file("d/s/m", "m", 0o644))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				exchangeForSymlink(dest, outside)
			}
		}
	})
	for i := range 30 {
		cfg := w.config(dest)
		cfg.Fsync, cfg.Delete = FsyncNone, i%2 == 0
		_, _ = w.get(t, cfg) // failing is allowed, leaving the destination is not
	}
	close(stop)
	wg.Wait()
	err := filepath.WalkDir(outside, func(p string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(outside, p); rel != "." && rel != "d" {
			t.Errorf("written outside: %s", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// exchangeForSymlink puts a symlink in the place of dest/d and takes it away again.
func exchangeForSymlink(dest, outside string) {
	d := filepath.Join(dest, "d")
	if os.Rename(d, d+".away") != nil {
		return
	}
	_ = os.Symlink(filepath.Join(outside, "d"), d)
	_ = os.Remove(d)
	_ = os.Rename(d+".away", d)
	_ = os.RemoveAll(d + ".away")
}

// TestNamesThatLeadOut: a decoder refuses such names; if one came through, it must do no harm.
func TestNamesThatLeadOut(t *testing.T) {
	base := t.TempDir()
	put(t, base, "outside", "dest/")
	w := world{
		file("..", "x", 0o644), dir(".", 0o755), file(".dfetch", "x", 0o644), hardlink("a", "../outside"), hardlink("b", "/outside"),
		dir("d", 0o755), dir("d/..", 0o755), dir("d/../..", 0o755), file("d/../../f", "x", 0o644), file("ok", "ok", 0o644),
	}
	cfg := w.config(filepath.Join(base, "dest"))
	cfg.Delete = true
	r, err := w.get(t, cfg)
	if !errors.Is(err, ErrPartial) || r.FailedCount != 8 {
		t.Fatalf("%v: %v", err, r.Failed)
	}
	world{dir("d", 0o755), w[9]}.check(t, cfg.Dest)
	if names, _ := os.ReadDir(base); len(names) != 2 {
		t.Errorf("outside: %v", names)
	}
}

// TestFailuresNameThePathOnce: what a person reads has the path, the doing and the cause.
func TestFailuresNameThePathOnce(t *testing.T) {
	w := world{file("a", "new", 0o644)}
	cfg := w.config(t.TempDir())
	put(t, cfg.Dest, "a/b")
	r, _ := w.get(t, cfg)
	if got := r.Failed[0].String(); got != "a: put in place: "+errNotEmpty.Error() {
		t.Errorf("got %q", got)
	}
}

// mountTmpfs mounts a small file system for one test.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	at := t.TempDir()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting is not possible here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// TestFailuresQuoteNames: a name with control characters can't forge a line of output.
func TestFailuresQuoteNames(t *testing.T) {
	for path, want := range map[string]string{
		"a b/c": "a b/c: x", "a\nb": `"a\nb": x`, "\x1b[31m": `"\x1b[31m": x`, "\xff": `"\xff": x`,
	} {
		if got := (Failure{path, errors.New("x")}).String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestFullDisk(t *testing.T) {
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		at := mountTmpfs(t, "size=1m")
		dest := filepath.Join(at, "dest")
		put(t, at, "dest/b")
		w := world{file("a", strings.Repeat("a", 300<<10), 0o644), file("b", strings.Repeat("b", 2<<20), 0o644)}
		cfg := w.config(dest)
		cfg.Fsync = mode
		_, err := w.get(t, cfg)
		if !errors.Is(err, ErrNoSpace) {
			t.Fatalf("got %v", err)
		}
		if got, _ := os.ReadFile(filepath.Join(dest, "b")); string(got) != "dest/b" && string(got) != "b" && len(got) > 10 {
			t.Errorf("the old file was harmed: %d bytes", len(got))
		}
		if err := unix.Mount("", at, "", unix.MS_REMOUNT, "size=8m"); err != nil {
			t.Fatal(err)
		}
		r := w.mustGet(t, cfg)
		w.check(t, dest)
		if r.ResumedBytes == 0 {
			t.Error("what was staged was not used")
		}
	}
}

func TestReserve(t *testing.T) {
	at := mountTmpfs(t, "size=1m")
	tr, err := Open(context.Background(), basicWorld().config(at))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Abort()
	if err := tr.Reserve(500 << 10); err != nil {
		t.Error(err)
	}
	var space *SpaceError
	if err := tr.Reserve(1 << 20); !errors.As(err, &space) || !errors.Is(err, ErrNoSpace) || space.Need <= 1<<20 || space.Free >= 1<<20 {
		t.Errorf("got %v", err)
	}
}

// TestStagedRoom: what an earlier run staged takes no more room, unless another name has it too.
func TestStagedRoom(t *testing.T) {
	at := t.TempDir()
	data := make([]byte, 700_000) // which no file system makes smaller
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	w := world{file("a", string(data), 0o644)}
	cfg := stagePart(t, at, w, 600_000)
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Abort()
	if n := tr.StagedRoom(1, 700_000); n < 600_000 || n > 700_000 {
		t.Errorf("%d bytes are staged, want 600000", n)
	}
	if n := tr.StagedRoom(1, 1000); n != 1000 {
		t.Errorf("%d bytes of 1000 are staged", n)
	}
	if n := tr.StagedRoom(2, 700_000); n != 0 {
		t.Errorf("%d bytes of an entry that is not there", n)
	}
	staged := filepath.Join(at, DirName, hex.EncodeToString(cfg.Recipe[:]), "1")
	if err := os.Link(staged, filepath.Join(t.TempDir(), "copy")); err != nil {
		t.Fatal(err)
	}
	if n := tr.StagedRoom(1, 700_000); n != 0 {
		t.Errorf("%d bytes of a file that has another name", n)
	}
}

func TestReadOnlyMount(t *testing.T) {
	at := mountTmpfs(t, "size=1m")
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("remounting is not possible here: %v", err)
	}
	if _, err := Open(context.Background(), basicWorld().config(at)); !errors.Is(err, unix.EROFS) || !strings.Contains(err.Error(), at) {
		t.Errorf("got %v", err)
	}
}

// asUser runs one test of this binary again as an ordinary user, if this is root.
func asUser(t *testing.T) (again bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	scratch := t.TempDir()
	for p := scratch; p != "/" && p != filepath.Clean(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	exe := filepath.Join(scratch, "test")
	raw, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = os.WriteFile(exe, raw, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = scratch
	cmd.Env = append(os.Environ(), envUser+"=1", "TMPDIR="+scratch)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as an ordinary user: %v\n%s", err, out)
	}
	return true
}

func TestReadOnlyDirectories(t *testing.T) {
	if asUser(t) {
		return
	}
	for _, mode := range []Fsync{FsyncEnd, FsyncNone} {
		dest := t.TempDir()
		w := world{dir("r", 0o555), file("r/f", "old", 0o444), dir("r/s", 0o500), file("r/s/g", "g", 0), symlink("r/s/l", "x"), dir("r/z", 0)}
		cfg := w.config(dest)
		cfg.Fsync = mode
		w.mustGet(t, cfg)
		w2 := world{dir("r", 0o555), file("r/f", "newer", 0o400), dir("r/s", 0o555), file("r/s/h", "h", 0o444), dir("r/z", 0o500), file("r/z/y", "y", 0o400)}
		cfg = w2.config(dest)
		cfg.Fsync, cfg.Delete = mode, true
		w2.mustGet(t, cfg)
		w2.check(t, dest)
		makeWritable(t, dest)
	}
}

// makeWritable lets the test's directory be removed.
func makeWritable(t *testing.T, dest string) {
	t.Cleanup(func() {
		_ = filepath.WalkDir(dest, func(p string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() {
				return os.Chmod(p, 0o755)
			}
			return nil
		})
	})
}

// TestOwnerNeedsRoot: an ordinary user can't give files away; each such entry is named, and the bits
// that would give away his own rights are not set.
func TestOwnerNeedsRoot(t *testing.T) {
	if asUser(t) {
		return
	}
	w := world{file("a", "content", 0o4755)}
	w[0].entry.UID, w[0].entry.GID = 12345, 12345
	cfg := w.config(t.TempDir())
	cfg.Root.Mask = maskUnix
	r, err := w.get(t, cfg)
	if !errors.Is(err, ErrPartial) || r.FailedCount == 0 || r.Failed[0].Path != "a" {
		t.Fatalf("got %v", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(cfg.Dest, "a"), &st); err != nil || st.Mode&0o7777 != 0o755 {
		t.Errorf("mode %o (%v)", st.Mode, err)
	}
}
