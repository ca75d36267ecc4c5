package load

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/eval/owner"
)

func TestPickHierarchy(t *testing.T) {
	const v1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/blkio cgroup rw,relatime,blkio 0 0\n"
	const v2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
	for _, tt := range []struct {
		mounts string
		usable bool
		want   hierarchy
	}{
		{v1 + v2, true, hierarchy{"/sys/fs/cgroup/unified", true}},
		{v1 + v2, false, hierarchy{"/sys/fs/cgroup/blkio", false}},
		{v2, false, hierarchy{}},
		{"broken line\n", true, hierarchy{}},
	} {
		got, err := pickHierarchy(tt.mounts, func(string) bool { return tt.usable })
		if got != tt.want || (err == nil) != (tt.want != hierarchy{}) || err != nil && !errors.Is(err, ErrNoThrottle) {
			t.Errorf("%q, usable %v: %+v, %v", tt.mounts, tt.usable, got, err)
		}
	}
}

func TestWrapEntersBeforeTheProgram(t *testing.T) {
	group := t.TempDir()
	cmd := exec.Command("sh", "-c", `echo $$ "$1"`, "x", "an argument")
	(&Throttle{group: group}).Wrap(cmd)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	entered, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if want := strings.TrimSpace(string(entered)) + " an argument\n"; err != nil || string(out) != want {
		t.Errorf("the program said %q, want %q: it is to be the process that entered; %v", out, want, err)
	}
}

// throttle makes a group, or says why this machine has none.
func throttle(t *testing.T, dir string, rate int64) *Throttle {
	t.Helper()
	th, err := NewThrottle(dir, rate)
	if errors.Is(err, ErrNoThrottle) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(th.Close(), th.Close()); err != nil {
			t.Error(err)
		}
	})
	return th
}

func TestThrottleHoldsReadsBack(t *testing.T) {
	dir := t.TempDir()
	const size, rate = 8 << 20, 8 << 20
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, bytes.Repeat([]byte{1}, size), 0o644); err != nil {
		t.Fatal(err)
	}
	th := throttle(t, dir, 1)
	if err := th.Set(rate); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("cat", name)
	th.Wrap(cmd)
	start := time.Now()
	out, err := cmd.Output()
	if took := time.Since(start); err != nil || len(out) != size || took < 700*time.Millisecond {
		t.Errorf("read %d bytes in %v at %d bytes a second: %v", len(out), took, rate, err)
	}
	if err := th.Set(0); err == nil {
		t.Error("a limit of 0 was taken")
	}
}

func TestSweepRemovesWhatTheDeadLeft(t *testing.T) {
	mine := throttle(t, t.TempDir(), 1<<20)
	dead := owner.Owner{PID: 1 << 30, Start: "1", Boot: "0"}
	left := filepath.Join(filepath.Dir(mine.group), dead.Name(groupPrefix, "1"))
	sleeper := exec.Command("sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer sleeper.Process.Kill()
	enter := func() error {
		return errors.Join(os.Mkdir(left, 0o755), os.WriteFile(filepath.Join(left, "cgroup.procs"), []byte(strconv.Itoa(sleeper.Process.Pid)), 0o644))
	}
	err := enter()
	for range 10 {
		if errors.Is(err, os.ErrNotExist) { // another process has swept in between
			err = enter()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	h, err := findHierarchy()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.sweep(); err != nil {
		t.Fatal(err)
	}
	if err := sleeper.Wait(); err == nil {
		t.Error("what ran in the dead owner's group ended well, it was not killed")
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead owner's group is still there: %v", err)
	}
	if _, err := os.Stat(mine.group); err != nil {
		t.Errorf("a living owner's group is gone: %v", err)
	}
}
