package tree

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// The crash tests run this test binary again as a child that fills a destination and dies.
const (
	envDest  = "DFETCH_TEST_CRASH_DEST"
	envFsync = "DFETCH_TEST_CRASH_FSYNC"
	envAt    = "DFETCH_TEST_CRASH_AT" // dies at this fault point; 0: never by itself
	envUser  = "DFETCH_TEST_AS_USER"
)

func TestMain(m *testing.M) {
	unix.Umask(0o022)
	switch {
	case os.Getenv(envDest) != "":
		os.Exit(crashChild())
	case os.Getenv(envUser) != "":
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// crashWorld has files of one piece and of many, links, and directories.
func crashWorld() world {
	w := world{file("0small", "small", 0o644), dir("d", 0o555)}
	for i := range 4 {
		body := strings.Repeat(fmt.Sprintf("%d line of a larger file\n", i), 200)
		w = append(w, file(fmt.Sprintf("d/large%d", i), body, 0o640), file(fmt.Sprintf("d/small%d", i), "tiny", 0o600))
	}
	return append(w, symlink("d/z", "small0"), hardlink("e", "d/large0"), dir("f", 0o700))
}

func crashConfig(dest string, mode Fsync) Config {
	cfg := crashWorld().config(dest)
	cfg.Fsync, cfg.eager, cfg.Hold, cfg.clone = mode, true, always, copyRange
	cfg.Root.Mask = recipe.MaskPortable
	return cfg
}

// crashChild fills the destination in small pieces with many barriers, and kills itself on the way.
func crashChild() int {
	mode, _ := strconv.Atoi(os.Getenv(envFsync))
	at, _ := strconv.Atoi(os.Getenv(envAt))
	cfg := crashConfig(os.Getenv(envDest), Fsync(mode))
	var mu sync.Mutex
	cfg.fault = func(string) {
		mu.Lock()
		defer mu.Unlock()
		if at--; at == 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := crashFill(cfg, func(string, Extent) {}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const crashPiece = 900

// crashFill gets the world and tells what it had to write.
func crashFill(cfg Config, wrote func(path string, e Extent)) error {
	w := crashWorld()
	t, err := Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	if cfg.Fsync == FsyncEnd {
		t.journal.most = 1000 // rewritten every few barriers
	}
	n := 0
	err = w.walk(context.Background(), func(it recipe.Item) error {
		f, err := t.Plan(it)
		if err != nil || f == nil {
			return err
		}
		data := w[it.Number-1].data
		for off := 0; off < len(data); off += crashPiece {
			piece := data[off:min(off+crashPiece, len(data))]
			if err := crashPut(f, off, piece, wrote); err != nil {
				return err
			}
			if n++; n%3 == 0 {
				if err := t.Flush(context.Background()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Abort()
		return err
	}
	_, err = t.Finish(context.Background())
	return err
}

// crashPut does what a fetcher does with one chunk.
func crashPut(f *File, off int, piece string, wrote func(string, Extent)) error {
	e := Extent{int64(off), int64(len(piece))}
	if f.Holds(e.Off, e.Len) {
		return nil
	}
	if f.Staged(e.Off, e.Len) {
		if got, err := f.ReadStaged(e.Off, e.Len); err == nil && string(got) == piece {
			return f.HoldVerified(e.Off, e.Len)
		}
	}
	wrote(f.Path(), e)
	if off/crashPiece%2 == 1 {
		return crashClone(f, e, piece)
	}
	return f.Write(e.Off, []byte(piece))
}

// crashClone is crashPut for a chunk whose blocks are shared.
func crashClone(f *File, e Extent, piece string) error {
	src, err := os.CreateTemp("", "dfetch-crash-")
	if err != nil {
		return err
	}
	defer src.Close()
	if _, err := src.WriteString(piece); err != nil {
		return errors.Join(err, os.Remove(src.Name()))
	}
	if err := os.Remove(src.Name()); err != nil {
		return err
	}
	c := f.Clone(int(src.Fd()), 0, e.Off, e.Len)
	if c == nil {
		return fmt.Errorf("%v of %s is not cloned", e, f.Path())
	}
	defer c.Close()
	return c.HoldVerified(e.Off, e.Len)
}

func startChild(t *testing.T, dest string, mode Fsync, at int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDest+"="+dest, fmt.Sprintf("%s=%d", envFsync, mode), fmt.Sprintf("%s=%d", envAt, at))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// killed tells whether the child died by its signal; a child that failed otherwise ends the test.
func killed(t *testing.T, cmd *exec.Cmd) bool {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	return false
}

// covered reads what the journal says is durable, by path.
func covered(t *testing.T, dest string, mode Fsync) map[string]extents {
	t.Helper()
	id := crashConfig(dest, mode).Recipe
	f, err := os.Open(filepath.Join(dest, DirName, hex.EncodeToString(id[:]), journalName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	states, err := loadJournal(f, header{recipe: id, mount: 1})
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]extents)
	for n, s := range states {
		out[crashWorld()[n-1].path] = s.durable
	}
	return out
}

// finishAfterCrash completes what a child left and checks that nothing that a barrier covered is
// written again.
func finishAfterCrash(t *testing.T, dest string, mode Fsync) (written int64) {
	t.Helper()
	safe := covered(t, dest, mode)
	err := crashFill(crashConfig(dest, mode), func(path string, e Extent) {
		written += e.Len
		for _, s := range safe[path] {
			if s.Off < e.end() && e.Off < s.end() {
				t.Errorf("%s: %v is written again, a barrier covered %v", path, e, s)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	crashWorld().check(t, dest)
	return written
}

func TestKilledAtEachRecord(t *testing.T) {
	for name, mode := range map[string]Fsync{"end": FsyncEnd, "none": FsyncNone, "file": FsyncFile} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at += crashStep {
				dest := filepath.Join(t.TempDir(), "d")
				if !killed(t, startChild(t, dest, mode, at)) {
					if at < 20 {
						t.Errorf("only %d fault points", at)
					}
					return
				}
				finishAfterCrash(t, dest, mode)
			}
		})
	}
}

// TestKilledAgainAndAgain dies at later and later points over one destination, then completes.
func TestKilledAgainAndAgain(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "d")
	for at := 1; killed(t, startChild(t, dest, FsyncEnd, at)); at += 2 {
	}
	finishAfterCrash(t, dest, FsyncEnd)
}

func TestKilledAtRandomMoments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range crashRounds {
		dest := filepath.Join(t.TempDir(), "d")
		cmd := startChild(t, dest, Fsync(rng.IntN(3)), 0)
		timer := time.AfterFunc(time.Duration(rng.IntN(30_000))*time.Microsecond, func() { cmd.Process.Kill() })
		killed(t, cmd)
		timer.Stop()
		finishAfterCrash(t, dest, FsyncEnd)
	}
}

// TestPowerLoss: after another boot only what a barrier covered is trusted; the rest of what is staged
// is offered for hashing.
func TestPowerLoss(t *testing.T) {
	dest := t.TempDir()
	w := world{file("a", strings.Repeat("0123456789", 1000), 0o644)}
	cfg := w.config(dest)
	tr, f := openOne(t, cfg, w)
	write(t, f, w, 0, 4000)
	if err := tr.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	write(t, f, w, 4000, 8000)
	if err := tr.sync.record(); err != nil {
		t.Fatal(err)
	}
	journalPath := filepath.Join(dest, DirName, hex.EncodeToString(cfg.Recipe[:]), journalName)
	before, err := os.ReadFile(journalPath)
	if err != nil {
		t.Fatal(err)
	}
	tr.Abort()

	h, err := scanJournal(strings.NewReader(string(before)), func(uint64, record) {})
	if err != nil {
		t.Fatal(err)
	}
	h.boot[0] ^= 0xff
	if err := os.WriteFile(journalPath, append(appendHeader(nil, h), before[headerSize:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, f = openOne(t, cfg, w)
	defer tr.Abort()
	if !f.Holds(0, 4000) || f.Holds(4000, 1) {
		t.Errorf("trusted after another boot: %v", f.Have())
	}
	if !f.Staged(4000, 4000) || f.Staged(0, 4000) {
		t.Errorf("offered for hashing: %v", f.doubtful)
	}
}

// TestSameBootTrustsAllRecords is the twin of TestPowerLoss without the boot.
func TestSameBootTrustsAllRecords(t *testing.T) {
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		dest := t.TempDir()
		w := world{file("a", strings.Repeat("0123456789", 1000), 0o644)}
		cfg := w.config(dest)
		cfg.Fsync = mode
		tr, f := openOne(t, cfg, w)
		write(t, f, w, 0, 4000)
		write(t, f, w, 6000, 8000)
		tr.Abort()
		if err := f.Write(4000, []byte("late")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Abort: %v", err)
		}
		tr, f = openOne(t, cfg, w)
		if got := f.Have(); len(got) != 2 || got[0] != (Extent{0, 4000}) || got[1] != (Extent{6000, 2000}) {
			t.Errorf("trusted: %v", got)
		}
		write(t, f, w, 4000, 6000)
		write(t, f, w, 8000, 10000)
		if _, err := tr.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.check(t, dest)
	}
}

// stagePart writes the first bytes of a world's one file into staging, and leaves.
func stagePart(t *testing.T, dest string, w world, bytes int64) Config {
	t.Helper()
	cfg := w.config(dest)
	tr, f := openOne(t, cfg, w)
	write(t, f, w, 0, bytes)
	tr.Abort()
	return cfg
}

// startsAnew stages a part of a file, spoils something in the staging directory, and wants a second run to trust nothing of it and to
// bring the file all the same.
func startsAnew(t *testing.T, spoil func(staging string) error) {
	t.Helper()
	dest := t.TempDir()
	w := world{file("a", strings.Repeat("0123456789", 1000), 0o644)}
	cfg := stagePart(t, dest, w, 4000)
	if err := spoil(filepath.Join(dest, DirName, hex.EncodeToString(cfg.Recipe[:]))); err != nil {
		t.Fatal(err)
	}
	tr, f := openOne(t, cfg, w)
	if len(f.Have()) > 0 {
		t.Errorf("trusted: %v", f.Have())
	}
	write(t, f, w, 0, 10000)
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, dest)
}

func TestStagedFileThatChangedIsNotTrusted(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("stays"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(string) error{
		"size": func(p string) error { return os.Truncate(p, 50) },
		"inode": func(p string) error {
			return errors.Join(os.Rename(p, p+"x"), os.WriteFile(p, make([]byte, 10000), 0o600))
		},
		"type": func(p string) error { return errors.Join(os.Remove(p), os.Symlink(outside, p)) },
		"link": func(p string) error {
			return errors.Join(os.Remove(p), os.Truncate(outside, 10000), os.Link(outside, p))
		},
		"linked":    func(p string) error { return os.Link(p, outside+".copy") },
		"directory": func(p string) error { return errors.Join(os.Remove(p), os.MkdirAll(p+"/a/b", 0o700)) },
		"fifo":      func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) },
	} {
		t.Run(name, func(t *testing.T) {
			startsAnew(t, func(staging string) error { return spoil(filepath.Join(staging, "1")) })
			if got, _ := os.ReadFile(outside); !strings.HasPrefix(string(got), "stays") {
				t.Errorf("the file outside is %.20q", got)
			}
		})
	}
}

// TestJournalOfAnotherType: what stands in the journal's place and is no file counts as no journal, and is removed.
func TestJournalOfAnotherType(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"fifo":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"symlink":   func(p string) error { return os.Symlink("/dev/null", p) },
		"directory": func(p string) error { return os.MkdirAll(p+"/a", 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			startsAnew(t, func(staging string) error {
				p := filepath.Join(staging, journalName)
				return errors.Join(os.Remove(p), spoil(p))
			})
		})
	}
}

// TestJournalIsRewritten: a journal that is rewritten at each barrier says the same.
func TestJournalIsRewritten(t *testing.T) {
	w := world{file("a", strings.Repeat("0123456789", 1000), 0o644)}
	cfg := w.config(t.TempDir())
	tr, f := openOne(t, cfg, w)
	tr.journal.most = 1
	for off := int64(0); off < 9000; off += 1500 {
		write(t, f, w, off, off+1000)
		if err := tr.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if tr.journal.size > headerSize+9*recordSize {
		t.Errorf("the journal has %d bytes", tr.journal.size)
	}
	tr.Abort()
	tr, f = openOne(t, cfg, w)
	defer tr.Abort()
	if got := extents(f.Have()); len(got) != 6 || got.bytes() != 6000 {
		t.Errorf("trusted: %v", got)
	}
}

// openOne opens a world of one file and plans it.
func openOne(t *testing.T, cfg Config, w world) (*Tree, *File) {
	t.Helper()
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var f *File
	err = w.walk(context.Background(), func(it recipe.Item) error {
		got, err := tr.Plan(it)
		if got != nil {
			f = got
		}
		return err
	})
	if err != nil || f == nil {
		t.Fatal(f, err)
	}
	return tr, f
}

func write(t *testing.T, f *File, w world, from, to int64) {
	t.Helper()
	if err := f.Write(from, []byte(w[f.number-1].data[from:to])); err != nil {
		t.Fatal(err)
	}
}
