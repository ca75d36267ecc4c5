package tree

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// copyRange clones as far as anybody can see: on any file system, and at any offset.
func copyRange(dst, src int, from int64, to Extent) error {
	data := make([]byte, to.Len)
	if err := preadFull(src, data, from); err != nil {
		return err
	}
	return pwriteAll(dst, data, to.Off)
}

// sourceOf is an open file with some bytes.
func sourceOf(t testing.TB, data string) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return int(f.Fd())
}

func readClone(t testing.TB, c *Clone, off, n int64) string {
	t.Helper()
	data := make([]byte, n)
	if err := preadFull(c.FD(), data, off); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func cloneWorld() (world, string) {
	data := strings.Repeat("0123456789", 10_000)
	return world{file("a", data, 0o644)}, data
}

// TestCloneIsHeldByParts: what was read in the clone and is right is accounted for, what is wrong is not, and comes by Write.
func TestCloneIsHeldByParts(t *testing.T) {
	for _, mode := range []Fsync{FsyncEnd, FsyncNone, FsyncFile} {
		w, data := cloneWorld()
		cfg := w.config(t.TempDir())
		cfg.Fsync, cfg.clone = mode, copyRange
		tr, f := openOne(t, cfg, w)
		src := sourceOf(t, "moved"+data[:40_000]+strings.Repeat("x", 20_000)+data[60_000:])
		c := f.Clone(src, 5, 0, 90_000)
		if c == nil || readClone(t, c, 0, 40_000) != data[:40_000] {
			t.Fatal("not cloned")
		}
		if err := errors.Join(c.HoldVerified(0, 40_000), c.HoldVerified(60_000, 30_000)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if f.left != 30_000 {
			t.Errorf("%d bytes are left", f.left)
		}
		write(t, f, w, 30_000, 60_000) // some bytes again
		write(t, f, w, 90_000, 100_000)
		r, err := tr.Finish(context.Background())
		if err != nil || r.ClonedBytes != 70_000 || r.WrittenBytes != 40_000 {
			t.Errorf("%v: %+v", err, r)
		}
		w.check(t, cfg.Dest)
	}
}

// TestCloneSparesWhatIsThere: nothing is cloned over bytes that were written, held, told to be a hole or cloned before, nor
// into a file that has ended.
func TestCloneSparesWhatIsThere(t *testing.T) {
	w, data := cloneWorld()
	cfg := w.config(t.TempDir())
	calls := 0
	cfg.clone = func(dst, src int, from int64, to Extent) error { calls++; return copyRange(dst, src, from, to) }
	tr, f := openOne(t, cfg, w)
	write(t, f, w, 10_000, 20_000)
	tr.Abort()
	tr, f = openOne(t, cfg, w) // trusts these
	src := sourceOf(t, data)
	write(t, f, w, 30_000, 40_000)
	if err := f.Hole(50_000, 10_000); err != nil {
		t.Fatal(err)
	}
	c := f.Clone(src, 0, 70_000, 10_000)
	defer c.Close()
	for _, e := range []Extent{{0, 10_001}, {19_999, 1}, {25_000, 10_000}, {39_999, 2}, {45_000, 20_000}, {69_000, 1001}, {75_000, 1}, {90_000, 10_001}, {-1, 10}, {0, 0}} {
		if f.Clone(src, 0, e.Off, e.Len) != nil {
			t.Errorf("cloned to %v", e)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
	f.Fail(errors.New("given up"))
	if f.Clone(src, 0, 0, 10) != nil {
		t.Error("cloned into a file that has ended")
	}
	tr.Abort()
	if f.CloneUnit(src) != 0 || f.Clone(src, 0, 0, 10) != nil || !errors.Is(c.HoldVerified(70_000, 10), ErrClosed) {
		t.Error("the tree is closed")
	}
}

// TestCloneIsRefusedOnce: what file systems can't do is tried once, what may be for one file's sake some times more.
func TestCloneIsRefusedOnce(t *testing.T) {
	for _, c := range []struct {
		err   error
		tries int
	}{
		{unix.EXDEV, 1}, {unix.EOPNOTSUPP, 1}, {unix.ENOTTY, 1}, {unix.EPERM, 1},
		{unix.EINVAL, maxCloneFailures}, {unix.ETXTBSY, maxCloneFailures}, {unix.ENOSPC, maxCloneFailures}, {unix.EIO, maxCloneFailures},
	} {
		w, data := cloneWorld()
		cfg := w.config(t.TempDir())
		tries, notes := 0, 0
		cfg.clone = func(int, int, int64, Extent) error { tries++; return c.err }
		cfg.Log = func(Note) { notes++ }
		tr, f := openOne(t, cfg, w)
		src := sourceOf(t, data)
		if unit := f.CloneUnit(src); unit < 512 {
			t.Fatalf("blocks of %d bytes", unit)
		}
		for i := range int64(20) {
			if f.Clone(src, 0, i*1000, 1000) != nil {
				t.Fatal("cloned")
			}
		}
		if tries != c.tries || notes != 1 || f.CloneUnit(src) != 0 {
			t.Errorf("%v: tried %d times, %d notes", c.err, tries, notes)
		}
		write(t, f, w, 0, 100_000)
		if r, err := tr.Finish(context.Background()); err != nil || r.ClonedBytes != 0 {
			t.Errorf("%v: %v, %+v", c.err, err, r)
		}
		w.check(t, cfg.Dest)
	}
}

// TestCloneGivesBackWhatIsWrong: blocks that hold something else are freed, and nothing that was written meanwhile.
func TestCloneGivesBackWhatIsWrong(t *testing.T) {
	w, data := cloneWorld()
	cfg := w.config(t.TempDir())
	cfg.clone = copyRange
	tr, f := openOne(t, cfg, w)
	c := f.Clone(sourceOf(t, strings.Repeat("x", 80_000)), 0, 0, 80_000)
	write(t, f, w, 0, 10_000)
	write(t, f, w, 50_001, 60_003)
	c.Close()
	got, err := f.ReadStaged(0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 100_000)
	copy(want, data[:10_000])
	copy(want[50_001:], data[50_001:60_003])
	if !bytes.Equal(got, want) {
		t.Error("not what was written, and zeros")
	}
	fd, err := f.open()
	if err != nil {
		t.Fatal(err)
	}
	if in := extents(dataRanges(fd, f.size)).bytes(); in > 40_000 {
		t.Errorf("%d bytes are in use", in)
	}
	f.t.fds.unpin(&f.handle)
	tr.Abort()
}

// TestCloneIsClosedBesideAWrite: what is written, but not accounted for yet, stays.
func TestCloneIsClosedBesideAWrite(t *testing.T) {
	w, data := cloneWorld()
	cfg := w.config(t.TempDir())
	cfg.clone = copyRange
	var c *Clone
	var wg sync.WaitGroup
	cfg.fault = func(point string) {
		if point == "written" && c != nil {
			wg.Go(c.Close)
			c = nil
			for range 10_000 {
				runtime.Gosched() // it could
			}
		}
	}
	tr, f := openOne(t, cfg, w)
	c = f.Clone(sourceOf(t, data), 0, 0, 80_000)
	write(t, f, w, 0, 50_000)
	wg.Wait()
	write(t, f, w, 50_000, 100_000)
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, cfg.Dest)
}

// TestCloneIsJournaledWhenItIsHeld: the next run trusts what was held of a clone. The rest of it, if the process died before
// Close, is offered for hashing. What was held is synced before the barrier that covers it.
func TestCloneIsJournaledWhenItIsHeld(t *testing.T) {
	w, data := cloneWorld()
	cfg := w.config(t.TempDir())
	cfg.clone = copyRange
	tr, f := openOne(t, cfg, w)
	c := f.Clone(sourceOf(t, data), 0, 0, 80_000)
	if len(tr.sync.dirty) != 0 || len(f.pending) != 0 {
		t.Error("a clone that nobody has read counts")
	}
	if err := c.HoldVerified(0, 30_000); err != nil {
		t.Fatal(err)
	}
	tr.sync.mu.Lock()
	if _, dirty := tr.sync.dirty[f]; !dirty || tr.sync.dirtyBytes < 30_000 {
		t.Errorf("not to be synced: %v, %d bytes", dirty, tr.sync.dirtyBytes)
	}
	tr.sync.mu.Unlock()
	if err := tr.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	tr.Abort()
	c.Close() // too late: another run may have it
	tr, f = openOne(t, cfg, w)
	if got := f.Have(); len(got) != 1 || got[0] != (Extent{0, 30_000}) {
		t.Errorf("trusted: %v", got)
	}
	if !f.Staged(30_000, 50_000) || f.Staged(80_000, 20_000) {
		t.Errorf("offered for hashing: %v", f.doubtful)
	}
	if c := f.Clone(sourceOf(t, data), 80_000, 80_000, 20_000); c == nil || errors.Join(c.HoldVerified(80_000, 20_000), f.HoldVerified(30_000, 50_000)) != nil {
		t.Error("the rest")
	} else {
		c.Close()
	}
	if _, err := tr.Finish(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.check(t, cfg.Dest)
}

// TestNothingIsAllocatedForClones: data that is written beside a clone does not allocate the blocks of clones to come.
func TestNothingIsAllocatedForClones(t *testing.T) {
	data := strings.Repeat("0123456789abcdef", 2<<20/16)
	w := world{file("a", data, 0o644)}
	cfg := w.config(t.TempDir())
	cfg.clone = copyRange
	tr, f := openOne(t, cfg, w)
	defer tr.Abort()
	c := f.Clone(sourceOf(t, data), 0, 0, 256<<10)
	defer c.Close()
	write(t, f, w, 256<<10, 260<<10)
	var st unix.Stat_t
	if err := unix.Fstat(c.FD(), &st); err != nil || st.Blocks*blockUnit > 1<<20 {
		t.Errorf("%d blocks, %v", st.Blocks, err)
	}
}

// TestClonesBesideWrites clones old versions of a file while others write the right bytes and while what was cloned is read:
// whatever the order, the file is what it should be.
func TestClonesBesideWrites(t *testing.T) {
	const piece, pieces = 512, 64
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		data := make([]byte, piece*pieces)
		for i := range data {
			data[i] = byte(rng.IntN(256))
		}
		old := bytes.Clone(data)
		for range 10 {
			old[rng.IntN(len(old))]++
		}
		w := world{file("a", string(data), 0o644)}
		cfg := w.config(t.TempDir())
		cfg.Fsync = FsyncNone
		cfg.clone = func(dst, src int, from int64, to Extent) error { // a piece of a block at a time
			for off := int64(0); off < to.Len; off += 64 {
				if err := copyRange(dst, src, from+off, Extent{to.Off + off, 64}); err != nil {
					return err
				}
			}
			return nil
		}
		tr, f := openOne(t, cfg, w)
		src := sourceOf(t, string(old))
		var wg sync.WaitGroup
		for range 3 { // several runs of an index may lead to the same place
			at := rng.Perm(pieces / 8)
			wg.Go(func() {
				for _, i := range at {
					cloneAndHold(t, f, src, data, int64(i*8*piece), 8*piece, piece)
				}
			})
		}
		order := rng.Perm(pieces)
		wg.Go(func() {
			for _, i := range order {
				if err := f.Write(int64(i*piece), data[i*piece:(i+1)*piece]); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		if _, err := tr.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.check(t, cfg.Dest)
	}
}

// cloneAndHold clones a range and accounts for those of its pieces that are right.
func cloneAndHold(t *testing.T, f *File, src int, data []byte, off, n, piece int64) {
	c := f.Clone(src, off, off, n)
	if c == nil {
		return
	}
	defer c.Close()
	got := make([]byte, piece)
	for at := off; at < off+n; at += piece {
		if err := preadFull(c.FD(), got, at); err != nil {
			t.Error(err)
		}
		if bytes.Equal(got, data[at:at+piece]) {
			if err := c.HoldVerified(at, piece); err != nil {
				t.Error(err)
			}
		}
	}
}
