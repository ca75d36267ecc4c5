package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// TestSharedBlocks runs the scripts in testdata/shared on file systems whose files can share blocks. Each script has an empty one
// at $FS, the commands of TestScripts, and
//
//	sharing PERCENT FILE  wants that so much of a file lies in blocks that another file has too
//	overlook FILE         has the index updated and then changes a byte of a file so that none of its times tells
func TestSharedBlocks(t *testing.T) {
	for _, kind := range []string{"xfs", "btrfs"} {
		t.Run(kind, func(t *testing.T) {
			mayLoopMount(t, kind)
			testscript.Run(t, testscript.Params{
				Dir: "testdata/shared",
				Setup: func(env *testscript.Env) error {
					dir := filepath.Join(env.WorkDir, "fs")
					env.Setenv("FS", dir)
					env.Defer(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
					if err := mountFresh(kind, dir); err != nil {
						return err
					}
					return setUpScript(env)
				},
				Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
					"status": cmdStatus, "serve": cmdServe, "grow": cmdGrow, "killget": cmdKill, "mostly": cmdMostly,
					"sharing": cmdSharing, "overlook": cmdOverlook,
				},
			})
		})
	}
}

// mayLoopMount skips a test where file systems of a kind can't be made and mounted.
func mayLoopMount(t *testing.T, kind string) {
	t.Helper()
	if _, err := exec.LookPath("filefrag"); err != nil {
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "fs")
	if err := mountFresh(kind, dir); err != nil {
		t.Skip(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

// mountFresh makes an empty file system in a file beside a directory, and mounts it there.
func mountFresh(kind, dir string) error {
	image := dir + ".img"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, cmd := range [][]string{{"mkfs." + kind, "-q", image}, {"mount", "-t", kind, "-o", "loop", image, dir}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", cmd[0], err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// extentLine is what filefrag prints of an extent: its number, ranges, length in blocks, and what is special about it.
var extentLine = regexp.MustCompile(`(?m)^ *\d+: +\d+\.\. +\d+: +\d+\.\. +\d+: +(\d+):(.*)$`)

// cmdSharing asks the file system which blocks of a file are shared.
func cmdSharing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sharing PERCENT FILE")
	}
	least, err := strconv.ParseFloat(args[0], 64)
	ts.Check(err)
	out, err := exec.Command("filefrag", "-s", "-v", "-b4096", ts.MkAbs(args[1])).CombinedOutput()
	if err != nil {
		ts.Fatalf("filefrag: %v: %s", err, out)
	}
	all, shared := 0, 0
	for _, m := range extentLine.FindAllStringSubmatch(string(out), -1) {
		n, _ := strconv.Atoi(m[1])
		if all += n; strings.Contains(m[2], "shared") {
			shared += n
		}
	}
	if got := 100 * float64(shared) / float64(max(all, 1)); got < least {
		ts.Fatalf("%d of %d blocks are shared, want %v %%:\n%s", shared, all, least, out)
	}
}

// cmdOverlook changes a byte of a mapped file after the index has read it. As long as the page is not written back, only the
// first change of it shows in the file's times.
func cmdOverlook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: overlook FILE")
	}
	path := ts.MkAbs(args[0])
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	st, err := f.Stat()
	ts.Check(err)
	data, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	ts.Check(err)
	defer unix.Munmap(data)
	at := data[len(data)/2:][:1]
	right := []byte{at[0]}
	for day := 1; day < 20; day++ { // somebody may have everything written back just then
		copy(at, right)
		old := st.ModTime().AddDate(0, 0, -day)
		ts.Check(os.Chtimes(path, old, old))
		ts.Check(dfetch(ts, "index", "update").Run())
		var before, after unix.Stat_t
		ts.Check(unix.Stat(path, &before))
		copy(at, []byte{^right[0]})
		ts.Check(unix.Stat(path, &after))
		if before.Ctim == after.Ctim && before.Mtim == after.Mtim {
			return
		}
	}
	ts.Fatalf("the file's times always tell that it has changed")
}
