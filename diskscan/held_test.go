package diskscan

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// shelf holds files by links in a directory that is not searched.
type shelf struct {
	t   *testing.T
	dir string

	mu   sync.Mutex
	held map[uint64]FileInfo
	from map[uint64]uint64 // inode of the directory that a file was in
	gone map[uint64][]HeldDir
}

// replace puts a file on the shelf and another one at its name.
func (s *shelf) replace(path string, with []byte) {
	s.t.Helper()
	st, dir := statOf(s.t, path), statOf(s.t, filepath.Dir(path))
	link := filepath.Join(s.dir, filepath.Base(path))
	if err := os.Link(path, link); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.held[st.Ino] = FileInfo{Name: filepath.Base(path), Size: st.Size, MTime: mtimeOf(&st), Ino: st.Ino}
	s.from[st.Ino] = dir.Ino
	s.mu.Unlock()
	write(s.t, path+".new", with)
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}

func statOf(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// HeldIn implements Held.
func (s *shelf) HeldIn(_, ino uint64) (files []FileInfo, dirs []HeldDir) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dirs = s.gone[ino]
	for file, dir := range s.from {
		if dir == ino {
			files = append(files, s.held[file])
		}
	}
	return files, dirs
}

// removeDir puts the files of a directory on the shelf, at any depth, and removes it.
func (s *shelf) removeDir(path string) {
	s.t.Helper()
	parent, dir := statOf(s.t, filepath.Dir(path)), statOf(s.t, path)
	entries, err := os.ReadDir(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if name := filepath.Join(path, e.Name()); e.IsDir() {
			s.removeDir(name)
		} else {
			s.replace(name, nil)
		}
	}
	if err := os.RemoveAll(path); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.gone[parent.Ino] = append(s.gone[parent.Ino], HeldDir{Name: filepath.Base(path), Ino: dir.Ino})
	s.mu.Unlock()
}

// OpenHeld implements Held.
func (s *shelf) OpenHeld(_, ino uint64) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.held[ino]
	if !ok {
		return -1, false
	}
	fd, err := unix.Open(filepath.Join(s.dir, f.Name), unix.O_RDONLY, 0)
	return fd, err == nil
}

// shelved gives a directory to search with the files a and b, and what holds its files.
func shelved(t *testing.T, data []byte) (*Disk, *shelf, string) {
	t.Helper()
	base := t.TempDir()
	dir, aside := filepath.Join(base, "tree"), filepath.Join(base, stagingName)
	for _, d := range []string{dir, aside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "a"), data)
	write(t, filepath.Join(dir, "b"), noise("b", 5000))
	s := &shelf{t: t, dir: aside, held: map[uint64]FileInfo{}, from: map[uint64]uint64{}, gone: map[uint64][]HeldDir{}}
	return open(t, ScopeConfig{Roots: []string{dir}, Held: s}, Config{Slice: 1 << 20}), s, dir
}

// A file that another one replaced is found and read, whether that was before its directory was listed, after
// it, or while the file was read.
func TestReplacedFileIsReadOn(t *testing.T) {
	data := noise("old", 3<<20)
	want := refsOf(t, data)
	newer := noise("new", 4000)
	find := func(d *Disk, name string, size int) File {
		for _, f := range listAll(t, d) {
			if f.Name == name && f.Size == int64(size) {
				return f
			}
		}
		t.Fatalf("%s with %d bytes is not listed", name, size)
		return File{}
	}
	check := func(t *testing.T, c *collector, results []HashResult) {
		t.Helper()
		if !slices.Equal(c.chunks, want) {
			t.Errorf("%d chunks, want %d", len(c.chunks), len(want))
		}
		if slices.ContainsFunc(results, func(r HashResult) bool { return r.Changed }) {
			t.Error("it counts as changed")
		}
	}
	t.Run("before it was listed", func(t *testing.T) {
		d, s, dir := shelved(t, data)
		s.replace(filepath.Join(dir, "a"), newer)
		var c collector
		check(t, &c, hashAll(t, d, find(d, "a", len(data)), anything, c.take))
	})
	t.Run("after it was listed", func(t *testing.T) {
		d, s, dir := shelved(t, data)
		f := find(d, "a", len(data))
		s.replace(filepath.Join(dir, "a"), newer)
		var c collector
		check(t, &c, hashAll(t, d, f, anything, c.take))
	})
	t.Run("while it was read", func(t *testing.T) {
		d, s, dir := shelved(t, data)
		f := find(d, "a", len(data))
		var c collector
		sink := changing(t, &c, func() error { s.replace(filepath.Join(dir, "a"), newer); return nil })
		check(t, &c, hashAll(t, d, f, anything, sink))
	})
}

// A file that is not held is read as what has its name now; listed files are not listed twice.
func TestWhatIsNotHeldStaysAsItWas(t *testing.T) {
	d, s, dir := shelved(t, noise("old", 5000))
	s.replace(filepath.Join(dir, "a"), noise("new", 4000))
	s.mu.Lock()
	s.from[statOf(t, filepath.Join(dir, "b")).Ino] = statOf(t, dir).Ino // held, and not replaced yet
	s.held[statOf(t, filepath.Join(dir, "b")).Ino] = FileInfo{Name: "b", Size: 5000, Ino: statOf(t, filepath.Join(dir, "b")).Ino}
	s.mu.Unlock()
	files := listAll(t, d)
	if got := paths(d, files, dir); !slices.Equal(got, []string{"a", "a", "b"}) {
		t.Errorf("listed %q", got)
	}
	s.mu.Lock()
	clear(s.held)
	s.mu.Unlock()
	for _, f := range files {
		if f.Name != "a" {
			continue
		}
		var c collector
		hashAll(t, d, f, anything, c.take)
		if !slices.Equal(c.chunks, refsOf(t, noise("new", 4000))) {
			t.Errorf("read %v", c.chunks)
		}
	}
}

// The files of a directory that gave way are listed once, whether it or the one that it was in was listed before.
func TestDirectoryThatIsGoneIsListed(t *testing.T) {
	data := noise("old", 50_000)
	// paths lists a directory and, as often as they are named, those below it.
	var paths func(t *testing.T, d *Disk, dir Dir) []string
	paths = func(t *testing.T, d *Disk, dir Dir) (out []string) {
		res, err := d.Stat(t.Context(), dir, 0)
		if err != nil {
			return nil
		}
		for _, f := range res.Files {
			out = append(out, join(dir.Path, f.Name))
			hashAll(t, d, res.File(f), anything, func(*Found) {})
		}
		for _, below := range res.Dirs {
			out = append(out, paths(t, d, below)...)
		}
		return out
	}
	laid := func(t *testing.T) (*Disk, *shelf, string) {
		d, s, dir := shelved(t, data)
		if err := os.MkdirAll(filepath.Join(dir, "gone", "below"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "gone", "x"), data)
		write(t, filepath.Join(dir, "gone", "below", "y"), data)
		return d, s, dir
	}
	want := []string{"a", "b", "gone/below/y", "gone/x"}
	check := func(t *testing.T, got []string) {
		t.Helper()
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
	}
	t.Run("before either was listed", func(t *testing.T) {
		d, s, dir := laid(t)
		s.removeDir(filepath.Join(dir, "gone"))
		check(t, paths(t, d, d.scope.Starts()[0]))
	})
	t.Run("after it was named", func(t *testing.T) {
		d, s, dir := laid(t)
		top, err := d.Stat(t.Context(), d.scope.Starts()[0], 0)
		if err != nil || len(top.Dirs) != 1 {
			t.Fatal(top, err)
		}
		s.removeDir(filepath.Join(dir, "gone"))
		got := append([]string{"a", "b"}, paths(t, d, top.Dirs[0])...)
		check(t, append(got, paths(t, d, top.Dirs[0])...)) // once more gives nothing
	})
	t.Run("after it was listed", func(t *testing.T) {
		d, s, dir := laid(t)
		top, err := d.Stat(t.Context(), d.scope.Starts()[0], 0)
		if err != nil || len(top.Dirs) != 1 {
			t.Fatal(top, err)
		}
		gone, err := d.Stat(t.Context(), top.Dirs[0], 0)
		if err != nil || len(gone.Dirs) != 1 || len(gone.Files) != 1 {
			t.Fatal(gone, err)
		}
		s.removeDir(filepath.Join(dir, "gone"))
		check(t, append([]string{"a", "b", "gone/x"}, paths(t, d, gone.Dirs[0])...))
	})
}
