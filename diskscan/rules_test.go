package diskscan

import (
	"errors"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/diskscan/lsm"
	"dfetch/recipe"
)

// What was opened may be read if it lies on the root's device, and in a public root if the world may read it.
func TestRootAllows(t *testing.T) {
	const file, dir = unix.S_IFREG, unix.S_IFDIR
	for name, c := range map[string]struct {
		public bool
		dev    uint64
		mode   uint32
		want   bool
	}{
		"own file":              {false, 1, file | 0o600, true},
		"own file elsewhere":    {false, 2, file | 0o644, false},
		"public file":           {true, 1, file | 0o604, true},
		"public file elsewhere": {true, 2, file | 0o644, false},
		"private file":          {true, 1, file | 0o640, false},
		"public directory":      {true, 1, dir | 0o705, true},
		"only to be listed":     {true, 1, dir | 0o704, false},
		"only to be passed":     {true, 1, dir | 0o701, false},
	} {
		r := root{dev: 1, public: c.public}
		if got := r.allows(&unix.Stat_t{Dev: c.dev, Mode: c.mode}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A directory is listed once, and once more if the first listing showed what is public only. Their number is bounded.
func TestScopeEnters(t *testing.T) {
	s := &Scope{maxDirs: 3, seen: map[seenDir]struct{}{}}
	for i, c := range []struct {
		ino    uint64
		public bool
		want   error
	}{
		{1, true, nil}, {1, true, ErrSeen}, {1, false, nil}, {1, false, ErrSeen}, {1, true, ErrSeen},
		{2, false, nil}, {2, true, ErrSeen}, {3, false, ErrTooMany},
	} {
		if err := s.enter(&root{public: c.public}, &unix.Stat_t{Dev: 1, Ino: c.ino}); !errors.Is(err, c.want) {
			t.Errorf("listing %d: %v, want %v", i, err, c.want)
		}
	}
}

// A file of another file system is not the one that the index knows, whatever else they share.
func TestIndexedFileOfAnotherFileSystem(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), noise("x", 1000))
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	f := listAll(t, d)[0]
	var st unix.Stat_t
	fd, err := d.scope.openFile(f, &st)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	fs := d.scope.roots[0].fs
	if fd, err = d.openAsIndexed(f, stampOf(fs, &st)); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if _, err := d.openAsIndexed(f, stampOf(fs+1, &st)); !errors.Is(err, errStale) {
		t.Errorf("on another file system: %v", err)
	}
}

// When a version of a file is gone, the rows of chunks that lead to it are dropped, and those that lead to another one since are not.
func TestForgottenChunksOfOneFile(t *testing.T) {
	x := openIndex(t, IndexConfig{})
	chunks := []Chunk{{ID: recipe.ID{1}, Len: 10}, {ID: recipe.ID{2}, Len: 10}}
	x.submit(func(b *lsm.Batch) {
		x.writeChunks(b, indexed{file: 1}, 0, chunks[:1])
		x.writeChunks(b, indexed{file: 2}, 0, chunks[1:])
	})
	x.forgetChunks(1, chunks)
	if err := x.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range chunks {
		if _, ok := x.get(chunkKey(x.profile, c.ID)); ok != (i == 1) {
			t.Errorf("the row of chunk %d is there: %v", i, ok)
		}
	}
}

// A run is bounded, however close its chunks lie.
func TestRunsAreBounded(t *testing.T) {
	var s Sweep
	const size, n = 1 << 20, 3*maxRun/(1<<20) + 1
	var chunks []Chunk
	for i := range int64(n) {
		chunks = append(chunks, Chunk{Offset: i * size, Len: size})
	}
	s.add(File{}, 1, stamp{size: n * size}, chunks, size)
	if len(s.Runs) != 4 || s.Hits != n {
		t.Errorf("%d runs, %d hits", len(s.Runs), s.Hits)
	}
	for _, r := range s.Runs {
		if r.Len > maxRun {
			t.Errorf("a run of %d bytes", r.Len)
		}
	}
}
