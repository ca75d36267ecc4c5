package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/eval/netlab"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func source(t *testing.T, kind, size string) Set {
	t.Helper()
	var n scenarios.Size
	if size != "" {
		var err error
		if n, err = scenarios.ParseSize(size); err != nil {
			t.Fatal(err)
		}
	}
	set, err := (&Store{Dir: t.TempDir()}).Source(t.Context(), kind, n)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func populate(t *testing.T, set Set, state string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := set.Populate(t.Context(), state, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// countFiles tells how many files below dir are in the source under that name
// with that content, and how many are not.
func countFiles(t *testing.T, set Set, dir string) (same, other int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if sameContent(filepath.Join(set.Dir, name), path) == nil {
			same++
		} else {
			other++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return same, other
}

func TestSourcesRepeat(t *testing.T) {
	for _, tt := range []struct{ kind, size string }{{"file", "300KB"}, {"tree", "150x1KB"}, {"sparse", "4MB"}} {
		a, b := source(t, tt.kind, tt.size), source(t, tt.kind, tt.size)
		if err := a.Verify(b.Dir); err != nil {
			t.Errorf("%s: two makings differ: %v", tt.kind, err)
		}
		if a.Files != b.Files || a.Bytes != b.Bytes || a.Bytes == 0 {
			t.Errorf("%s: %d files of %d bytes, %d of %d", tt.kind, a.Files, a.Bytes, b.Files, b.Bytes)
		}
	}
}

func TestSparseHasHoles(t *testing.T) {
	set := source(t, "sparse", "64MB")
	var st unix.Stat_t
	if err := unix.Stat(set.Path(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != 64e6 || st.Blocks*512 > 4e6 || st.Blocks == 0 {
		t.Errorf("%d bytes in %d blocks", st.Size, st.Blocks)
	}
}

// foundBytes is how much of a is somewhere in b, counted in whole blocks.
func foundBytes(a, b []byte, block int) (n int) {
	for len(a) >= block {
		if bytes.Contains(b, a[:block]) {
			n += block
		}
		a = a[block:]
	}
	return n
}

func TestSimilarFile(t *testing.T) {
	set := source(t, "file", "1MB")
	now := read(t, set.Path())
	for state, want := range map[string][2]int{
		"similar-99": {93, 99}, "similar-50": {45, 65}, "similar-90-clustered": {84, 96},
		"useless": {0, 0},
	} {
		old := read(t, populate(t, set, state), Dest, set.Name)
		// Blocks of 1 KB that are touched by none of 50 edits.
		percent := foundBytes(now, old, 1000) * 100 / len(now)
		if percent < want[0] || percent > want[1] {
			t.Errorf("%s: %d %% of the blocks are in the old version, want %v", state, percent, want)
		}
	}
}

func TestClusteredEditsAreInOnePart(t *testing.T) {
	set := source(t, "file", "1MB")
	now, old := read(t, set.Path()), read(t, populate(t, set, "similar-90-clustered"), Dest, set.Name)
	if !bytes.Equal(now[:390e3], old[:390e3]) || !bytes.Equal(now[len(now)-390e3:], old[len(old)-390e3:]) {
		t.Error("edits outside of the middle fifth")
	}
}

func TestStates(t *testing.T) {
	file, tree := source(t, "file", "100KB"), source(t, "tree", "200x500B")
	for _, tt := range []struct {
		set          Set
		state, place string
		same, other  int
	}{
		{file, "empty", Dest, 0, 0},
		{file, "useless", Dest, 0, 2},
		{file, "sibling", Sibling, 0, 1},
		{file, "sibling", Dest, 0, 0},
		{file, "right", Dest, 1, 0},
		{tree, "right", Dest, 200, 0},
		{tree, "moved", Dest, 0, 200},
		{tree, "useless", Dest, 0, 200},
		{tree, "similar-99", Dest, 198, 2},
		{tree, "similar-50", Dest, 100, 100},
		{tree, "similar-50-clustered", Dest, 100, 100},
		{tree, "sibling", Sibling, 198, 2},
	} {
		dir := filepath.Join(populate(t, tt.set, tt.state), tt.place)
		if same, other := countFiles(t, tt.set, dir); same != tt.same || other != tt.other {
			t.Errorf("%s in %s: %d files are the source's and %d not, want %d and %d", tt.state, tt.place, same, other, tt.same, tt.other)
		}
	}
}

func TestMovedFilesAreTheSourceElsewhere(t *testing.T) {
	set := source(t, "tree", "20x500B")
	dir := filepath.Join(populate(t, set, "moved"), Dest)
	want := map[string]bool{}
	collect := func(dir string, f func(content string)) {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				f(string(read(t, path)))
			}
			return err
		})
	}
	collect(set.Dir, func(c string) { want[c] = true })
	collect(dir, func(c string) { delete(want, c) })
	if len(want) != 0 {
		t.Errorf("%d files' contents are nowhere in the moved tree", len(want))
	}
}

func TestOldVersionsAreOlder(t *testing.T) {
	set := source(t, "file", "10KB")
	old, err := os.Stat(filepath.Join(populate(t, set, "similar-99"), Dest, set.Name))
	if err != nil {
		t.Fatal(err)
	}
	now, err := os.Stat(set.Path())
	if err != nil || !old.ModTime().Before(now.ModTime()) {
		t.Errorf("old %v, now %v, %v", old.ModTime(), now.ModTime(), err)
	}
	right, err := os.Stat(filepath.Join(populate(t, set, "right"), Dest, set.Name))
	if err != nil || !right.ModTime().Equal(now.ModTime()) {
		t.Errorf("right %v, now %v, %v", right.ModTime(), now.ModTime(), err)
	}
}

func TestVerifyFindsDifferences(t *testing.T) {
	set := source(t, "tree", "10x500B")
	for name, harm := range map[string]func(path string) error{
		"missing":      os.Remove,
		"longer":       func(p string) error { return os.WriteFile(p, append(read(t, p), 'x'), 0o666) },
		"other byte":   func(p string) error { b := read(t, p); b[0] ^= 1; return os.WriteFile(p, b, 0o666) },
		"other type":   func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o777)) },
		"a mere link":  func(p string) error { return errors.Join(os.Remove(p), os.Symlink("f01", p)) },
		"nothing":      nil,
		"a file extra": func(p string) error { return os.WriteFile(p+"extra", nil, 0o666) },
	} {
		dest := filepath.Join(populate(t, set, "right"), Dest)
		if harm != nil {
			if err := harm(filepath.Join(dest, treeName(3))); err != nil {
				t.Fatal(err)
			}
		}
		err := set.Verify(dest)
		if ok := name == "nothing" || name == "a file extra"; ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknown(t *testing.T) {
	set := source(t, "file", "10KB")
	var missing result.Missing
	for _, state := range []string{"moved", "similar-100", "similar-x", "previous", "odd"} {
		if err := set.Populate(t.Context(), state, t.TempDir()); !errors.As(err, &missing) {
			t.Errorf("%s: %v", state, err)
		}
	}
	for _, kind := range []string{"odd", "tree", "npm:"} {
		if _, err := (&Store{Dir: t.TempDir()}).Source(t.Context(), kind, scenarios.Size{}); err == nil {
			t.Errorf("kind %s is made", kind)
		}
	}
}

// What scenarios may name can be made, and what they may not can't.
func TestScenariosKnowAllStates(t *testing.T) {
	const text = "title = t\nsuites = s\ndata = %s\nsize = %s\nstate = %s\nnet = lan\npeer = rsync\n"
	for kind, size := range map[string]string{"file": "10KB", "sparse": "4MB", "tree": "10x500B"} {
		set := source(t, kind, size)
		for _, state := range []string{
			"empty", "useless", "similar-1", "similar-99-clustered", "similar-100", "similar-0", "sibling", "moved", "right", "previous", "odd",
		} {
			_, parsed := scenarios.Parse("s", fmt.Sprintf(text, kind, size, state), map[string]netlab.Settings{"lan": {}})
			if made := set.Populate(t.Context(), state, t.TempDir()); (parsed == nil) != (made == nil) {
				t.Errorf("%s of %s: a scenario may name it: %v; it is made: %v", state, kind, parsed, made)
			}
		}
	}
}

func TestAFailedMakingLeavesNothing(t *testing.T) {
	s := &Store{Dir: t.TempDir()}
	fail := errors.New("no")
	if _, err := s.keep("k", func(dir string) error { return fail }); !errors.Is(err, fail) {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(s.Dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set := source(t, "tree", "10x500B")
	if err := set.Populate(ctx, "similar-50", t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSplitPair(t *testing.T) {
	for what, want := range map[string]string{
		"typescript@5.8.2..5.8.3": "typescript 5.8.2 5.8.3",
		"1.26.4..1.26.5":          " 1.26.4 1.26.5",
		"linux-libc-dev":          "linux-libc-dev  ",
	} {
		name, older, newer := splitPair(what)
		if got := strings.Join([]string{name, older, newer}, " "); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

func TestCache(t *testing.T) {
	set := source(t, "file", "1MB")
	for _, warm := range []bool{true, false} {
		if err := Cache(set.Dir, warm); err != nil {
			t.Error(err)
		}
	}
}

// An old release's files have another time than the new one's, even if the archives say the same.
func TestOldReleasesAreOlder(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "sub", "f")
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := makeOlder(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || !info.ModTime().Equal(oldTime) {
		t.Errorf("%v, %v", info, err)
	}
}

// TestCountsThatACrashCutShort: counts that can't be read are made again.
func TestCountsThatACrashCutShort(t *testing.T) {
	store := &Store{Dir: t.TempDir()}
	size, err := scenarios.ParseSize("10KB")
	if err != nil {
		t.Fatal(err)
	}
	want, err := store.Source(t.Context(), "file", size)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(store.Dir, "*", measured))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Truncate(files[0], 0); err != nil {
		t.Fatal(err)
	}
	got, err := store.Source(t.Context(), "file", size)
	if err != nil || got.Bytes != want.Bytes || got.Files != want.Files {
		t.Errorf("%d bytes in %d files, %v", got.Bytes, got.Files, err)
	}
}
