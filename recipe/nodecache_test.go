package recipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func openCache(t testing.TB, dir string, cfg CacheConfig) *NodeCache {
	t.Helper()
	c, err := OpenNodeCache(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// putNode puts a node of n bytes that differ by seed, and returns it.
func putNode(t testing.TB, c *NodeCache, seed byte, n int) (ID, []byte) {
	t.Helper()
	raw := bytes.Repeat([]byte{byte(KindDir), seed, 7, 9}, (n+3)/4)[:n]
	id := BLAKE3.Node(KindDir, raw)
	if err := c.Put(KindDir, id, raw); err != nil {
		t.Fatal(err)
	}
	return id, raw
}

func TestNodeCacheLastsAcrossOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "no[d]es")
	c := openCache(t, dir, CacheConfig{})
	id, raw := putNode(t, c, 1, 5000)
	putNode(t, c, 1, 5000)
	other := openCache(t, dir, CacheConfig{})
	otherID, otherRaw := putNode(t, other, 2, 300)
	for range 2 {
		if got, err := c.Node(ctx, KindDir, id); err != nil || !bytes.Equal(got, raw) {
			t.Fatal(err)
		}
	}
	if _, err := c.Node(ctx, KindDir, otherID); !errors.Is(err, ErrNotFound) || c.Has(otherID) {
		t.Error(err)
	}
	if c.Close() != nil || c.Close() != nil || other.Close() != nil {
		t.Error("Close fails")
	}
	if err := c.Put(KindDir, ID{1}, raw); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	again := openCache(t, dir, CacheConfig{})
	for id, raw := range map[ID][]byte{id: raw, otherID: otherRaw} {
		if got, err := again.Node(ctx, KindDir, id); err != nil || !bytes.Equal(got, raw) {
			t.Error(err)
		}
	}
	if _, err := again.Node(ctx, KindList, otherID); !errors.Is(err, ErrNotFound) && err != nil {
		t.Error(err)
	}
}

func onlyPack(t *testing.T, dir string) string {
	t.Helper()
	packs, err := listPacks(dir)
	if err != nil || len(packs) != 1 {
		t.Fatal(packs, err)
	}
	return packs[0].path
}

// packOfTwo is a closed cache with one pack of two nodes.
func packOfTwo(t *testing.T) (dir string, ids [2]ID, raws [2][]byte) {
	t.Helper()
	dir = t.TempDir()
	c := openCache(t, dir, CacheConfig{})
	for i := range ids {
		ids[i], raws[i] = putNode(t, c, byte(i+1), 500)
	}
	_ = c.Close()
	return dir, ids, raws
}

// twoIndexed is the size of an index of two nodes.
const twoIndexed = 2*(indexEntry+1) + bucketSize + packIndexTail

func TestNodeCacheToleratesTornAndDamagedPacks(t *testing.T) {
	dir, ids, raws := packOfTwo(t)
	a, b, rawB := ids[0], ids[1], raws[1]
	path := onlyPack(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	records := len(whole) - twoIndexed
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c := openCache(t, dir, CacheConfig{})
		if c.Has(b) != (n >= records) || n < len(packMagic)+packHeadSize && c.Has(a) {
			t.Fatalf("cut to %d of %d: the second record is held: %v", n, records, c.Has(b))
		}
		_ = c.Close()
	}
	bad := bytes.Clone(whole)
	bad[records-1] ^= 1
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	c := openCache(t, dir, CacheConfig{})
	if _, err := c.Node(ctx, KindDir, a); err != nil {
		t.Error(err)
	}
	if _, err := c.Node(ctx, KindDir, b); !errors.Is(err, ErrNotFound) {
		t.Errorf("damaged node: %v", err)
	}
	if err := c.Put(KindDir, b, rawB); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Node(ctx, KindDir, b); err != nil || !bytes.Equal(got, rawB) {
		t.Errorf("a damaged node can't be put again: %v", err)
	}
}

// Whatever an index says, opening the cache works, and no node is given that is not the one asked for.
func TestNodeCacheWithDamagedIndex(t *testing.T) {
	dir, ids, raws := packOfTwo(t)
	a, b, rawA, rawB := ids[0], ids[1], raws[0], raws[1]
	path := onlyPack(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(whole) - twoIndexed; i < len(whole); i++ {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x41
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		c := openCache(t, dir, CacheConfig{})
		for id, raw := range map[ID][]byte{a: rawA, b: rawB} {
			if got, err := c.Node(ctx, KindDir, id); err == nil && !bytes.Equal(got, raw) || err != nil && !errors.Is(err, ErrNotFound) {
				t.Fatalf("byte %d is damaged: %v", i, err)
			}
		}
		_ = c.Close()
	}
}

func TestNodeCacheDeletesTheOldest(t *testing.T) {
	dir := t.TempDir()
	var ids []ID
	for i := range byte(6) {
		c := openCache(t, dir, CacheConfig{})
		id, _ := putNode(t, c, i, 100)
		ids = append(ids, id)
		_ = c.Close()
		for _, p := range mustList(t, dir) {
			if err := os.Chtimes(p.path, time.Time{}, p.mtime.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	size := mustList(t, dir)[0].size
	c := openCache(t, dir, CacheConfig{MaxBytes: 4 * size})
	if len(mustList(t, dir)) != 4 || c.Has(ids[1]) || !c.Has(ids[2]) {
		t.Error("bytes are not bounded")
	}
	_ = c.Close()
	c = openCache(t, dir, CacheConfig{MaxPacks: 2})
	if len(mustList(t, dir)) != 2 || c.Has(ids[3]) || !c.Has(ids[4]) {
		t.Error("packs are not bounded")
	}
	_ = c.Close()
	c = openCache(t, dir, CacheConfig{MaxNodes: 1, MaxNew: 1})
	if c.Has(ids[4]) || !c.Has(ids[5]) {
		t.Error("what is known of packs is not bounded")
	}
	if id, _ := putNode(t, c, 98, 100); !c.Has(id) {
		t.Error("a cache that knows as much as it may of packs takes nothing new")
	}
	if id, _ := putNode(t, c, 99, 100); c.Has(id) {
		t.Error("what is new is not bounded")
	}
}

func mustList(t *testing.T, dir string) []packFile {
	t.Helper()
	packs, err := listPacks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return packs
}

func TestNodeCacheFromManyGoroutines(t *testing.T) {
	c := openCache(t, t.TempDir(), CacheConfig{})
	var wg sync.WaitGroup
	for g := range byte(4) {
		wg.Go(func() {
			for i := range byte(50) {
				id, raw := putNode(t, c, g+i, 200)
				if got, err := c.Node(ctx, KindDir, id); err != nil || !bytes.Equal(got, raw) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNodeCacheRefuses(t *testing.T) {
	if _, err := OpenNodeCache(t.TempDir(), CacheConfig{Hash: 9}); err == nil {
		t.Error("unknown hash accepted")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenNodeCache(file, CacheConfig{}); err == nil {
		t.Error("a file as directory accepted")
	}
	c := openCache(t, t.TempDir(), CacheConfig{})
	for _, raw := range [][]byte{nil, make([]byte, MaxNode+1)} {
		if err := c.Put(KindDir, ID{1}, raw); err == nil {
			t.Errorf("node of %d bytes accepted", len(raw))
		}
	}
}

// TestNodeCacheClosesAtOnce closes a cache that may not have loaded its packs: it loses none of them, and finds nothing any more.
func TestNodeCacheClosesAtOnce(t *testing.T) {
	dir := t.TempDir()
	first := openCache(t, dir, CacheConfig{})
	var ids []ID
	for i := range 200 {
		id, _ := putNode(t, first, byte(i), 100)
		ids = append(ids, id)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c := openCache(t, dir, CacheConfig{})
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if c.Has(ids[0]) {
			t.Error("a closed cache finds a node")
		}
	}
	again := openCache(t, dir, CacheConfig{})
	for _, id := range ids {
		if _, err := again.Node(ctx, KindDir, id); err != nil {
			t.Error(err)
		}
	}
}

// TestPackOfAKilledRun gets an index when it is opened, and keeps its age; one that is still written to stays as it is.
func TestPackOfAKilledRun(t *testing.T) {
	dir, ids, _ := packOfTwo(t)
	path := onlyPack(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	torn := append(bytes.Clone(whole[:len(whole)-twoIndexed]), whole[len(packMagic):][:packHeadSize+1]...)
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := errors.Join(os.WriteFile(path, torn, 0o600), os.Chtimes(path, old, old)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c := openCache(t, dir, CacheConfig{})
		for _, id := range ids {
			if !c.Has(id) {
				t.Error("a node is lost")
			}
		}
		if _, inMemory := c.packs[0].index.src.(*bytes.Reader); inMemory {
			t.Error("the index is held in memory")
		}
		_ = c.Close()
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, whole) {
		t.Errorf("the pack has %d bytes, want %d", len(got), len(whole))
	}
	if p := mustList(t, dir); len(p) != 1 || !p[0].mtime.Equal(old) {
		t.Errorf("packs are %v, want one of %v", p, old)
	}
	writer := openCache(t, t.TempDir(), CacheConfig{})
	id, _ := putNode(t, writer, 7, 300)
	before := mustList(t, writer.dir)[0].size
	reader := openCache(t, writer.dir, CacheConfig{})
	if !reader.Has(id) || mustList(t, writer.dir)[0].size != before {
		t.Error("a pack that is written to is not left alone, or not read")
	}
}

// TestPackIndex finds all of many ids, also those that share a bucket and a mark, and no others.
func TestPackIndex(t *testing.T) {
	for _, n := range []int{1, 2, 2*bucketIDs - 1, 2 * bucketIDs, 1000, 5000} {
		ids := make([][shortID]byte, 2*n)
		entries := make([]packEntry, n)
		for i := range ids {
			id := BLAKE3.Node(KindDir, binary.BigEndian.AppendUint32(nil, uint32(i/2)))
			ids[i] = [shortID]byte(id[:])
			ids[i][shortID/2] ^= byte(i % 2) // neither the bucket nor the mark tells of it
			if i%2 == 0 {
				entries[i/2] = packEntry{ids[i], int64(i)}
			}
		}
		raw := appendPackIndex(nil, entries)
		x, ok := openPackIndex(bytes.NewReader(raw), int64(len(raw)), n)
		if !ok || x.len() != n {
			t.Fatalf("%d ids: %v, %d found", n, ok, x.len())
		}
		for i, id := range ids {
			if off, ok := x.find(id); ok != (i%2 == 0) || ok && off != int64(i) {
				t.Fatalf("id %d of %d: %d, %v", i, len(ids), off, ok)
			}
		}
		if _, ok := openPackIndex(bytes.NewReader(raw), int64(len(raw)), n-1); ok {
			t.Errorf("%d ids are opened where %d are allowed", n, n-1)
		}
	}
}

func BenchmarkNodeCacheOpen(b *testing.B) {
	const nodes = 200_000
	dir := b.TempDir()
	c := openCache(b, dir, CacheConfig{})
	for i := range nodes {
		raw := binary.BigEndian.AppendUint64([]byte{byte(KindDir)}, uint64(i))
		if err := c.Put(KindDir, BLAKE3.Node(KindDir, raw), raw); err != nil {
			b.Fatal(err)
		}
	}
	_ = c.Close()
	for b.Loop() {
		c := openCache(b, dir, CacheConfig{})
		c.Has(ID{1})
		_ = c.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/node")
}

// TestNodeCacheCloseWaitsForItsPacks: Close returns after the goroutine that opens packs, which opens no more of them, and closes
// what that has opened.
func TestNodeCacheCloseWaitsForItsPacks(t *testing.T) {
	dir, ids, _ := packOfTwo(t)
	synctest.Test(t, func(t *testing.T) {
		opened, err := os.Open(onlyPack(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		c := &NodeCache{dir: dir, cfg: CacheConfig{}.withDefaults(), cache: NewRecent[[]byte](rawCacheSize), loaded: make(chan struct{})}
		closed := false
		go func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			closed = true
		}()
		synctest.Wait()
		if closed {
			t.Error("it did not wait")
		}
		c.packs = []pack{{file: opened}}
		c.load(mustList(t, dir))
		synctest.Wait()
		if len(c.packs) != 1 || !closed {
			t.Errorf("%d packs are open, closed: %v", len(c.packs), closed)
		}
		if _, err := opened.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a pack stays open: %v", err)
		}
		if c.Has(ids[0]) {
			t.Error("a closed cache finds a node")
		}
	})
}
