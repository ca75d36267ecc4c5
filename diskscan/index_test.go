package diskscan

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/diskscan/lsm"
	"dfetch/recipe"
)

// openIndex opens an index that takes files of this moment for settled.
func openIndex(t testing.TB, cfg IndexConfig) *Index {
	t.Helper()
	cfg.Wait = true
	x := OpenIndex(cfg)
	x.now = func() time.Time { return time.Now().Add(time.Hour) }
	t.Cleanup(func() { x.Close() })
	return x
}

func idsOf(chunks []Chunk) (ids []recipe.ID) {
	for _, c := range chunks {
		ids = append(ids, c.ID)
	}
	return ids
}

// fill hashes all files of a scope into the index.
func fill(t testing.TB, x *Index, scope ScopeConfig, cfg Config) {
	t.Helper()
	cfg.Index = x
	d := open(t, scope, cfg)
	for _, f := range listAll(t, d) {
		hashAll(t, d, f, nil, nil)
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, d *Disk, ids []recipe.ID) Sweep {
	t.Helper()
	s, err := d.Check(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readAll reads all runs of a sweep.
func readAll(t testing.TB, d *Disk, s Sweep, c *collector) (results []ReadResult) {
	t.Helper()
	for _, r := range s.Runs {
		res, err := d.Read(t.Context(), r, nil, c.take)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, res)
	}
	return results
}

func TestIndexFindsWhatWasHashed(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	a, b := noise("a", 20<<20), noise("b", 40_000)
	write(t, filepath.Join(dir, "a"), a)
	write(t, filepath.Join(dir, "sub/b"), b)
	scope := ScopeConfig{Roots: []string{dir}}
	x := openIndex(t, IndexConfig{Dir: home})
	fill(t, x, scope, Config{})
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x = openIndex(t, IndexConfig{Dir: home})
	if x.Mode() != IndexShared || x.Note() != nil {
		t.Fatalf("opened %s: %v", x.Mode(), x.Note())
	}
	d := open(t, scope, Config{Index: x})
	want := slices.Concat(refsOf(t, a), refsOf(t, b))
	s := check(t, d, append(idsOf(want), recipe.ID{1}))
	if s.Hits != len(want) || s.Bytes != int64(len(a)+len(b)) || s.Stale+s.Outside != 0 {
		t.Fatalf("%d hits of %d, %+v", s.Hits, len(want), s)
	}
	if len(s.Runs) > 5 {
		t.Errorf("%d runs for two files of 20 MiB in all", len(s.Runs))
	}
	var c collector
	readAll(t, d, s, &c)
	if len(c.chunks) != len(want) {
		t.Errorf("%d chunks read, want %d", len(c.chunks), len(want))
	}
	for id, data := range c.data {
		if recipe.BLAKE3.Chunk(data) != id {
			t.Fatal("bytes of another chunk")
		}
	}
	if got := d.Stats(); got.CacheCheck != 1 || got.CacheRead != int64(len(s.Runs)) || got.CheckedIDs != int64(len(want)+1) {
		t.Errorf("stats %+v", got)
	}
}

func TestRunsMergeNeighbours(t *testing.T) {
	var s Sweep
	chunks := []Chunk{{Offset: 2000, Len: 1000}, {Offset: 0, Len: 1000}, {Offset: 100_000, Len: 10}, {Offset: 9_000_000, Len: 999_999}}
	s.add(File{}, 1, stamp{size: 9_500_000}, chunks, 50_000)
	if len(s.Runs) != 2 || s.Runs[0].Len != 3000 || s.Runs[0].Bytes != 2000 || s.Runs[1].Offset != 100_000 {
		t.Errorf("runs %+v", s.Runs)
	}
	if s.Hits != 3 {
		t.Errorf("%d hits: a chunk beyond the file's end counts", s.Hits)
	}
}

// linkLater gives a file a second name at a time that its file system tells from that of its last change.
func linkLater(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	for last := st.Ctim; err == nil && st.Ctim == last; err = errors.Join(err, unix.Lstat(path, &st)) {
		_ = os.Remove(path + "2")
		err = os.Link(path, path+"2")
	}
	return err
}

// A file that changed, moved or vanished is dropped from the index by its row alone.
func TestStaleFilesAreForgotten(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"changed":  func(p string) error { return os.WriteFile(p, noise("other", 100_000), 0o644) },
		"vanished": os.Remove,
		"moved":    func(p string) error { return os.Rename(p, p+"2") },
		"a fifo":   func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o644)) },
		"touched":  func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1, 0)) },
		"linked":   linkLater, // its ctime tells
		"changed under its old time": func(p string) error {
			st, err := os.Stat(p)
			if err != nil {
				return err
			}
			return errors.Join(os.WriteFile(p, noise("other", 100_000), 0o644), os.Chtimes(p, time.Time{}, st.ModTime()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			data := noise("x", 100_000)
			write(t, path, data)
			x := openIndex(t, IndexConfig{})
			scope := ScopeConfig{Roots: []string{dir}}
			fill(t, x, scope, Config{})
			d := open(t, scope, Config{Index: x})
			ids := idsOf(refsOf(t, data))
			before := check(t, d, ids)
			if before.Hits != len(ids) {
				t.Fatalf("%d hits, want %d", before.Hits, len(ids))
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if res := readAll(t, d, before, nil); !res[0].Changed {
				t.Error("the change went unnoticed by Read")
			}
			if err := x.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time finds no rows of chunks either
				if s := check(t, d, ids); s.Hits != 0 || s.Outside != 0 {
					t.Errorf("%+v", s)
				}
				if err := x.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if st, err := x.Stats(t.Context()); err != nil || st.Files != 0 || st.Chunks != 0 {
				t.Errorf("the index still holds %+v, %v", st, err)
			}
		})
	}
}

// A file whose metadata were set back lies, and its bytes are found out.
func TestForgedIndexGivesNoWrongBytes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	data := noise("x", 200_000)
	write(t, path, data)
	x := openIndex(t, IndexConfig{})
	scope := ScopeConfig{Roots: []string{dir}}
	fill(t, x, scope, Config{})
	d := open(t, scope, Config{Index: x})
	ids := idsOf(refsOf(t, data))
	s := check(t, d, ids)
	if err := os.WriteFile(path, noise("other", 200_000), 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	for i := range s.Runs {
		s.Runs[i].stamp = stampOf(s.Runs[i].stamp.fs, &st)
	}
	var c collector
	res := readAll(t, d, s, &c)
	if len(c.chunks) != 0 || res[0].Stale != len(s.Runs[0].Chunks) {
		t.Errorf("handed over %d chunks: %+v", len(c.chunks), res)
	}
}

func TestFreshFilesAreNotIndexed(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 100_000)
	write(t, filepath.Join(dir, "f"), data)
	x := openIndex(t, IndexConfig{})
	st, err := os.Stat(filepath.Join(dir, "f"))
	if err != nil {
		t.Fatal(err)
	}
	x.now = func() time.Time { return st.ModTime().Add(time.Second) }
	scope := ScopeConfig{Roots: []string{dir}}
	fill(t, x, scope, Config{})
	if s, _ := x.Stats(t.Context()); s.Files != 0 || s.Chunks != 0 {
		t.Errorf("%+v", s)
	}
}

// An untrusted recipe gets nothing of a private file, whatever the index knows of it.
func TestIndexObeysTheScope(t *testing.T) {
	base := home(t)
	secret := noise("secret", 50_000)
	write(t, filepath.Join(base, "old/secret"), secret)
	write(t, filepath.Join(filepath.Dir(base), "elsewhere/s"), secret[:40_000])
	x := openIndex(t, IndexConfig{})
	fill(t, x, ScopeConfig{Roots: []string{filepath.Dir(base)}}, Config{})
	ids := idsOf(slices.Concat(refsOf(t, secret), refsOf(t, secret[:40_000])))
	dest := ScopeConfig{Dest: filepath.Join(base, "dest"), Siblings: true, IndexRoots: []string{filepath.Dir(base)}}
	if s := check(t, open(t, dest, Config{Index: x}), ids); s.Hits != 0 || s.Private != s.Outside+len(ids) {
		t.Errorf("untrusted: %+v", s)
	}
	far := dest
	far.IndexRoots = nil // nobody added it: an earlier search was there
	if s := check(t, open(t, far, Config{Index: x}), ids); s.Hits != 0 || s.Outside == 0 || s.Private == 0 {
		t.Errorf("untrusted, and nothing was added: %+v", s)
	}
	dest.Trusted = true
	if s := check(t, open(t, dest, Config{Index: x}), ids); s.Hits == 0 || s.Outside+s.Private != 0 {
		t.Errorf("trusted: %+v", s)
	}
}

// What lies on a disk that does not answer is passed over without asking it.
func TestCheckPassesOverSilentDisks(t *testing.T) {
	dir := t.TempDir()
	content := noise("x", 50_000)
	write(t, filepath.Join(dir, "f"), content)
	x, scope := openIndex(t, IndexConfig{}), ScopeConfig{Roots: []string{dir}}
	fill(t, x, scope, Config{})
	d := open(t, scope, Config{Index: x})
	over := make(chan struct{})
	defer close(over)
	d.devices.get(d.scope.Device(Dir{})).hangsUntil(over)
	if s := check(t, d, idsOf(refsOf(t, content))); s.Hits != 0 || s.Outside == 0 {
		t.Errorf("%+v", s)
	}
}

// pad adds so many bytes that are of no use.
func pad(t *testing.T, x *Index, bytes int) {
	t.Helper()
	for left := bytes; left > 0; left -= lsm.MaxValue {
		x.submit(func(b *lsm.Batch) {
			b.Set(binary.BigEndian.AppendUint32([]byte{'?'}, uint32(left)), noise("padding", min(left, lsm.MaxValue)))
		})
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSparseIndex(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 24<<20)
	write(t, filepath.Join(dir, "f"), data)
	scope := ScopeConfig{Roots: []string{dir}}
	x := openIndex(t, IndexConfig{Max: 1 << 20})
	pad(t, x, 800<<10) // over three quarters
	fill(t, x, scope, Config{})
	all := refsOf(t, data)
	s, err := x.Stats(t.Context())
	if err != nil || s.Files != 1 || s.Chunks == 0 || s.Chunks > int64(len(all)/16) {
		t.Fatalf("%d chunks: %+v, %v", len(all), s, err)
	}
	d := open(t, scope, Config{Index: x})
	sweep := check(t, d, idsOf(all))
	if sweep.Hits != len(all) {
		t.Errorf("%d hits of %d", sweep.Hits, len(all))
	}
	var c collector
	readAll(t, d, sweep, &c)
	if len(c.data) != len(all) {
		t.Errorf("%d chunks read of %d", len(c.data), len(all))
	}
}

func TestFullIndexTakesNoMore(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), noise("x", 1<<20))
	x := openIndex(t, IndexConfig{Max: 1000})
	pad(t, x, 2000)
	fill(t, x, ScopeConfig{Roots: []string{dir}}, Config{})
	if s, _ := x.Stats(t.Context()); s.Files != 0 || s.Dropped != 1 {
		t.Errorf("%+v", s)
	}
}

// A full index makes room for others once what it knew is gone.
func TestFullIndexMakesRoom(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "old"), noise("x", 8<<20))
	const small = 10_000
	for i, want := range []int64{1, 0, 1} {
		cfg := IndexConfig{Dir: home, Max: small, Wait: true}
		if i == 0 {
			cfg.Max = 1 << 20 // neither full nor sparse on the way
		}
		x := openIndex(t, cfg)
		if full := x.Full(); full != (i == 1) {
			t.Errorf("at update %d: full is %t, %d bytes", i+1, full, x.db.Size())
		}
		st, err := Update(t.Context(), UpdateConfig{Index: x, Roots: []string{dir}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := x.Stats(t.Context()); err != nil || s.Files != want {
			t.Errorf("%d files, want %d (%+v, %v)", s.Files, want, st, err)
		}
		x.Close()
		_ = os.Remove(filepath.Join(dir, "old"))
		write(t, filepath.Join(dir, "new"), noise("y", 100_000))
	}
}

// A second process finds what the first has written, and keeps what it adds itself to its end.
func TestLockedIndex(t *testing.T) {
	home := t.TempDir()
	first := openIndex(t, IndexConfig{Dir: home})
	addRoot(t, first, "/a")
	second := openIndex(t, IndexConfig{Dir: home})
	if second.Mode() != IndexReadOnly || !errors.Is(second.Note(), ErrLocked) {
		t.Errorf("second is %s: %v", second.Mode(), second.Note())
	}
	addRoot(t, second, "/b")
	wantRoots(t, second, "/a", "/b")
	if err := errors.Join(second.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	wantRoots(t, openIndex(t, IndexConfig{Dir: home}), "/a")
}

func addRoot(t *testing.T, x *Index, path string) {
	t.Helper()
	if err := errors.Join(x.AddRoot(t.Context(), path), x.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func wantRoots(t *testing.T, x *Index, want ...string) {
	t.Helper()
	if roots, err := x.Roots(t.Context()); !slices.Equal(roots, want) || err != nil {
		t.Errorf("roots %q, %v, want %q", roots, err, want)
	}
}

// A version that another replaces in the same moment is dropped.
func TestVersionsInOneMoment(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	for id := range fileID(3) {
		x.submit(func(b *lsm.Batch) { x.writeFile(b, id+1, &fileRow{stamp: stamp{ino: 7}, path: "/f"}) })
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err := x.Stats(t.Context()); err != nil || s.Files != 1 {
		t.Errorf("%d versions, %v", s.Files, err)
	}
}

// A profile may have so small chunks that those of a slice do not go into one row.
func TestSparseSliceOfTinyChunks(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	var ids []recipe.ID
	chunks := madeUpChunks(3*maxSlice + 5)
	chunks[0].ID[0] &^= 63 // leads there
	for _, c := range chunks {
		ids = append(ids, c.ID)
	}
	x.submit(func(b *lsm.Batch) {
		x.writeFile(b, 1, &fileRow{stamp: stamp{ino: 1}, sparse: true, path: "/f"})
		x.writeChunks(b, indexed{file: 1, sparse: true}, 0, chunks)
	})
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := x.lookup(&operation{ctx: t.Context()}, ids)
	if err != nil || len(h.ids()) != len(ids) {
		t.Errorf("%d of %d ids, %v", len(h.ids()), len(ids), err)
	}
}

func TestIndexRoots(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/f", "a/b/f", "c/f"} {
		write(t, filepath.Join(dir, name), noise(name, 1000))
	}
	x := openIndex(t, IndexConfig{})
	fill(t, x, ScopeConfig{Roots: []string{dir}}, Config{})
	for _, name := range []string{"a", "a/b"} {
		if err := x.AddRoot(t.Context(), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ok, err := x.RemoveRoot(t.Context(), filepath.Join(dir, "c")); ok || err != nil {
		t.Errorf("removed what was not added: %v", err)
	}
	if ok, err := x.RemoveRoot(t.Context(), filepath.Join(dir, "a")); !ok || err != nil {
		t.Errorf("not removed: %v", err)
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, _ := x.Stats(t.Context()); s.Files != 2 || s.Roots != 1 { // c/f and a/b/f
		t.Errorf("%+v", s)
	}
}

func TestCheckIsAbandoned(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	d := open(t, ScopeConfig{}, Config{Index: x})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Check(ctx, []recipe.ID{{1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
