package tree

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

const (
	maskUnix = recipe.MaskUnix
	maskFull = recipe.MaskFull
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("owners and devices need root")
	}
}

func lstat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestOwnersAndHardlinks(t *testing.T) {
	needRoot(t)
	w := world{
		file("a", "content", 0o6755), hardlink("b", "a"), dir("d", 0o3770), hardlink("d/c", "a"), file("e", "content", 0o644),
		symlink("l", "a"),
	}
	for i := range w {
		w[i].entry.UID, w[i].entry.GID = 1234, 2345
	}
	w[4].entry.User, w[4].entry.Group = "root", "no such group"
	dest := t.TempDir()
	put(t, dest, "e")
	if err := os.Link(filepath.Join(dest, "e"), filepath.Join(dest, "b")); err != nil {
		t.Fatal(err)
	}
	cfg := w.config(dest)
	cfg.Root.Mask = maskUnix
	w.mustGet(t, cfg)
	check := func() {
		w.check(t, dest)
		a, b, c, e := lstat(t, dest+"/a"), lstat(t, dest+"/b"), lstat(t, dest+"/d/c"), lstat(t, dest+"/e")
		if a.Ino != b.Ino || a.Ino != c.Ino || a.Ino == e.Ino {
			t.Errorf("inodes %d %d %d %d", a.Ino, b.Ino, c.Ino, e.Ino)
		}
		if a.Uid != 1234 || a.Gid != 2345 || e.Uid != 0 || e.Gid != 2345 || lstat(t, dest+"/l").Uid != 1234 {
			t.Errorf("owners %d:%d, %d:%d", a.Uid, a.Gid, e.Uid, e.Gid)
		}
	}
	check()
	if r := w.mustGet(t, cfg); r.Files != 0 || r.Symlinks != 0 || r.RightFiles != 2 {
		t.Errorf("second run: %+v", r)
	}
	// Files that the recipe keeps apart are separated again.
	if err := os.Remove(dest + "/e"); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(dest+"/a", dest+"/e"); err != nil {
		t.Fatal(err)
	}
	// Lost owners come back in place.
	if err := os.Chown(dest+"/a", 7, 7); err != nil {
		t.Fatal(err)
	}
	w.mustGet(t, cfg)
	check()
}

// openTarget looks at attributes through a descriptor; the code under test mostly does through a name.
func openTarget(t *testing.T, path string) xattrTarget {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return xattrTarget{fd: int(f.Fd())}
}

// putSet adds an attribute set to nodes.
func putSet(t *testing.T, nodes recipe.MemNodes, xs ...recipe.Xattr) recipe.ID {
	t.Helper()
	raw, err := recipe.EncodeXattrs(xs)
	if err != nil {
		t.Fatal(err)
	}
	id, err := nodes.Put(recipe.BLAKE3)(recipe.KindXattr, raw)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestWritingAsksForNoNodes: who brings content may be who brings nodes, so that a Write that waited for one
// would wait for ever.
func TestWritingAsksForNoNodes(t *testing.T) {
	needRoot(t)
	nodes := recipe.MemNodes{}
	w := world{file("a", "one", 0o644), file("b", "two", 0o644)}
	for i := range w {
		w[i].entry.Xattrs = putSet(t, nodes, recipe.Xattr{Name: "user.x", Value: []byte(w[i].data)})
	}
	cfg := w.config(t.TempDir())
	cfg.Root.Mask, cfg.Nodes = maskFull, nodes
	tr, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var files []*File
	err = w.walk(t.Context(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if f != nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil || len(files) != 2 || tr.aheadSets.TryAcquire(maxAheadSets-2*setOverhead) {
		t.Fatalf("planned %v, %v; the sets must count", files, err)
	}
	clear(nodes)
	for i, f := range files {
		if err := fillFile(f, w[i].data, 2); err != nil {
			t.Fatal(err)
		}
	}
	if !tr.aheadSets.TryAcquire(maxAheadSets) {
		t.Error("sets of files that have ended still count")
	}
	if r, err := tr.Finish(t.Context()); err != nil || r.FailedCount > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, name := range []string{"a", "b"} {
		if got, err := openTarget(t, filepath.Join(cfg.Dest, name)).value("user.x"); err != nil || string(got) != w[i].data {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestEndPlanningWakesPlan: a Plan that waits for files which nobody will write any more ends.
func TestEndPlanningWakesPlan(t *testing.T) {
	nodes := recipe.MemNodes{}
	w := world{file("a", "one", 0o644)}
	w[0].entry.Xattrs = putSet(t, nodes, recipe.Xattr{Name: "user.x", Value: []byte("1")})
	cfg := w.config(t.TempDir())
	cfg.Root.Mask, cfg.Nodes = maskFull, nodes
	tr, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Abort()
	if !tr.aheadSets.TryAcquire(maxAheadSets) {
		t.Fatal("the sets' room is taken")
	}
	ended := make(chan error)
	go func() { ended <- w.fill(tr, 1) }()
	tr.EndPlanning()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Plan ended with %v", err)
	}
}

func TestFullMetadata(t *testing.T) {
	needRoot(t)
	nodes := recipe.MemNodes{}
	set := func(xs ...recipe.Xattr) recipe.ID { return putSet(t, nodes, xs...) }
	caps := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	fifo := item{path: "p", entry: recipe.Entry{Type: recipe.TypeFifo, Mode: 0o640, MTime: stamp}}
	null := item{path: "n", entry: recipe.Entry{Type: recipe.TypeChar, Mode: 0o666, MTime: stamp, Rdev: unix.Mkdev(1, 3)}}
	w := world{file("a", "content", 0o755), dir("d", 0o755), null, fifo}
	w[0].entry.UID = 1234
	w[0].entry.Xattrs = set(recipe.Xattr{Name: "security.capability", Value: []byte(caps)}, recipe.Xattr{Name: "user.x", Value: []byte("1")})
	w[1].entry.Xattrs = set(recipe.Xattr{Name: "user.d", Value: []byte("2")})
	cfg := w.config(t.TempDir())
	cfg.Root.Mask, cfg.Nodes = maskFull, nodes
	for range 2 {
		w.mustGet(t, cfg)
		w.check(t, cfg.Dest)
		a := openTarget(t, filepath.Join(cfg.Dest, "a"))
		for name, want := range map[string]string{"user.x": "1", "security.capability": caps} {
			if got, err := a.value(name); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if got := lstat(t, cfg.Dest+"/n"); got.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("device %x", got.Rdev)
		}
		if diffs := verifyWorld(t, w, cfg); len(diffs) > 0 {
			t.Errorf("verify: %v", diffs)
		}
		// What is changed and what is added goes back in the second round.
		if err := firstError(a.set("user.x", []byte("9")), a.set("user.more", []byte("9"))); err != nil {
			t.Fatal(err)
		}
		if diffs := verifyWorld(t, w, cfg); len(diffs) != 2 {
			t.Errorf("verify after a change: %v", diffs)
		}
		w.mustGet(t, cfg)
		if got, _ := openTarget(t, filepath.Join(cfg.Dest, "a")).names(); len(got) != 2 {
			t.Errorf("attributes: %v", got)
		}
		if err := os.Remove(cfg.Dest + "/a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestModeIsRepairedInPlace(t *testing.T) {
	w := world{file("a", "content", 0o640), dir("d", 0o755)}
	dest := t.TempDir()
	w.mustGet(t, w.config(dest))
	before := lstat(t, dest+"/a").Ino
	if err := firstError(os.Chmod(dest+"/a", 0o4777), os.Chmod(dest+"/d", 0o700)); err != nil {
		t.Fatal(err)
	}
	r := w.mustGet(t, w.config(dest))
	w.check(t, dest)
	if r.RightFiles != 1 || lstat(t, dest+"/a").Ino != before {
		t.Error("the file was made anew")
	}
}

func TestHolesTakeNoSpace(t *testing.T) {
	const size, from, to = 64 << 20, 20 << 20, 50 << 20
	head, tail := strings.Repeat("h", from), strings.Repeat("t", size-to)
	w := world{file("sparse", "", 0o644)}
	w[0].entry.Size = size
	for _, holeFirst := range []bool{true, false} {
		tr, f := openOne(t, w.config(t.TempDir()), w)
		steps := []func() error{
			func() error { return f.Hole(from, to-from) },
			func() error { return f.Write(0, []byte(head)) },
			func() error { return f.Write(to, []byte(tail)) },
		}
		if !holeFirst {
			steps[0], steps[2] = steps[2], steps[0]
		}
		for _, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tr.Finish(context.Background()); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(tr.cfg.Dest + "/sparse")
		if err != nil || string(got) != head+strings.Repeat("\x00", to-from)+tail {
			t.Fatalf("content is wrong (%v)", err)
		}
		if st := lstat(t, tr.cfg.Dest+"/sparse"); st.Blocks*512 > size-(to-from)+1<<20 {
			t.Errorf("%d bytes are allocated", st.Blocks*512)
		}
	}
}

func TestChecksumAsksForEachFile(t *testing.T) {
	w := world{file("a", "content", 0o644), file("b", "content", 0o644), file("c", "inline!", 0o644)}
	w[2].entry.Inline = []byte("inline!")
	dest := t.TempDir()
	w.mustGet(t, w.config(dest))
	for _, name := range []string{"/b", "/c"} { // same size, same time, other content
		if err := os.WriteFile(dest+name, []byte("CONTENT"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := setTimesAt(unix.AT_FDCWD, dest+name, stamp); err != nil {
			t.Fatal(err)
		}
	}
	cfg := w.config(dest)
	cfg.Checksum = true
	tr, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = w.walk(context.Background(), func(it recipe.Item) error {
		f, err := tr.Plan(it)
		if err != nil || f == nil {
			return err
		}
		live, err := f.OpenLive()
		if err != nil {
			return err
		}
		defer live.Close()
		got := make([]byte, 7)
		if _, err := live.ReadAt(got, 0); err != nil {
			return err
		}
		if string(got) == "content" {
			return f.Right()
		}
		return f.Write(0, []byte("content"))
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tr.Finish(context.Background())
	if err != nil || r.RightFiles != 1 || r.Files != 2 {
		t.Errorf("%+v %v", r, err)
	}
	w.check(t, dest)
}

// TestBarrierIsDueByTime: on a virtual clock, verified bytes are behind a barrier after five seconds.
func TestBarrierIsDueByTime(t *testing.T) {
	dest := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := world{file("a", strings.Repeat("0123456789", 1000), 0o644)}
		cfg := w.config(dest)
		points := make(chan string, 100)
		cfg.fault = func(p string) { points <- p }
		tr, f := openOne(t, cfg, w)
		write(t, f, w, 0, 4000)
		time.Sleep(recordEvery + time.Millisecond)
		synctest.Wait()
		if !seen(points, "journal") {
			t.Error("no record after a second")
		}
		time.Sleep(barrierEvery)
		synctest.Wait()
		if !seen(points, "barrier") {
			t.Error("no barrier after five seconds")
		}
		tr.Abort()
	})
}

func seen(points chan string, want string) bool {
	for {
		select {
		case p := <-points:
			if p == want {
				return true
			}
		default:
			return false
		}
	}
}
