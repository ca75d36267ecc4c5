package recipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBuildKeepsGoing(t *testing.T) {
	dir := makeTree(t, map[string]string{"good": "good", "deep/x": "1"})
	long := filepath.Join(dir, "deep")
	for range 260 {
		long = filepath.Join(long, "d")
	}
	must(t, os.MkdirAll(long, 0o755))
	cfg := BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o.dfr")}
	_, _, err := Build(t.Context(), cfg)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != MaxDepth || !strings.HasPrefix(limit.Entry, "deep/d/d/") {
		t.Fatalf("tree that is too deep: %v", err)
	}
	if _, err := os.Stat(cfg.Out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed build left its file: %v", err)
	}
	cfg.KeepGoing = true
	f, stats := buildTree(t, cfg)
	if stats.Failed != 1 || len(stats.Errors) != 1 || !errors.As(stats.Errors[0], &limit) {
		t.Errorf("failed %d: %v", stats.Failed, stats.Errors)
	}
	if _, ok := entries(t, f)["good"]; !ok {
		t.Error("the rest is missing")
	}
}

func TestBuildUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		testAsNobody(t)
		return
	}
	dir := makeTree(t, map[string]string{"dir/x": "1", "file": "2", "good": "3"})
	must(t, os.Chmod(filepath.Join(dir, "dir"), 0))
	defer func() { _ = os.Chmod(filepath.Join(dir, "dir"), 0o755) }()
	must(t, os.Chmod(filepath.Join(dir, "file"), 0))
	f, stats := buildTree(t, BuildConfig{Path: dir, KeepGoing: true})
	got := entries(t, f)
	if len(got) != 2 || stats.Failed != 2 || !errors.Is(stats.Errors[0], fs.ErrPermission) || !strings.Contains(stats.Errors[0].Error(), dir+"/dir") {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
}

// testAsNobody runs the calling test again as a user who may not read everything.
func testAsNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "nobody")
	must(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	must(t, os.Chmod(dir, 0o777))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	exe := filepath.Join(dir, "test")
	must(t, os.WriteFile(exe, self, 0o755))
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// buildHooked builds a tree while hook runs after each file is read.
func buildHooked(t *testing.T, cfg BuildConfig, hook func(path string)) (*File, *BuildStats, error) {
	t.Helper()
	cfg.Out = filepath.Join(t.TempDir(), "o.dfr")
	b, err := newBuild(cfg)
	must(t, err)
	b.afterRead = hook
	return b.build(t.Context())
}

func TestBuildEndsWhenTheStoreFails(t *testing.T) {
	dir := makeTree(t, map[string]string{"big": randomText(1, 3<<20)})
	b, err := newBuild(BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o"), KeepGoing: true})
	must(t, err)
	must(t, b.store.Close())
	b.store.out = bufio.NewWriterSize(b.store.file, 16) // the error comes at the first node
	if _, _, err := b.build(t.Context()); !errors.Is(err, errStore) {
		t.Errorf("error %v", err)
	}
}

func TestBuildRefusesConfig(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	good := BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o")}
	for name, change := range map[string]func(*BuildConfig){
		"no output":            func(c *BuildConfig) { c.Out = "" },
		"unknown mask":         func(c *BuildConfig) { c.Mask = 4 },
		"unknown hash":         func(c *BuildConfig) { c.Hash = 9 },
		"unregistered chunker": func(c *BuildConfig) { c.Profile = Rabin16; c.Profile.Name = "other" },
		"bad parameters":       func(c *BuildConfig) { c.Profile = Rabin16; c.Profile.Max = 1 },
		"no temp dir":          func(c *BuildConfig) { c.TempDir = filepath.Join(dir, "none") },
	} {
		cfg := good
		change(&cfg)
		if f, _, err := Build(t.Context(), cfg); err == nil {
			_ = f.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBuildOfChangingFiles(t *testing.T) {
	dir := makeTree(t, map[string]string{"once": randomText(1, 1000), "ever": randomText(2, 1000), "still": "x"})
	reads := map[string]int{}
	hook := func(path string) {
		name := filepath.Base(path)
		if reads[name]++; name == "ever" || name == "once" && reads[name] == 1 {
			must(t, os.WriteFile(path, []byte(randomText(uint64(reads[name]), 1000+reads[name])), 0o644))
		}
	}
	f, stats, err := buildHooked(t, BuildConfig{Path: dir, Workers: 1, KeepGoing: true}, hook)
	must(t, err)
	defer func() { _ = f.Close() }()
	got := entries(t, f)
	if got["once"].Size != 1001 || stats.Failed != 1 || !errors.Is(stats.Errors[0], ErrChanged) || !strings.Contains(stats.Errors[0].Error(), dir+"/ever") {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
	if reads["ever"] != 2 {
		t.Errorf("%d reads of a file that always changes", reads["ever"])
	}
}

func TestBuildLosesHardlinksOfLostFiles(t *testing.T) {
	dir := makeTree(t, map[string]string{"a/first": randomText(1, 1000), "good": "x"})
	must(t, os.Link(filepath.Join(dir, "a/first"), filepath.Join(dir, "b")))
	hook := func(path string) {
		if filepath.Base(path) == "first" {
			must(t, os.Truncate(path, time.Now().UnixNano()%1000+2000))
			must(t, os.Chtimes(path, then, time.Now()))
		}
	}
	f, stats, err := buildHooked(t, BuildConfig{Path: dir, Mask: MaskUnix, Workers: 1, KeepGoing: true}, hook)
	must(t, err)
	defer func() { _ = f.Close() }()
	if got := entries(t, f); len(got) != 3 || stats.Failed != 2 || !strings.Contains(stats.Errors[1].Error(), `"a/first"`) {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
}

func TestBuildFileBecomesFifo(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	d, err := openat(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	must(t, err)
	defer func() { _ = unix.Close(d) }()
	must(t, os.Remove(filepath.Join(dir, "f")))
	b, err := newBuild(BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o")})
	must(t, err)
	defer func() { _ = b.store.Close() }()
	c := &content{b: b, small: newElements(b.cutter, BLAKE3, 0)}
	for _, make := range []func(string) error{
		func(p string) error { return unix.Mkfifo(p, 0o644) },
		func(p string) error { return os.Symlink("/etc/passwd", p) },
		func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		must(t, make(filepath.Join(dir, "f")))
		s := step{kind: stepFile, dir: &dirFD{fd: d, shown: dir}, open: "f", entry: Entry{Name: "f", Type: TypeFile}}
		if err := c.complete(t.Context(), &s); !errors.Is(err, ErrChanged) {
			t.Errorf("error %v", err)
		}
		must(t, os.Remove(filepath.Join(dir, "f")))
	}
}

func TestBuildCanceled(t *testing.T) {
	dir := makeTree(t, wideFiles())
	out := t.TempDir()
	open := openFDs(t)
	for _, after := range []uint64{0, 3000} {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := BuildConfig{Path: dir, Out: filepath.Join(out, "o.dfr"), Progress: func(p Progress) {
			if p.Files >= after {
				cancel()
			}
		}}
		if _, _, err := Build(ctx, cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled after %d files: %v", after, err)
		}
		cancel()
	}
	left, err := os.ReadDir(out)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
	if n := openFDs(t); n > open {
		t.Errorf("%d open files, %d before", n, open)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}
