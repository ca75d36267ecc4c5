package tree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// mountWorld has entries of all kinds on, below, above and beside the directory m.
func mountWorld() world {
	return world{
		file("a", strings.Repeat("a", 3000), 0o644), dir("m", 0o755), file("m/f", strings.Repeat("f", 3000), 0o640), dir("m/new", 0o755),
		file("m/new/g", "g", 0o644), symlink("m/new/l", "g"), hardlink("m/z", "m/f"), dir("n", 0o755), file("n/h", "h", 0o644),
	}
}

// pretendMount makes a tree take a directory that exists for a mount.
func pretendMount(t *testing.T, cfg *Config, path string) {
	t.Helper()
	put(t, cfg.Dest, path+"/")
	top := inodeAt(t, filepath.Join(cfg.Dest, path))
	cfg.mountOf = func(fd int) mountKey {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || inodeOf(&st) != top {
			return mountKey{mount: 1}
		}
		return mountKey{mount: 2}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// TestMountHasStagingOfItsOwn: what lies on a mount is staged on it, all comes to its place, and no staging directory
// stays, there neither.
func TestMountHasStagingOfItsOwn(t *testing.T) {
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		w := mountWorld()
		cfg := w.config(t.TempDir())
		cfg.Fsync, cfg.Delete, cfg.Hold = mode, true, always
		pretendMount(t, &cfg, "m")
		put(t, cfg.Dest, "m/new", "m/surplus")
		used := false
		cfg.fault = func(string) { used = used || exists(filepath.Join(cfg.Dest, "m", DirName)) }
		w.mustGet(t, cfg)
		w.check(t, cfg.Dest)
		if !used {
			t.Error("the mount had no staging directory")
		}
	}
}

// TestMountThatIsRightIsLeftAlone: nothing is staged where nothing has to come.
func TestMountThatIsRightIsLeftAlone(t *testing.T) {
	w := mountWorld()
	cfg := w.config(t.TempDir())
	pretendMount(t, &cfg, "m")
	w.mustGet(t, cfg)
	before := inodeAt(t, filepath.Join(cfg.Dest, "m"))
	tr := mustOpen(t, cfg)
	if err := w.fill(tr, 1000); err != nil {
		t.Fatal(err)
	}
	if len(tr.mounts.opened()) != 0 {
		t.Error("a staging directory was made")
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	if w.check(t, cfg.Dest); inodeAt(t, filepath.Join(cfg.Dest, "m")) != before {
		t.Error("the directory was replaced")
	}
}

// TestMountResumes: what an earlier run staged on a mount is there to be hashed again.
func TestMountResumes(t *testing.T) {
	w := mountWorld()
	cfg := w.config(t.TempDir())
	pretendMount(t, &cfg, "m")
	tr := mustOpen(t, cfg)
	err := w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if f != nil && it.Path == "m/f" {
			err = f.Write(0, []byte(w[2].data[:2000]))
		}
		return err
	})
	if err := errors.Join(err, tr.Abort()); err != nil {
		t.Fatal(err)
	}
	tr = mustOpen(t, cfg)
	held := false
	err = w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		if it.Path != "m/f" {
			return fillFile(f, w[it.Number-1].data, 1000)
		}
		if f.Holds(0, 1) {
			t.Error("bytes without a journal are trusted")
		}
		data, err := f.ReadStaged(0, 2000)
		if held = f.Staged(0, 2000) && err == nil && string(data) == w[2].data[:2000]; held {
			err = f.HoldVerified(0, 2000)
		}
		return errors.Join(err, f.Write(2000, []byte(w[2].data[2000:])))
	})
	if err != nil || !held {
		t.Fatal(err, held)
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, cfg.Dest)
}

// TestStagingOfAMountIsNoEntry: a recipe can't have its name, and a mount whose staging nobody could use keeps nothing.
func TestStagingOfAMountIsNoEntry(t *testing.T) {
	w := world{dir("m", 0o755), file("m/.dfetch", "x", 0o644), file("m/f", "f", 0o644)}
	cfg := w.config(t.TempDir())
	pretendMount(t, &cfg, "m")
	r, err := w.get(t, cfg)
	if !errors.Is(err, ErrPartial) || r.FailedCount != 1 || r.Failed[0].Path != "m/.dfetch" {
		t.Errorf("%v: %v", err, r.Failed)
	}
	world{w[0], w[2]}.check(t, cfg.Dest)
}

// noMounts is why a test in a namespace is skipped.
const noMounts = "nothing may be mounted in a user namespace here: "

// inNamespace runs the calling test again where it may mount. It says false in there.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envUser) != "" {
		return false
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), envUser+"=1", "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		t.Skip("no user namespaces here: ", err)
	}
	if err != nil {
		t.Fatalf("in a namespace: %v\n%s", err, out)
	}
	if bytes.Contains(out, []byte(noMounts)) {
		t.Skip(noMounts)
	}
	return true
}

// TestRealMounts: another file system, and another view of the same one, that lie below the destination.
func TestRealMounts(t *testing.T) {
	if inNamespace(t) {
		return
	}
	base := t.TempDir()
	dest := filepath.Join(base, "dest")
	put(t, base, "dest/m/", "dest/n/", "elsewhere/")
	mountAt := func(source, at, kind string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(source, at, kind, flags, ""); errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			t.Skip(noMounts, err)
		} else if err != nil {
			t.Fatal("mount: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	mountAt("tmpfs", filepath.Join(dest, "m"), "tmpfs", 0)
	mountAt(filepath.Join(base, "elsewhere"), filepath.Join(dest, "n"), "", unix.MS_BIND)
	w := mountWorld()
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		put(t, dest, "m/f", "n/h", "n/surplus")
		cfg := w.config(dest)
		cfg.Fsync, cfg.Delete = mode, true
		w.mustGet(t, cfg)
		w.check(t, dest)
	}

	// A read-only one fails by its entries alone, and what is right on it is no failure.
	if err := unix.Mount("", filepath.Join(dest, "m"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal("remount: ", err)
	}
	w2 := mountWorld()
	w2[2] = file("m/f", "changed", 0o640)
	w2[8] = file("n/h", "changed too", 0o644)
	r, err := w2.get(t, w2.config(dest))
	if !errors.Is(err, ErrPartial) || len(r.Failed) == 0 || r.Failed[0].Path != "m/f" || !errors.Is(r.Failed[0].Err, errReadOnly) {
		t.Errorf("%v: %v", err, r.Failed)
	}
	if got, _ := os.ReadFile(filepath.Join(dest, "n/h")); string(got) != "changed too" {
		t.Errorf("the other file is %q", got)
	}
}
