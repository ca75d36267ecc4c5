package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
