package recipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// then is the mtime of everything in test trees.
var then = time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)

// makeTree writes files by path; a path that ends in "/" is a directory. Times are set to then.
func makeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(dir, path)
		if strings.HasSuffix(path, "/") {
			must(t, os.MkdirAll(full, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(t, os.WriteFile(full, []byte(files[path]), 0o644))
	}
	setTimes(t, dir)
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func setTimes(t testing.TB, dir string) {
	t.Helper()
	at := []unix.Timespec{unix.NsecToTimespec(then.UnixNano()), unix.NsecToTimespec(then.UnixNano())}
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, at, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func buildTree(t testing.TB, cfg BuildConfig) (*File, *BuildStats) {
	t.Helper()
	if cfg.Out == "" {
		cfg.Out = filepath.Join(t.TempDir(), "out.dfr")
	}
	f, stats, err := Build(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f, stats
}

// entries returns what a recipe holds, by path.
func entries(t testing.TB, f *File) map[string]Entry {
	t.Helper()
	out := make(map[string]Entry)
	must(t, Walk(t.Context(), f, f.Root(), func(it Item) error {
		e := *it.Entry
		e.Inline = slices.Clone(e.Inline)
		e.Content.Refs = slices.Clone(e.Content.Refs)
		out[it.Path] = e
		return nil
	}))
	return out
}

// fileRefs returns the chunks and holes of a file.
func fileRefs(t testing.TB, f *File, l List) (refs []Ref) {
	t.Helper()
	if l.Level == 0 {
		return l.Refs
	}
	for _, ref := range l.Refs {
		raw, err := f.Node(t.Context(), KindList, ref.ID)
		must(t, err)
		below, err := DecodeList(raw)
		must(t, err)
		refs = append(refs, fileRefs(t, f, below)...)
	}
	return refs
}

func randomText(seed uint64, n int) string {
	data := make([]byte, n)
	fillRandom(rand.New(rand.NewPCG(seed, 0)), data)
	return string(data)
}

func TestBuildDescribesEveryKind(t *testing.T) {
	big := randomText(1, 3<<20)
	dir := makeTree(t, map[string]string{
		"a/inner.txt":                  "inline",
		"a.b":                          strings.Repeat("x", 49),
		"big":                          big,
		"empty":                        "",
		"emptydir/":                    "",
		"bad-\xff\xfe-utf8":            "bytes",
		strings.Repeat("n", 255):       "long name",
		".dfetch/staging":              "never recorded",
		"a/.dfetch/kept":               "only the top one is left out",
		"dir with space/new\nline/\tx": "odd",
	})
	must(t, os.Symlink("nowhere/\xff", filepath.Join(dir, "link")))
	must(t, os.Chmod(filepath.Join(dir, "a.b"), 0o4750))
	setTimes(t, dir)
	f, stats := buildTree(t, BuildConfig{Path: dir})
	got := entries(t, f)

	for path, want := range map[string]Entry{
		"":                  {Type: TypeDir, Mode: 0o755},
		"a/inner.txt":       {Type: TypeFile, Mode: 0o644, Size: 6, Inline: []byte("inline")},
		"a.b":               {Type: TypeFile, Mode: 0o750, Size: 49},
		"empty":             {Type: TypeFile, Mode: 0o644},
		"emptydir":          {Type: TypeDir, Mode: 0o755},
		"bad-\xff\xfe-utf8": {Type: TypeFile, Mode: 0o644, Size: 5, Inline: []byte("bytes")},
		"link":              {Type: TypeSymlink, Target: "nowhere/\xff"},
		"a/.dfetch/kept":    {Type: TypeFile, Mode: 0o644, Size: 28, Inline: []byte("only the top one is left out")},
	} {
		e, ok := got[path]
		if !ok {
			t.Errorf("%q is missing", path)
			continue
		}
		if e.Type != want.Type || e.Mode != want.Mode && path != "" || e.Size != want.Size || e.Target != want.Target ||
			!bytes.Equal(e.Inline, want.Inline) || e.MTime != then.UnixNano() {
			t.Errorf("%q: %+v, want %+v", path, e, want)
		}
	}
	if _, ok := got[".dfetch"]; ok {
		t.Error(".dfetch at the top is recorded")
	}
	if err := sameRefs(fileRefs(t, f, got["big"].Content), slowCut(t, []byte(big))); err != nil {
		t.Errorf("big: %v", err)
	}
	if want := (Counts{Entries: uint64(len(got)), Files: 9 - 1, Dirs: 6}); stats.Counts.Entries != want.Entries || stats.Counts.Files != want.Files || stats.Counts.Dirs != want.Dirs {
		t.Errorf("counts %+v, want %+v", stats.Counts, want)
	}
	if stats.Counts.DataBytes != stats.Counts.Bytes || stats.ReadBytes != stats.Counts.Bytes {
		t.Errorf("counts %+v, read %d", stats.Counts, stats.ReadBytes)
	}
}

func TestBuildMasks(t *testing.T) {
	dir := makeTree(t, map[string]string{"b/first": "some content", "b.x": "other"})
	must(t, os.Link(filepath.Join(dir, "b/first"), filepath.Join(dir, "b.second")))
	must(t, os.Link(filepath.Join(dir, "b/first"), filepath.Join(dir, "z")))
	must(t, os.Chmod(filepath.Join(dir, "b.x"), fs.ModeSetuid|fs.ModeSticky|0o711))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer func() { _ = unix.Close(socket) }()
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}))
	xattr := unix.Setxattr(filepath.Join(dir, "b.x"), "user.dfetch", []byte("v"), 0) == nil
	setTimes(t, dir)

	for _, mask := range []Mask{MaskPortable, MaskUnix, MaskFull} {
		f, stats := buildTree(t, BuildConfig{Path: dir, Mask: mask})
		got := entries(t, f)
		unixMask := mask >= MaskUnix
		for _, link := range []string{"b.second", "z"} {
			if e := got[link]; (e.Type == TypeHardlink) != unixMask || unixMask && e.Target != "b/first" {
				t.Errorf("mask %d: %s is %+v", mask, link, e)
			}
		}
		if e := got["b.x"]; (e.Mode == 0o5711) != unixMask || (e.User != "") != unixMask {
			t.Errorf("mask %d: mode %#o, owner %q", mask, e.Mode, e.User)
		}
		if e, ok := got["fifo"]; ok != (mask == MaskFull) || ok && e.Type != TypeFifo {
			t.Errorf("mask %d: fifo is %+v", mask, e)
		}
		if want := uint64(1); stats.SkippedSockets != want || stats.SkippedSpecial != want && mask < MaskFull {
			t.Errorf("mask %d: %d sockets, %d others skipped", mask, stats.SkippedSockets, stats.SkippedSpecial)
		}
		if e := got["b.x"]; xattr && mask == MaskFull {
			xs, err := Xattrs(t.Context(), f, &e)
			must(t, err)
			if !slices.ContainsFunc(xs, func(x Xattr) bool { return x.Name == "user.dfetch" && string(x.Value) == "v" }) {
				t.Errorf("extended attributes %v", xs)
			}
		} else if !e.Xattrs.IsZero() {
			t.Errorf("mask %d: extended attributes", mask)
		}
	}
}

func TestBuildDevices(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	if err := unix.Mknod(filepath.Join(dir, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Skipf("a device can't be made here, which needs root: %v", err)
	}
	f, _ := buildTree(t, BuildConfig{Path: dir, Mask: MaskFull})
	if e := entries(t, f)["null"]; e.Type != TypeChar || e.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("device is %+v", e)
	}
}

func TestBuildOfOneFile(t *testing.T) {
	content := randomText(2, 100_000)
	dir := makeTree(t, map[string]string{"data": content})
	must(t, os.Symlink("data", filepath.Join(dir, "alias")))
	must(t, os.Symlink(".", filepath.Join(dir, "self")))
	direct, _ := buildTree(t, BuildConfig{Path: filepath.Join(dir, "data")})
	if top := direct.Root().Top; top.Name != "data" || top.Type != TypeFile || top.Size != 100_000 {
		t.Errorf("top is %+v", top)
	}
	alias, _ := buildTree(t, BuildConfig{Path: filepath.Join(dir, "alias")})
	if top := alias.Root().Top; top.Name != "alias" || top.Type != TypeFile {
		t.Errorf("top is %+v", top)
	}
	if self, _ := buildTree(t, BuildConfig{Path: filepath.Join(dir, "self")}); self.Root().Top.Type != TypeDir {
		t.Error("a symlink to a directory is not followed at the top")
	}
	if _, _, err := Build(t.Context(), BuildConfig{Path: filepath.Join(dir, "none"), Out: filepath.Join(t.TempDir(), "o")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing path: %v", err)
	}
	if _, _, err := Build(t.Context(), BuildConfig{Path: "/dev/null", Out: filepath.Join(t.TempDir(), "o")}); err == nil || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("device as the top: %v", err)
	}
}

// A run as root must not put a recipe in the place of a device.
func TestBuildReplacesOnlyFiles(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	out := filepath.Join(t.TempDir(), "out")
	must(t, unix.Mkfifo(out, 0o600))
	if _, _, err := Build(t.Context(), BuildConfig{Path: dir, Out: out}); err == nil || !strings.Contains(err.Error(), out) {
		t.Errorf("a fifo is replaced: %v", err)
	}
	if st, err := os.Lstat(out); err != nil || st.Mode().Type() != fs.ModeNamedPipe {
		t.Errorf("the fifo is now %v, %v", st, err)
	}
}

// wideFiles is a directory with enough files to make batches and node segments.
func wideFiles() map[string]string {
	files := make(map[string]string)
	for i := range 5000 {
		files[fmt.Sprintf("wide/%d", i)] = ""
	}
	return files
}

// manyFiles is a wide tree that has many directories, and files of many sizes, besides.
func manyFiles(t testing.TB) string {
	files := wideFiles()
	rng := rand.New(rand.NewPCG(9, 9))
	for i := range 1500 {
		size := []int{0, 5, 49, 300, 9000, 70_000}[rng.IntN(6)]
		files[fmt.Sprintf("d%d/e%d/f%d", rng.IntN(40), rng.IntN(3), i)] = randomText(uint64(i), size)
	}
	files["large"] = randomText(77, 2<<20)
	files["holed"] = string(holed(rng, []byte(randomText(78, 3<<20))))
	return makeTree(t, files)
}

func TestBuildIsDeterministicAndReuses(t *testing.T) {
	dir := manyFiles(t)
	out := filepath.Join(t.TempDir(), "first.dfr")
	first, stats := buildTree(t, BuildConfig{Path: dir, Out: out, Workers: 1})
	for _, workers := range []int{2, 7} {
		if again, _ := buildTree(t, BuildConfig{Path: dir, Workers: workers}); again.ID() != first.ID() {
			t.Errorf("%d workers give another id", workers)
		}
	}

	reused, rs := buildTree(t, BuildConfig{Path: dir, Reuse: first})
	if reused.ID() != first.ID() {
		t.Error("reuse gives another id")
	}
	if rs.ReadBytes != 0 || rs.ReusedFiles == 0 || rs.ReusedBytes != stats.Counts.Bytes {
		t.Errorf("reuse: %+v", rs)
	}
	entries(t, reused)
	if err := sameRefs(fileRefs(t, reused, entries(t, reused)["large"].Content), fileRefs(t, first, entries(t, first)["large"].Content)); err != nil {
		t.Error(err)
	}

	if _, rs := buildTree(t, BuildConfig{Path: dir, Reuse: first, ReuseTime: then.Add(time.Second)}); rs.ReusedFiles != 0 {
		t.Errorf("%d files as young as the last recipe are reused", rs.ReusedFiles)
	}
	if _, rs := buildTree(t, BuildConfig{Path: dir, Reuse: first, Hash: SHA256}); rs.ReusedFiles != 0 {
		t.Error("files of another hash are reused")
	}

	must(t, os.WriteFile(filepath.Join(dir, "large"), []byte("changed"), 0o644))
	must(t, os.Remove(filepath.Join(dir, "wide/4999")))
	must(t, os.WriteFile(filepath.Join(dir, "wide/new"), nil, 0o644))
	fresh, _ := buildTree(t, BuildConfig{Path: dir})
	changed, rs := buildTree(t, BuildConfig{Path: dir, Reuse: first})
	if changed.ID() != fresh.ID() || rs.ReadBytes != uint64(len("changed")) {
		t.Errorf("reuse after a change: equal %v, %+v", changed.ID() == fresh.ID(), rs)
	}
}

func TestBuildSparseIsDense(t *testing.T) {
	content := holed(rand.New(rand.NewPCG(11, 12)), []byte(randomText(3, 33<<20)))
	dense := makeTree(t, map[string]string{"f": string(content)})
	sparse := makeTree(t, map[string]string{"f": ""})
	out, err := os.OpenFile(filepath.Join(sparse, "f"), os.O_WRONLY, 0)
	must(t, err)
	must(t, out.Truncate(int64(len(content))))
	for off := 0; off < len(content); off += HoleAlign {
		if block := content[off:min(off+HoleAlign, len(content))]; !isZero(block) {
			_, err := out.WriteAt(block, int64(off))
			must(t, err)
		}
	}
	must(t, out.Close())
	setTimes(t, sparse)
	must(t, os.Chmod(sparse, 0o755))
	must(t, os.Chmod(dense, 0o755))
	a, sa := buildTree(t, BuildConfig{Path: dense})
	b, _ := buildTree(t, BuildConfig{Path: sparse, Workers: 3})
	if a.ID() != b.ID() {
		t.Error("sparse and dense content give two ids")
	}
	if sa.Counts.DataBytes >= sa.Counts.Bytes {
		t.Error("no hole is found")
	}
	if err := sameRefs(fileRefs(t, b, entries(t, b)["f"].Content), slowCut(t, content)); err != nil {
		t.Error(err)
	}
}

func TestBuildKeepsGoing(t *testing.T) {
	dir := makeTree(t, map[string]string{"good": "good", "deep/x": "1"})
	long := filepath.Join(dir, "deep")
	for range 260 {
		long = filepath.Join(long, "d")
	}
	must(t, os.MkdirAll(long, 0o755))
	cfg := BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o.dfr")}
	_, _, err := Build(t.Context(), cfg)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != MaxDepth || !strings.HasPrefix(limit.Entry, "deep/d/d/") {
		t.Fatalf("tree that is too deep: %v", err)
	}
	if _, err := os.Stat(cfg.Out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed build left its file: %v", err)
	}
	cfg.KeepGoing = true
	f, stats := buildTree(t, cfg)
	if stats.Failed != 1 || len(stats.Errors) != 1 || !errors.As(stats.Errors[0], &limit) {
		t.Errorf("failed %d: %v", stats.Failed, stats.Errors)
	}
	if _, ok := entries(t, f)["good"]; !ok {
		t.Error("the rest is missing")
	}
}

func TestBuildUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		testAsNobody(t)
		return
	}
	dir := makeTree(t, map[string]string{"dir/x": "1", "file": "2", "good": "3"})
	must(t, os.Chmod(filepath.Join(dir, "dir"), 0))
	defer func() { _ = os.Chmod(filepath.Join(dir, "dir"), 0o755) }()
	must(t, os.Chmod(filepath.Join(dir, "file"), 0))
	f, stats := buildTree(t, BuildConfig{Path: dir, KeepGoing: true})
	got := entries(t, f)
	if len(got) != 2 || stats.Failed != 2 || !errors.Is(stats.Errors[0], fs.ErrPermission) || !strings.Contains(stats.Errors[0].Error(), dir+"/dir") {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
}

// testAsNobody runs the calling test again as a user who may not read everything.
func testAsNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "nobody")
	must(t, err)
	defer func() { _ = os.RemoveAll(dir) }()
	must(t, os.Chmod(dir, 0o777))
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	exe := filepath.Join(dir, "test")
	must(t, os.WriteFile(exe, self, 0o755))
	cmd := exec.Command(exe, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// buildHooked builds a tree while hook runs after each file is read.
func buildHooked(t *testing.T, cfg BuildConfig, hook func(path string)) (*File, *BuildStats, error) {
	t.Helper()
	cfg.Out = filepath.Join(t.TempDir(), "o.dfr")
	b, err := newBuild(cfg)
	must(t, err)
	b.afterRead = hook
	return b.build(t.Context())
}

func TestBuildEndsWhenTheStoreFails(t *testing.T) {
	dir := makeTree(t, map[string]string{"big": randomText(1, 3<<20)})
	b, err := newBuild(BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o"), KeepGoing: true})
	must(t, err)
	must(t, b.store.Close())
	b.store.out = bufio.NewWriterSize(b.store.file, 16) // the error comes at the first node
	if _, _, err := b.build(t.Context()); !errors.Is(err, errStore) {
		t.Errorf("error %v", err)
	}
}

func TestBuildRefusesConfig(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	good := BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o")}
	for name, change := range map[string]func(*BuildConfig){
		"no output":            func(c *BuildConfig) { c.Out = "" },
		"unknown mask":         func(c *BuildConfig) { c.Mask = 4 },
		"unknown hash":         func(c *BuildConfig) { c.Hash = 9 },
		"unregistered chunker": func(c *BuildConfig) { c.Profile = Rabin16; c.Profile.Name = "other" },
		"bad parameters":       func(c *BuildConfig) { c.Profile = Rabin16; c.Profile.Max = 1 },
		"no temp dir":          func(c *BuildConfig) { c.TempDir = filepath.Join(dir, "none") },
	} {
		cfg := good
		change(&cfg)
		if f, _, err := Build(t.Context(), cfg); err == nil {
			_ = f.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBuildOfChangingFiles(t *testing.T) {
	dir := makeTree(t, map[string]string{"once": randomText(1, 1000), "ever": randomText(2, 1000), "still": "x"})
	reads := map[string]int{}
	hook := func(path string) {
		name := filepath.Base(path)
		if reads[name]++; name == "ever" || name == "once" && reads[name] == 1 {
			must(t, os.WriteFile(path, []byte(randomText(uint64(reads[name]), 1000+reads[name])), 0o644))
		}
	}
	f, stats, err := buildHooked(t, BuildConfig{Path: dir, Workers: 1, KeepGoing: true}, hook)
	must(t, err)
	defer func() { _ = f.Close() }()
	got := entries(t, f)
	if got["once"].Size != 1001 || stats.Failed != 1 || !errors.Is(stats.Errors[0], ErrChanged) || !strings.Contains(stats.Errors[0].Error(), dir+"/ever") {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
	if reads["ever"] != 2 {
		t.Errorf("%d reads of a file that always changes", reads["ever"])
	}
}

func TestBuildLosesHardlinksOfLostFiles(t *testing.T) {
	dir := makeTree(t, map[string]string{"a/first": randomText(1, 1000), "good": "x"})
	must(t, os.Link(filepath.Join(dir, "a/first"), filepath.Join(dir, "b")))
	hook := func(path string) {
		if filepath.Base(path) == "first" {
			must(t, os.Truncate(path, time.Now().UnixNano()%1000+2000))
			must(t, os.Chtimes(path, then, time.Now()))
		}
	}
	f, stats, err := buildHooked(t, BuildConfig{Path: dir, Mask: MaskUnix, Workers: 1, KeepGoing: true}, hook)
	must(t, err)
	defer func() { _ = f.Close() }()
	if got := entries(t, f); len(got) != 3 || stats.Failed != 2 || !strings.Contains(stats.Errors[1].Error(), `"a/first"`) {
		t.Errorf("entries %v, errors %v", got, stats.Errors)
	}
}

func TestBuildFileBecomesFifo(t *testing.T) {
	dir := makeTree(t, map[string]string{"f": "x"})
	d, err := openat(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	must(t, err)
	defer func() { _ = unix.Close(d) }()
	must(t, os.Remove(filepath.Join(dir, "f")))
	b, err := newBuild(BuildConfig{Path: dir, Out: filepath.Join(t.TempDir(), "o")})
	must(t, err)
	defer func() { _ = b.store.Close() }()
	c := &content{b: b, small: newElements(b.cutter, BLAKE3, 0)}
	for _, make := range []func(string) error{
		func(p string) error { return unix.Mkfifo(p, 0o644) },
		func(p string) error { return os.Symlink("/etc/passwd", p) },
		func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		must(t, make(filepath.Join(dir, "f")))
		s := step{kind: stepFile, dir: &dirFD{fd: d, shown: dir}, open: "f", entry: Entry{Name: "f", Type: TypeFile}}
		if err := c.complete(t.Context(), &s); !errors.Is(err, ErrChanged) {
			t.Errorf("error %v", err)
		}
		must(t, os.Remove(filepath.Join(dir, "f")))
	}
}

func TestBuildCanceled(t *testing.T) {
	dir := makeTree(t, wideFiles())
	out := t.TempDir()
	open := openFDs(t)
	for _, after := range []uint64{0, 3000} {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := BuildConfig{Path: dir, Out: filepath.Join(out, "o.dfr"), Progress: func(p Progress) {
			if p.Files >= after {
				cancel()
			}
		}}
		if _, _, err := Build(ctx, cfg); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled after %d files: %v", after, err)
		}
		cancel()
	}
	left, err := os.ReadDir(out)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
	if n := openFDs(t); n > open {
		t.Errorf("%d open files, %d before", n, open)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}

func TestBuildProgress(t *testing.T) {
	files := wideFiles()
	files["large"] = randomText(1, 2<<20)
	dir := makeTree(t, files)
	var last Progress
	_, stats := buildTree(t, BuildConfig{Path: dir, Progress: func(p Progress) {
		if p.Files < last.Files || p.Bytes < last.Bytes {
			t.Errorf("progress goes back from %+v to %+v", last, p)
		}
		last = p
	}})
	want := Progress{stats.Counts.Files, stats.Counts.Bytes, stats.Counts.Files, stats.Counts.Bytes, true}
	if last != want {
		t.Errorf("last progress %+v, want %+v", last, want)
	}
}

func BenchmarkBuildLargeFile(b *testing.B) {
	dir := makeTree(b, map[string]string{"f": string(bytes.Repeat(benchData(), 8))})
	benchBuild(b, BuildConfig{Path: filepath.Join(dir, "f")}, 8*benchSize)
}

func BenchmarkBuildSmallFiles(b *testing.B) {
	files := make(map[string]string)
	for i := range 20_000 {
		files[fmt.Sprintf("%d/%d", i%100, i)] = randomText(uint64(i), 4000)
	}
	dir := makeTree(b, files)
	b.Run("fresh", func(b *testing.B) { benchBuild(b, BuildConfig{Path: dir}, 20_000*4000) })
	f, _ := buildTree(b, BuildConfig{Path: dir})
	b.Run("reused", func(b *testing.B) { benchBuild(b, BuildConfig{Path: dir, Reuse: f}, 20_000*4000) })
}

func benchBuild(b *testing.B, cfg BuildConfig, size int64) {
	cfg.Out = filepath.Join(b.TempDir(), "o.dfr")
	b.SetBytes(size)
	for b.Loop() {
		f, _, err := Build(b.Context(), cfg)
		must(b, err)
		_ = f.Close()
	}
}
