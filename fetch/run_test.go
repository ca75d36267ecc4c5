package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
	"dfetch/sources/sender"
	"dfetch/sources/wire"
	"dfetch/tree"
)

func TestMain(m *testing.M) {
	unix.Umask(0o022) // what is private is not searched
	goleak.VerifyTestMain(m)
}

// noSearch keeps a test's destination from finding the source, which lies beside it.
var noSearch = SearchConfig{Off: true}

// served is a tree that a server in this process serves.
type served struct {
	file *recipe.File
	ep   Endpoint
}

// serveTree describes a tree and serves it on the loopback until the test ends.
func serveTree(t *testing.T, path string, mask recipe.Mask) served {
	t.Helper()
	file, _, err := recipe.Build(t.Context(), recipe.BuildConfig{Path: path, Out: filepath.Join(t.TempDir(), "r.dfr"), Mask: mask})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return served{file, serveAt(t, path, file)}
}

func serveAt(t *testing.T, path string, file *recipe.File) Endpoint {
	t.Helper()
	id, err := wire.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	server, err := sender.NewServer(sender.ServerConfig{Identity: id, HandshakesPerSec: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Add(sender.Served{Recipe: file, Path: path, Token: "secret"}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { server.Serve(ctx, l) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return Endpoint{Addrs: []string{l.Addr().String()}, Pin: id.Pin(), Token: "secret"}
}

// writeTree makes files with contents that depend on the seed alone. All have the same time.
func writeTree(t *testing.T, dir string, seed uint64, sizes map[string]int) {
	t.Helper()
	when := time.Unix(1_700_000_000, 123)
	for name, size := range sizes {
		data := make([]byte, size)
		var key [32]byte
		copy(key[:], fmt.Sprint(seed, name))
		rand.NewChaCha8(key).Read(data)
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, data, 0o644), os.Chtimes(p, when, when)); err != nil {
			t.Fatal(err)
		}
	}
}

var someFiles = map[string]int{"big": 3_000_000, "empty": 0, "tiny": 20, "d/mid": 200_000, "d/e/small": 3000, "d/e/small2": 5000}

// sameTree fails unless two trees hold the same files.
func sameTree(t *testing.T, want, got string) {
	t.Helper()
	err := filepath.WalkDir(want, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(want, p)
		a, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(got, rel))
		if err == nil && !bytes.Equal(a, b) {
			err = fmt.Errorf("%s differs", rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, cfg Config) *Report {
	t.Helper()
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkSum fails unless the report's sources account for all content.
func checkSum(t *testing.T, r *Report) {
	t.Helper()
	var sum uint64
	for _, s := range r.Sources {
		sum += s.Bytes
	}
	if sum != r.Bytes {
		t.Errorf("sources bring %d bytes, the recipe has %d: %+v", sum, r.Bytes, r.Sources)
	}
}

func TestTreeArrives(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "new", "dest")
	writeTree(t, src, 1, someFiles)
	s := serveTree(t, src, 0)
	var trace bytes.Buffer
	cfg := Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, Trace: &trace, Progress: func(Snapshot) {}}
	r := run(t, cfg)
	sameTree(t, src, dst)
	checkSum(t, r)
	if r.Sources["sender"].Bytes != r.Bytes || r.FilesWritten != uint64(len(someFiles)) {
		t.Errorf("report: %+v", r)
	}
	n := 0
	if err := Replay(&trace, func(time.Duration, Action) error { n++; return nil }); err != nil || n == 0 {
		t.Errorf("replay of %d actions: %v", n, err)
	}
	cfg.Trace = nil
	r = run(t, cfg)
	checkSum(t, r)
	if r.Sources["dest"].Bytes != r.Bytes || r.FilesWritten != 0 {
		t.Errorf("second run: %+v", r)
	}
}

// TestRepeatedContentComesOnce: files with equal content cost the network one copy.
func TestRepeatedContentComesOnce(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"f0": 300_000})
	data, _ := os.ReadFile(filepath.Join(src, "f0"))
	for i := range 20 {
		os.WriteFile(filepath.Join(src, fmt.Sprintf("copy%d", i)), data, 0o644)
	}
	s := serveTree(t, src, 0)
	// The copies are planned before the first one has come.
	r := run(t, Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 1e6})
	sameTree(t, src, dst)
	checkSum(t, r)
	if wire := r.Sources["sender"].WireBytes; wire > 2*300_000 {
		t.Errorf("%d bytes over the network for 21 copies of 300000", wire)
	}
}

// TestKnownNodesAreNotFetchedAgain: of the next version's recipe only what changed comes.
func TestKnownNodesAreNotFetchedAgain(t *testing.T) {
	src, dst, cache := t.TempDir(), t.TempDir(), t.TempDir()
	sizes := map[string]int{}
	for i := range 4000 {
		sizes[fmt.Sprintf("d%02d/f%d", i%40, i)] = 100
	}
	writeTree(t, src, 1, sizes)
	cfg := Config{Search: noSearch, Dest: dst, CacheDir: cache}
	fetchNow := func() *Report {
		s := serveTree(t, src, 0)
		cfg.Recipe, cfg.Endpoints = s.file.ID(), []Endpoint{s.ep}
		return run(t, cfg)
	}
	first := fetchNow()
	writeTree(t, src, 2, map[string]int{"d07/f7": 130})
	second := fetchNow()
	sameTree(t, src, dst)
	if second.RecipeBytes*5 > first.RecipeBytes {
		t.Errorf("first recipe %d bytes, the next %d with one file changed", first.RecipeBytes, second.RecipeBytes)
	}
}

// TestInterruptedRunGoesOn: a canceled run loses nothing that it had.
func TestInterruptedRunGoesOn(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"big": 40_000_000})
	s := serveTree(t, src, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 8e6}
	cfg.Progress = func(s Snapshot) {
		if s.Done > 10_000_000 {
			cancel()
		}
	}
	if _, err := Run(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Fatalf("run that was canceled: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dst, "big")); err == nil {
		t.Fatal("half a file stands at its name")
	}
	cfg.Progress, cfg.MaxRate = nil, 0
	r := run(t, cfg)
	sameTree(t, src, dst)
	checkSum(t, r)
	if r.ResumedBytes < 9_000_000 || r.Sources["sender"].Bytes > 31_000_000 {
		t.Errorf("resumed %d bytes, fetched %d", r.ResumedBytes, r.Sources["sender"].Bytes)
	}
}

// cutter passes bytes between a client and a server and cuts each connection after a number of bytes.
type cutter struct {
	l     net.Listener
	conns atomic.Int32
}

func cutAfter(t *testing.T, target string, limit int64) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{l: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			wg.Go(func() { c.pass(in, target, limit) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return c
}

func (c *cutter) pass(in net.Conn, target string, limit int64) {
	defer in.Close()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { io.Copy(out, in); out.Close() })
	io.CopyN(in, out, limit)
	in.Close()
	out.Close()
	wg.Wait()
}

// TestLostConnectionIsMadeAgain: a sender that goes away in the middle is dialled again.
func TestLostConnectionIsMadeAgain(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"big": 8_000_000, "d/mid": 300_000})
	s := serveTree(t, src, 0)
	c := cutAfter(t, s.ep.Addrs[0], 5_000_000)
	s.ep.Addrs = []string{c.l.Addr().String()}
	r := run(t, Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst})
	sameTree(t, src, dst)
	checkSum(t, r)
	if c.conns.Load() < 2 {
		t.Error("the connection was not cut")
	}
}

// TestTwoSenders: both are used, and what one of them has lost comes from the other.
func TestTwoSenders(t *testing.T) {
	src, copied, dst := t.TempDir(), t.TempDir(), t.TempDir()
	writeTree(t, src, 1, someFiles)
	writeTree(t, copied, 1, someFiles)
	s := serveTree(t, src, 0)
	second := serveAt(t, copied, s.file)
	// The second one lies about one file and has lost another.
	writeTree(t, copied, 2, map[string]int{"d/mid": someFiles["d/mid"]})
	os.Remove(filepath.Join(copied, "d/e/small"))
	r := run(t, Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{second, s.ep}, Dest: dst})
	sameTree(t, src, dst)
	checkSum(t, r)
}

func TestChangedFileIsNamed(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, someFiles)
	s := serveTree(t, src, 0)
	os.Truncate(filepath.Join(src, "d/mid"), 100)
	r, err := Run(t.Context(), Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst})
	if !errors.Is(err, ErrChanged) || !errors.Is(err, tree.ErrPartial) || r.Failed != 1 {
		t.Fatalf("%v, report %+v", err, r)
	}
	if _, err := os.Stat(filepath.Join(dst, "d/mid")); err == nil {
		t.Error("the changed file was put in place")
	}
	if _, err := os.Stat(filepath.Join(dst, "big")); err != nil {
		t.Errorf("the others should have come: %v", err)
	}
}

// TestPartOfATree: a hard link whose file lies outside the part is named, the rest comes.
func TestPartOfATree(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, someFiles)
	if err := os.Link(filepath.Join(src, "big"), filepath.Join(src, "d/e/zlink")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(src, "d/e/small"), filepath.Join(src, "d/e/zsmall")); err != nil {
		t.Fatal(err)
	}
	s := serveTree(t, src, recipe.MaskUnix)
	cfg := Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, Select: Selection{Path: "d/e"}}
	_, err := Run(t.Context(), cfg)
	if !errors.Is(err, errOutside) || !errors.Is(err, tree.ErrPartial) {
		t.Fatalf("error: %v", err)
	}
	a, err1 := os.Stat(filepath.Join(dst, "small"))
	b, err2 := os.Stat(filepath.Join(dst, "zsmall"))
	if err1 != nil || err2 != nil || !os.SameFile(a, b) {
		t.Errorf("the link inside the part: %v %v", err1, err2)
	}
}

func TestSecondGetIsToldWhoHoldsTheDestination(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"big": 4_000_000})
	s := serveTree(t, src, 0)
	cfg := Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 4e6}
	second := make(chan error, 1)
	var once sync.Once
	cfg.Progress = func(Snapshot) {
		once.Do(func() {
			other := cfg
			other.Progress, other.MaxRate = nil, 0
			_, err := Run(t.Context(), other)
			second <- err
		})
	}
	run(t, cfg)
	select {
	case err := <-second:
		if !errors.Is(err, tree.ErrLocked) {
			t.Errorf("second get: %v", err)
		}
	default:
		t.Error("no progress was told")
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "none")
	writeTree(t, src, 1, someFiles)
	s := serveTree(t, src, 0)
	p, err := DryRun(t.Context(), Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst})
	if err != nil {
		t.Fatal(err)
	}
	if p.Files != uint64(len(someFiles)) || p.MissingFiles != p.Files || p.MissingBytes != p.Bytes {
		t.Errorf("%+v", p)
	}
	if _, err := os.Lstat(dst); err == nil {
		t.Error("the destination was made")
	}
}

func TestTooLarge(t *testing.T) {
	src := t.TempDir()
	writeTree(t, src, 1, someFiles)
	s := serveTree(t, src, 0)
	_, err := Run(t.Context(), Config{Search: noSearch, Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: t.TempDir(), MaxSize: 1000})
	if !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// TestSearchFindsAMovedTree: where the network is slow, content that lies beside the destination under
// other names is found, and most of it does not cross the network.
func TestSearchFindsAMovedTree(t *testing.T) {
	src := t.TempDir()
	sizes := map[string]int{}
	for i := range 60 {
		sizes[fmt.Sprintf("v2/part%d/file%d.dat", i%7, i)] = 20_000 + 3000*i
	}
	writeTree(t, src, 1, sizes)
	s := serveTree(t, src, 0)
	home := t.TempDir()
	old := filepath.Join(home, "old-version-1.2", "deep")
	if err := errors.Join(os.MkdirAll(filepath.Dir(old), 0o755), os.Chmod(home, 0o755), os.Rename(filepath.Join(src, "v2"), old)); err != nil {
		t.Fatal(err)
	}
	writeTree(t, src, 1, sizes) // the sender's files stand where they were
	r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: filepath.Join(home, "new"), MaxRate: 1e6, Search: SearchConfig{NoPressure: true}})
	sameTree(t, src, filepath.Join(home, "new"))
	checkSum(t, r)
	if disk := r.Sources["disk"].Bytes; disk*10 < r.Bytes*8 {
		t.Errorf("%d of %d bytes came from the disk: %+v", disk, r.Bytes, r)
	}
	if r.DiskOps.Stat == 0 || r.DiskOps.Hash == 0 {
		t.Errorf("disk operations: %+v", r.DiskOps)
	}
}

// TestPrivateFilesAreNotSearched: what lies beside the destination and is not everybody's to read
// is not looked into.
func TestPrivateFilesAreNotSearched(t *testing.T) {
	src, home := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"secret": 400_000})
	s := serveTree(t, src, 0)
	writeTree(t, filepath.Join(home, "beside"), 1, map[string]int{"secret": 400_000})
	if err := errors.Join(os.Chmod(home, 0o755), os.Chmod(filepath.Join(home, "beside", "secret"), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := run(t, Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: filepath.Join(home, "new"), MaxRate: 1e6})
	if r.Sources["disk"].Bytes != 0 || r.DiskOps.HashBytes != 0 {
		t.Errorf("a private file was read: %+v", r)
	}
}

// TestIndexRemembersWhatWasHashed: what one search has hashed, the next one reads by the index. The files are of
// several slices each: the first ones may be hashed before the index has answered.
func TestIndexRemembersWhatWasHashed(t *testing.T) {
	src, home := t.TempDir(), t.TempDir()
	sizes := map[string]int{"part/one": 20_000_000, "part/two": 30_000_000, "three": 500_000}
	writeTree(t, src, 1, sizes)
	s := serveTree(t, src, 0)
	writeTree(t, filepath.Join(home, "old"), 1, map[string]int{"part/one": 20_000_000, "part/two": 30_000_000})
	if err := errors.Join(os.Chmod(home, 0o755), os.Rename(filepath.Join(home, "old/part/one"), filepath.Join(home, "old/part/uno"))); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: filepath.Join(home, "new"), MaxRate: 5e5}
	cfg.Search.Index, cfg.Search.NoPressure = t.TempDir(), true
	cfg.Search.Roots = []string{filepath.Join(home, "old")}
	var trace bytes.Buffer
	first := run(t, cfg)
	if first.DiskOps.Hash == 0 || first.Sources["disk"].Bytes == 0 {
		t.Fatalf("first run: %+v", first)
	}
	if err := os.RemoveAll(cfg.Dest); err != nil {
		t.Fatal(err)
	}
	cfg.Trace = &trace
	second := run(t, cfg)
	sameTree(t, src, cfg.Dest)
	checkSum(t, second)
	if second.DiskOps.CacheCheck == 0 || second.DiskOps.CacheRead == 0 {
		t.Errorf("second run: %+v", second.DiskOps)
	}
	lines := trace.String()
	if err := Replay(&trace, func(time.Duration, Action) error { return nil }); err != nil {
		t.Error(err)
	}
	var ticks time.Duration
	var readings int
	clock := func() time.Duration { // a reading takes one tick, a step or a decision two more
		if readings++; readings > clockReadings+1 {
			ticks += 2
		}
		ticks++
		return ticks
	}
	spent, err := TimeReplay(strings.NewReader(lines), clock)
	if events := strings.Count(lines, "\n") - 1; err != nil || spent.Listing+spent.Deciding != time.Duration(2*events) || spent.Listing == 0 || spent.Entries == 0 {
		t.Errorf("two ticks a line of %d: %+v, %v", events, spent, err)
	}
	if _, err := TimeReplay(strings.NewReader(strings.Replace(lines, `"act":[{`, `"act":[{"n":7},{`, 1)), clock); !errors.Is(err, ErrReplay) {
		t.Errorf("other decisions are not noticed: %v", err)
	}
}
