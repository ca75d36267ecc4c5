package diskscan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// home makes a destination with neighbours, public and private ones.
func home(t *testing.T) (base string) {
	t.Helper()
	base = filepath.Join(t.TempDir(), "home")
	for name, mode := range map[string]os.FileMode{
		"dest/a": 0o600, "dest/.git/config": 0o600, "dest/.dfetch/x/staged": 0o644, "dest/sub/b": 0o644,
		"old/a": 0o644, "old/secret": 0o600, "old/group": 0o640, "old/.dfetch/y/staged": 0o644,
		".ssh/known": 0o644, "old/.cache/z": 0o644, "private/letter": 0o644, "beside": 0o644, "diary": 0o600, ".profile": 0o644,
		"../outside": 0o644,
	} {
		path := filepath.Join(base, name)
		write(t, path, []byte(name))
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(base, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"old/out": "../../outside", "old/up": "../..", "dest/out": "../../outside"} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func TestScope(t *testing.T) {
	dest := []string{"dest/.git/config", "dest/a", "dest/sub/b"}
	public := []string{"beside", "old/a"}
	private := []string{".profile", ".ssh/known", "diary", "old/.cache/z", "old/group", "old/secret", "private/letter"}
	for _, tt := range []struct {
		name  string
		scope ScopeConfig
		want  [][]string
	}{
		{"destination alone", ScopeConfig{Dest: "dest"}, [][]string{dest}},
		{"untrusted with siblings", ScopeConfig{Dest: "dest", Siblings: true}, [][]string{dest, public}},
		{"trusted with siblings", ScopeConfig{Dest: "dest", Siblings: true, Trusted: true}, [][]string{dest, public, private}},
		{"destination that does not exist", ScopeConfig{Dest: "old/new", Siblings: true}, [][]string{{"old/a"}}},
		{"nothing exists", ScopeConfig{Dest: "none/new", Siblings: true}, nil},
		{"user's own words", ScopeConfig{Roots: []string{"old"}}, [][]string{{"old/.cache/z", "old/a", "old/group", "old/secret"}}},
		{"same root twice", ScopeConfig{Roots: []string{"dest", "dest/sub"}}, [][]string{dest}},
		{"file", ScopeConfig{Dest: "old/secret", File: true}, [][]string{{"old/secret"}}},
		{
			"file with siblings", ScopeConfig{Dest: "old/secret", File: true, Siblings: true},
			[][]string{{"beside", "dest/sub/b", "old/a", "old/secret"}},
		},
		{"new file", ScopeConfig{Dest: "old/new", File: true, Siblings: true}, [][]string{{"beside", "dest/sub/b", "old/a"}}},
		{"index roots are not searched", ScopeConfig{Dest: "dest", Trusted: true, IndexRoots: []string{"old"}}, [][]string{dest}},
	} {
		for _, stepwise := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/stepwise=%v", tt.name, stepwise), func(t *testing.T) {
				base := home(t)
				t.Chdir(base)
				d := open(t, tt.scope, Config{})
				d.scope.opener.stepwise = stepwise
				want := slices.Concat(tt.want...)
				slices.Sort(want)
				files := listAll(t, d)
				got := paths(d, files, base)
				if !slices.Equal(got, want) {
					t.Errorf("searched %q\nwant     %q", got, want)
				}
				for _, f := range files {
					name := paths(d, []File{f}, base)[0]
					own := tt.scope.Dest != "" && (name == tt.scope.Dest || strings.HasPrefix(name, tt.scope.Dest+"/"))
					if d.scope.InDest(f.Dir) != own {
						t.Errorf("%s in the destination: want %v", name, own)
					}
				}
			})
		}
	}
}

// What is made in the destination meanwhile is nothing new to find; beside the destination it may be. What seems to be
// from the future is old.
func TestOwnFilesAreNotSearched(t *testing.T) {
	base := home(t)
	d := open(t, ScopeConfig{Dest: filepath.Join(base, "dest"), Siblings: true}, Config{})
	own := filepath.Join(base, "dest/new")
	began := time.Now()
	for changed := int64(0); changed <= began.UnixNano(); {
		if time.Since(began) > 5*time.Second {
			t.Skip("this file system has another clock")
		}
		_ = os.RemoveAll(own) // the clock that files get goes in steps
		write(t, filepath.Join(own, "file"), []byte("own"))
		st := statOf(t, own)
		changed = ctimeOf(&st)
	}
	write(t, filepath.Join(base, "dest/sub/file"), []byte("own"))
	write(t, filepath.Join(base, "old/file"), []byte("another's"))
	if bornOr(unix.AT_FDCWD, own, 0) > 0 {
		if err := os.Chmod(filepath.Join(base, "dest/a"), 0o640); err != nil { // a mode that was put right
			t.Fatal(err)
		}
	}
	want := []string{"beside", "dest/.git/config", "dest/a", "dest/sub/b", "old/a", "old/file"}
	if got := paths(d, listAll(t, d), base); !slices.Equal(got, want) {
		t.Errorf("searched %q\nwant     %q", got, want)
	}
	r := root{began: began.UnixNano()}
	for then, want := range map[int64]bool{r.began: false, r.began + 1: true, time.Now().Add(time.Hour).UnixNano(): false} {
		if got := r.madeSince(then); got != want {
			t.Errorf("made at %d, the search began at %d: own is %v", then, r.began, got)
		}
	}
}

// What a listing would not show can't be opened either, whoever names it.
func TestScopeOpensNothingElse(t *testing.T) {
	base := home(t)
	t.Chdir(base)
	d := open(t, ScopeConfig{Dest: "dest", Siblings: true}, Config{})
	for _, name := range []string{
		"outside", "home/diary", "home/old/secret", "home/old/group", "home/.ssh/known", "home/old/.cache/z",
		"home/private/letter", "home/old/out", "home/old/up/outside", "home/dest/.dfetch/x/staged", "home/dest/out",
	} {
		f, ok := d.scope.locate(filepath.Join(filepath.Dir(base), name))
		if !ok {
			continue
		}
		if _, err := d.Hash(t.Context(), f, HashState{}, nil, nil); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	for _, rel := range []string{"..", "../outside", "dest/../old/a", "dest/a", "old/../../outside", "private/letter", "diary"} {
		f := File{Dir: Dir{Root: 1}, Name: rel}
		if _, err := d.Hash(t.Context(), f, HashState{}, nil, nil); err == nil {
			t.Errorf("%s was read through the siblings' root", rel)
		}
	}
	if f, ok := d.scope.locate(filepath.Join(base, "old/a")); !ok {
		t.Error("a public file is not found")
	} else if _, err := d.Hash(t.Context(), f, HashState{}, nil, nil); err != nil {
		t.Errorf("a public file can't be read: %v", err)
	}
}

// A directory whose permissions are taken away between its listing and the reading stays unread.
func TestPublicScopeIsCheckedAtEachOpening(t *testing.T) {
	base := home(t)
	d := open(t, ScopeConfig{Dest: filepath.Join(base, "dest"), Siblings: true}, Config{})
	files := listAll(t, d)
	i := slices.IndexFunc(files, func(f File) bool { return f.Dir.Path == "old" })
	if err := os.Chmod(filepath.Join(base, "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Hash(t.Context(), files[i], HashState{}, nil, nil); !errors.Is(err, ErrOutside) {
		t.Errorf("got %v", err)
	}
}

func TestScopeLeavesOutWhatIsNotSearched(t *testing.T) {
	s := OpenScope(t.Context(), ScopeConfig{Roots: []string{"/proc/self", "/sys", "/nowhere"}})
	defer s.Close()
	if len(s.Refused()) != 3 || len(s.Starts()) != 0 {
		t.Errorf("refused %v, starts %v", s.Refused(), s.Starts())
	}
	d, err := New(Config{Scope: OpenScope(t.Context(), ScopeConfig{Roots: []string{"/"}})})
	if err != nil {
		t.Fatal(err)
	}
	defer d.scope.Close()
	defer d.Close()
	for _, dir := range []string{"proc", "sys"} {
		if _, err := d.Stat(t.Context(), Dir{Path: dir}, 0); !errors.Is(err, unix.EXDEV) {
			t.Errorf("%s: %v, want a refusal to cross the mount", dir, err)
		}
		if _, err := openStepwise(d.scope.roots[0].fd, dir, dirFlags); err != unix.EXDEV {
			t.Errorf("%s: %v by steps, want a refusal to cross the mount", dir, err)
		}
	}
}

// A public listing of a directory does not keep a full one from being made.
func TestFullListingAfterPublicOne(t *testing.T) {
	base := home(t)
	d := open(t, ScopeConfig{Dest: filepath.Join(base, "dest"), Siblings: true, Roots: []string{filepath.Join(base, "old")}}, Config{})
	public, full := Dir{Root: 1, Path: "old"}, Dir{Root: 2}
	for _, dir := range []Dir{public, full} {
		if _, err := d.Stat(t.Context(), dir, 0); err != nil {
			t.Errorf("%v: %v", dir, err)
		}
	}
	for _, dir := range []Dir{public, full} {
		if _, err := d.Stat(t.Context(), dir, 0); !errors.Is(err, ErrSeen) {
			t.Errorf("%v again: %v", dir, err)
		}
	}
}

func TestStatOfLargeDirectory(t *testing.T) {
	dir := t.TempDir()
	const n = 3*statBatch + 17
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%d", i)), []byte{1}, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	seen := map[string]bool{}
	for from, calls := int64(0), 0; ; calls++ {
		res, err := d.Stat(t.Context(), Dir{}, from)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Files) > 2*statBatch || calls > n {
			t.Fatalf("%d entries at once, call %d", len(res.Files), calls)
		}
		for _, f := range res.Files {
			seen[f.Name] = true
		}
		if from = res.Next; from == 0 {
			break
		}
	}
	if len(seen) != n {
		t.Errorf("%d files listed, want %d", len(seen), n)
	}
	if s := d.Stats(); s.Stat != 1 || s.Entries != n {
		t.Errorf("stats %+v", s)
	}
}

func FuzzParseDirents(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 24, 0, 8, 'a', 0, 0, 0, 0})
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, e := range parseDirents(raw, nil) {
			if e.name == "" || e.name == "." || e.name == ".." || len(e.name) > len(raw) {
				t.Errorf("entry %q", e.name)
			}
		}
	})
}

// A directory where a search starts is not listed a second time from above, and what lies beside the destination is
// searched as it is where the user named a directory above it.
func TestNestedStartsAreListedOnce(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"a/dst/f", "a/side/g", "a/.private/h", "b/i"} {
		write(t, filepath.Join(home, name), noise(name, 100))
	}
	d := open(t, ScopeConfig{Dest: filepath.Join(home, "a", "dst"), Siblings: true, Roots: []string{home}}, Config{})
	files := listAll(t, d)
	want := []string{"a/.private/h", "a/dst/f", "a/side/g", "b/i"}
	if got := paths(d, files, home); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if n := d.Stats().Stat; n != 6 {
		t.Errorf("%d directories were listed, want 6: each once", n)
	}
}

// TestClosedParent: what lies beside the destination is not searched for everybody's recipe if not every user may read the
// directory that holds both.
func TestClosedParent(t *testing.T) {
	for name, mode := range map[string]os.FileMode{"closed": 0o700, "unlisted": 0o711, ".dotted": 0o755} {
		base := t.TempDir()
		parent := filepath.Join(base, name)
		write(t, filepath.Join(parent, "old", "a"), []byte("a"))
		if err := os.Chmod(parent, mode); err != nil {
			t.Fatal(err)
		}
		for _, cfg := range []ScopeConfig{{Dest: "new", Siblings: true}, {Dest: "new", Siblings: true, File: true}} {
			cfg.Dest = filepath.Join(parent, cfg.Dest)
			s := OpenScope(t.Context(), cfg)
			for _, dir := range s.Starts() {
				if s.Path(dir) == parent && !s.InDest(dir) {
					t.Errorf("%s (%v): %s is searched", name, mode, s.Path(dir))
				}
			}
			if r := s.Refused(); len(r) != 1 || r[0].Path != parent || !errors.Is(r[0].Err, ErrOutside) {
				t.Errorf("%s (%v): refused %v", name, mode, r)
			}
			s.Close()
			cfg.Trusted = true
			s = OpenScope(t.Context(), cfg)
			if len(s.Refused()) > 0 {
				t.Errorf("%s (%v), trusted: refused %v", name, mode, s.Refused())
			}
			s.Close()
		}
	}
}

// What lies on a mount below one root is opened through the one on that mount; the destination goes before others.
func TestLocateInRootsThatLieInOthers(t *testing.T) {
	s := &Scope{roots: []root{
		{path: "/a", dev: 1}, {path: "/a/m/k", dev: 1}, {path: "/a/m", dev: 2}, {path: "/a/bound", dev: 1},
		{path: "/d", dev: 1, dest: true}, {path: "/d/in", dev: 1}, {path: "/d/other", dev: 3}, {path: "/a/m/world", dev: 2, public: true},
	}}
	for path, want := range map[string]Dir{
		"/a":           {Root: 0},
		"/a/m":         {Root: 2},
		"/a/b/c":       {Root: 0, Path: "b/c"},
		"/a/m/b":       {Root: 2, Path: "b"},
		"/a/m/k/b":     {Root: 1, Path: "b"},
		"/a/m/world/b": {Root: 2, Path: "world/b"},
		"/a/bound/b":   {Root: 3, Path: "b"},
		"/d/in/b":      {Root: 4, Path: "in/b"},
		"/d/other/b":   {Root: 6, Path: "b"},
	} {
		if got, ok := s.locateDir(path); !ok || got != want {
			t.Errorf("%s: %+v, %t, want %+v", path, got, ok, want)
		}
	}
	if _, ok := s.locateDir("/b"); ok {
		t.Error("a directory outside is located")
	}
}
