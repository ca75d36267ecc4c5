package sender

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testChunk = 16 << 10

// world is a tree on disk with its recipe and everything that a test wants to know of it.
type world struct {
	dir   string
	nodes recipe.MemNodes
	raw   []byte
	root  recipe.Root
	wants []sources.Want
	data  map[uint64][]byte // by ordinal; nil for large worlds
}

func (w *world) RawRoot() []byte { return w.raw }
func (w *world) ID() recipe.ID   { return recipe.RootID(w.raw, w.root.Hash) }
func (w *world) Node(ctx context.Context, k recipe.Kind, id recipe.ID) ([]byte, error) {
	return w.nodes.Node(ctx, k, id)
}

// spec is one file of a world: its name and its bytes.
type spec struct {
	name string
	data []byte
}

// flatWorld is a tree of files in one directory; names ascend.
func flatWorld(tb testing.TB, specs []spec) *world {
	w := &world{dir: tb.TempDir(), nodes: recipe.MemNodes{}, data: map[uint64][]byte{}}
	b := recipe.NewDirBuilder(recipe.MaskPortable, w.nodes.Put(recipe.BLAKE3))
	counts := recipe.Counts{Entries: 1, Dirs: 1}
	for _, s := range specs {
		e := w.addFile(tb, s)
		check(tb, b.Add(&e))
		counts.Entries++
		counts.Files++
		counts.Bytes += uint64(len(s.data))
		counts.DataBytes += uint64(len(s.data))
	}
	dir, err := b.Finish()
	check(tb, err)
	counts.Chunks = uint64(len(w.wants))
	w.root = recipe.Root{
		Version: 1, Hash: recipe.BLAKE3, Profile: recipe.Rabin16, Mask: recipe.MaskPortable, Counts: counts,
		Top: recipe.Entry{Type: recipe.TypeDir, Mode: 0o755, Dir: dir},
	}
	w.raw, err = w.root.Encode()
	check(tb, err)
	return w
}

func (w *world) addFile(tb testing.TB, s spec) recipe.Entry {
	path := filepath.Join(w.dir, s.name)
	check(tb, os.WriteFile(path, s.data, 0o644))
	info, err := os.Stat(path)
	check(tb, err)
	e := recipe.Entry{Name: s.name, Type: recipe.TypeFile, Mode: 0o644, MTime: info.ModTime().UnixNano(), Size: int64(len(s.data))}
	if len(s.data) <= recipe.MaxInline {
		e.Inline = s.data
		return e
	}
	lb := recipe.NewListBuilder(w.nodes.Put(recipe.BLAKE3))
	for off := 0; off < len(s.data); off += testChunk {
		part := s.data[off:min(off+testChunk, len(s.data))]
		id := recipe.BLAKE3.Chunk(part)
		w.data[uint64(len(w.wants))] = part
		w.wants = append(w.wants, sources.Want{Ordinal: uint64(len(w.wants)), ID: id, Len: uint32(len(part))})
		check(tb, lb.Add(recipe.Ref{ID: id, Bytes: int64(len(part)), Chunks: 1}))
	}
	e.Content, err = lb.Finish()
	check(tb, err)
	return e
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = rng.Read(b)
	return b
}

// collector is a sink that keeps what comes and checks that each want is settled once.
type collector struct {
	mu     sync.Mutex
	got    map[uint64][]byte
	failed map[uint64]error
	twice  int
	down   error
	downs  int
	bytes  int
	change chan struct{}
}

func newCollector() *collector {
	return &collector{got: map[uint64][]byte{}, failed: map[uint64]error{}, change: make(chan struct{}, 1)}
}

func (c *collector) Deliver(b *sources.Batch) {
	c.mu.Lock()
	data := b.Data
	for _, w := range b.Wants {
		if _, ok := c.got[w.Ordinal]; ok {
			c.twice++
		}
		c.got[w.Ordinal] = bytes.Clone(data[:w.Len])
		data = data[w.Len:]
	}
	c.bytes += len(b.Data)
	c.mu.Unlock()
	b.Release()
	signal(c.change)
}

func (c *collector) Fail(wants []sources.Want, err error) {
	c.mu.Lock()
	for _, w := range wants {
		c.failed[w.Ordinal] = err
	}
	c.mu.Unlock()
	signal(c.change)
}

func (c *collector) Down(err error) {
	c.mu.Lock()
	c.down = err
	c.downs++
	c.mu.Unlock()
	signal(c.change)
}

// settled waits until n wants were delivered or failed.
func (c *collector) settled(tb testing.TB, n int) {
	tb.Helper()
	reach(tb, n, c.change, func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.got) + len(c.failed)
	})
}

// reach waits until count gives n; change tells when it may have grown.
func reach(tb testing.TB, n int, change <-chan struct{}, count func() int) {
	tb.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for count() < n {
		select {
		case <-change:
		case <-deadline.C:
			tb.Fatalf("%d of %d wants are done", count(), n)
		}
	}
}

// rig is a server on a socket and what clients of it need.
type rig struct {
	w    *world
	srv  *Server
	id   *wire.Identity
	addr string
}

const testToken = "token-of-the-test"

func serveWorld(tb testing.TB, w *world, cfg ServerConfig) *rig {
	id, err := wire.NewIdentity()
	check(tb, err)
	cfg.Identity = id
	srv, err := NewServer(cfg)
	check(tb, err)
	check(tb, srv.Add(Served{Recipe: w, Path: w.dir, Token: testToken, Name: "world"}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, srv.Close()); err != nil {
			tb.Error(err)
		}
	})
	return &rig{w: w, srv: srv, id: id, addr: l.Addr().String()}
}

func (r *rig) config(tb testing.TB, sink sources.Sink) ClientConfig {
	in := sources.NewIntake(sources.IntakeConfig{})
	tb.Cleanup(in.Close)
	return ClientConfig{Addr: r.addr, Pin: r.id.Pin(), Token: testToken, Recipe: r.w.ID(), Sink: sink, Intake: in}
}

func (r *rig) dial(tb testing.TB, cfg ClientConfig) *Client {
	tb.Helper()
	c, err := Dial(context.Background(), cfg)
	check(tb, err)
	tb.Cleanup(func() { check(tb, c.Close()) })
	return c
}

func smallWorld(tb testing.TB) *world {
	return flatWorld(tb, []spec{
		{"a-inline", []byte("inline")},
		{"b-small", noise(1, 20_000)},
		{"c-large", noise(2, 3<<20+17)},
		{"d-empty", nil},
		{"e-small", noise(3, 100)},
		{"f-zeros", make([]byte, 1<<20)},
	})
}
