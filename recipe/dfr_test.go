package recipe

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func sampleFile(t testing.TB, seed uint64, as []Attachment) ([]byte, *Root, MemNodes) {
	t.Helper()
	_, root, nodes := sampleTree(t, seed, MaskUnix, 300)
	var b bytes.Buffer
	if err := Write(ctx, &b, root, nodes, as); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), root, nodes
}

func TestFileGivesBackTheTree(t *testing.T) {
	as := []Attachment{{AttachMirror, []byte("https://example.org/")}, {"unheard-of", []byte{0, 1, 2}}}
	s, root, nodes := sampleTree(t, 31, MaskUnix, 4000)
	path := filepath.Join(t.TempDir(), "x.dfr")
	if err := WriteFile(ctx, path, root, nodes, as); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := root.Encode()
	if f.ID() != RootID(raw, BLAKE3) || !bytes.Equal(f.RawRoot(), raw) || f.Thin() {
		t.Error("another root")
	}
	if !slices.EqualFunc(f.Attachments(), as, func(a, b Attachment) bool { return a.ID() == b.ID() }) {
		t.Errorf("attachments %v", f.Attachments())
	}
	want := flatten(s)
	err = Walk(ctx, f, f.Root(), func(it Item) error {
		comparePlaced(t, f, it, want[it.Number])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.index) / indexEntry; n != len(nodes) {
		t.Errorf("%d nodes in the file, %d in the tree", n, len(nodes))
	}
	if _, err := f.Node(ctx, KindDir, ID{1}); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if f.Close() != nil || f.Close() != nil {
		t.Error("Close fails")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

func TestThinFile(t *testing.T) {
	_, root, _ := sampleTree(t, 31, MaskUnix, 1000)
	path := filepath.Join(t.TempDir(), "x.dfr")
	if err := WriteFile(ctx, path, root, nil, nil); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Thin() {
		t.Error("not thin")
	}
	if err := Walk(ctx, f, f.Root(), func(Item) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	_, root, nodes := sampleTree(t, 31, MaskUnix, 1000)
	dir := t.TempDir()
	path := filepath.Join(dir, "x.dfr")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	delete(nodes, root.Top.Dir.ID)
	if err := WriteFile(ctx, path, root, nodes, nil); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Error("the old file is gone")
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Error("a temporary file stays")
	}
}

// A fifo is refused, not waited for.
func TestFifoIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.dfr")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() {
		_, err := OpenFile(path)
		refused <- err
	}()
	select {
	case err := <-refused:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting for a writer")
	}
}

// readAll walks everything that a file holds.
func readAll(raw []byte) error {
	f, err := OpenReaderAt(bytes.NewReader(raw), int64(len(raw)), "test.dfr")
	if err != nil {
		return err
	}
	return Walk(ctx, f, f.Root(), func(it Item) error {
		return Chunks(ctx, f, it.Entry, func(int64, Ref) error { return nil })
	})
}

func TestDamagedFilesAreRefused(t *testing.T) {
	raw, _, _ := sampleFile(t, 32, []Attachment{{AttachMirror, []byte("https://example.org/")}})
	if err := readAll(raw); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 150 {
		bad := bytes.Clone(raw)
		at := r.IntN(len(bad))
		bad[at] ^= 1 << r.IntN(8)
		// Bits of a zstd frame's head may be free to change; what comes out is checked against its id.
		if err := readAll(bad); err != nil && !strings.Contains(err.Error(), "test.dfr") {
			t.Fatalf("bit at %d: error does not name the file: %v", at, err)
		}
	}
	for range 50 {
		cut := raw[:r.IntN(len(raw))]
		if err := readAll(cut); err == nil {
			t.Fatalf("file cut to %d of %d bytes is read", len(cut), len(raw))
		}
	}
	for _, junk := range [][]byte{nil, []byte("hello"), []byte(fileMagic), bytes.Repeat([]byte{0xff}, 100)} {
		if err := readAll(junk); err == nil || !strings.Contains(err.Error(), "recipe file") {
			t.Errorf("%q: %v", junk, err)
		}
	}
}

func TestDamagedNodeIsNamed(t *testing.T) {
	raw, root, _ := sampleFile(t, 32, nil)
	f, err := OpenReaderAt(bytes.NewReader(raw), int64(len(raw)), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Node(ctx, KindList, root.Top.Dir.ID); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("node read as another kind: %v", err)
	}
	off, _ := f.find(root.Top.Dir.ID)
	raw[off+40] ^= 1
	_, err = f.Node(ctx, KindDir, root.Top.Dir.ID)
	var fe *FormatError
	if !errors.As(err, &fe) || errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.Node(canceled, KindDir, root.Top.Dir.ID); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNodesTravelSmall(t *testing.T) {
	raw := manyEntries(1000)
	enc := EncodeNode(raw)
	if len(enc) >= len(raw) {
		t.Error("names do not compress")
	}
	if again, err := DecodeNode(enc, len(raw)); err != nil || !bytes.Equal(again, raw) {
		t.Error(err)
	}
	random := newSampler(1, MaskFull, 0).id()
	if enc := EncodeNode(random[:]); len(enc) != len(random) {
		t.Error("random bytes grow")
	}
	for _, n := range []int{len(raw) - 1, len(raw) + 1, len(enc) - 1, 0, -1} {
		if _, err := DecodeNode(enc, n); err == nil {
			t.Errorf("raw length %d accepted", n)
		}
	}
	bomb := nodeEncoder().EncodeAll(make([]byte, MaxNode*4), nil)
	if _, err := DecodeNode(bomb, MaxNode); err == nil {
		t.Error("more than declared is decompressed")
	}
}

func TestRecentKeepsItsBound(t *testing.T) {
	c := NewRecent[[]byte](1000)
	for i := range byte(100) {
		c.Add(ID{i}, make([]byte, 90), 90)
		c.Get(ID{0})
	}
	if _, ok := c.Get(ID{1}); ok {
		t.Error("what was used first is there")
	}
	if _, ok := c.Get(ID{0}); !ok || c.size > 1000 || c.order.Len() != len(c.byID) || c.order.Len() != 11 {
		t.Error(ok, c.size, c.order.Len())
	}
	c.Add(ID{200}, make([]byte, 1001), 1001)
	if _, ok := c.Get(ID{200}); ok {
		t.Error("a node larger than the cache is kept")
	}
	var none Recent[[]byte]
	none.Add(ID{1}, nil, 0)
	if _, ok := none.Get(ID{1}); ok {
		t.Error("the zero Recent keeps something")
	}
}
