package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dfetch/tree"
)

// edited gives content that writeTree made another 3000 bytes in its middle.
func edited(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, 3000), st.Size()/2)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestSwappedNames: files that exchanged their names and were edited cost the network the edits, though
// each live file may be replaced before it was read.
func TestSwappedNames(t *testing.T) {
	for _, fsync := range []tree.Fsync{tree.FsyncNone, tree.FsyncEnd} {
		src, dst := t.TempDir(), filepath.Join(t.TempDir(), "tree")
		sizes := map[string]int{}
		for i := range 12 {
			sizes[fmt.Sprintf("%02d/a.bin", i)] = 400_000
			sizes[fmt.Sprintf("%02d/b.bin", i)] = 400_000
		}
		writeTree(t, dst, 1, sizes)
		writeTree(t, src, 1, sizes)
		for i := range 12 {
			a, b := filepath.Join(src, fmt.Sprintf("%02d/a.bin", i)), filepath.Join(src, fmt.Sprintf("%02d/b.bin", i))
			if err := errors.Join(os.Rename(a, a+"-"), os.Rename(b, a), os.Rename(a+"-", b)); err != nil {
				t.Fatal(err)
			}
			edited(t, a)
			edited(t, b)
		}
		s := serveTree(t, src, 0)
		r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 1e6, Fsync: fsync, Search: SearchConfig{NoPressure: true}})
		sameTree(t, src, dst)
		checkSum(t, r)
		// The edits are about 0.6 MB. A file that is hashed before the plan comes to the one that wants its content
		// is not hashed again, and on a busy machine there are some.
		if net := r.Sources["sender"].Bytes; net > r.Bytes/2 {
			t.Errorf("%d of %d bytes over the network: %+v", net, r.Bytes, r.Sources)
		}
	}
}

// movedTree is a destination with 30 large files in a directory d, and a source that has them in z under other names.
func movedTree(t *testing.T) (src, dst string) {
	t.Helper()
	src, dst = t.TempDir(), filepath.Join(t.TempDir(), "tree")
	before := map[string]int{}
	for i := range 30 {
		before[fmt.Sprintf("d/%02d", i)] = 300_000
	}
	writeTree(t, dst, 1, before)
	writeTree(t, src, 1, before)
	if err := os.Rename(filepath.Join(src, "d"), filepath.Join(src, "z")); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		old := filepath.Join(src, fmt.Sprintf("z/%02d", i))
		if err := os.Rename(old, old+".moved"); err != nil {
			t.Fatal(err)
		}
	}
	return src, dst
}

// TestMovedFileWhoseNameIsTaken: a small new file takes the name of a large one, which moved, at once. The
// large one is found all the same, and nothing is held afterwards.
func TestMovedFileWhoseNameIsTaken(t *testing.T) {
	src, dst := movedTree(t)
	for i := range 30 {
		writeTree(t, src, 2, map[string]int{fmt.Sprintf("d/%02d", i): 40})
	}
	s := serveTree(t, src, 0)
	r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 3e5, Fsync: tree.FsyncNone, Search: SearchConfig{NoPressure: true}})
	sameTree(t, src, dst)
	if net := r.Sources["sender"].Bytes; net > r.Bytes/10 {
		t.Errorf("%d of %d bytes over the network: %+v", net, r.Bytes, r.Sources)
	}
	if _, err := os.Lstat(filepath.Join(dst, tree.DirName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("staging: %v", err)
	}
}

// TestMovedDirectoryWhoseNameIsTaken: a small new file takes the name of a directory, whose files moved, at once.
// They are found all the same.
func TestMovedDirectoryWhoseNameIsTaken(t *testing.T) {
	src, dst := movedTree(t)
	writeTree(t, src, 2, map[string]int{"d": 4000})
	s := serveTree(t, src, 0)
	r := run(t, Config{
		Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, Delete: true, MaxRate: 5e5, Fsync: tree.FsyncNone, Search: SearchConfig{NoPressure: true},
	})
	sameTree(t, src, dst)
	if net := r.Sources["sender"].Bytes; net > r.Bytes/2 {
		t.Errorf("%d of %d bytes over the network: %+v", net, r.Bytes, r.Sources)
	}
}
