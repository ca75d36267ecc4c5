package recipe

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// CacheConfig says how a NodeCache is kept. Negative numbers are as zero.
type CacheConfig struct {
	Hash     Hash  // of the ids asked for; zero is BLAKE3
	MaxBytes int64 // of all packs together; zero is 4 GiB
	MaxNodes int   // in the index in memory, about 80 bytes each; zero is 1 million
	MaxPacks int   // files kept, and open at a time; zero is 128
}

func (c CacheConfig) withDefaults() CacheConfig {
	if c.Hash == 0 {
		c.Hash = BLAKE3
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 4 << 30
	}
	if c.MaxNodes <= 0 {
		c.MaxNodes = 1 << 20
	}
	if c.MaxPacks <= 0 {
		c.MaxPacks = 128
	}
	return c
}

// NodeCache keeps nodes on disk from one transfer to the next.
//
// Its directory holds packs, files of records that are only ever appended to. Each open cache writes
// a pack of its own, so several processes may share the directory; each sees what was there when
// it opened, and what it wrote itself. When a cache opens, the packs over the configured bounds are
// deleted, the oldest first. Every node is checked against its id when it is read: a damaged or
// torn pack costs a fetch and nothing else. Nothing is synced, so a crash may lose what was new. Close ends the pack with
// an index of it, without which the cache has to read each node's head when it opens. What the packs hold is loaded after
// OpenNodeCache has returned; whoever asks for a node before that is done waits.
//
// It may be used from several goroutines.
type NodeCache struct {
	dir string
	cfg CacheConfig

	cache *Recent[[]byte]

	loaded   chan struct{} // closed when index and packs are there
	stopping atomic.Bool   // nobody waits for the rest of them

	mu     sync.Mutex
	index  map[[shortID]byte]place
	packs  []*os.File
	own    *os.File // the last of packs, written to; nil before the first Put
	ownOff int64
	full   bool // nothing more is written
	closed bool
}

// place is where the record of a node lies.
type place struct {
	off  int64
	pack int // in NodeCache.packs
}

const packSuffix = ".nodes"

// OpenNodeCache opens the cache in dir, and makes dir if there is none.
func OpenNodeCache(dir string, cfg CacheConfig) (*NodeCache, error) {
	cfg = cfg.withDefaults()
	if !cfg.Hash.Valid() {
		return nil, fmt.Errorf("recipe: node cache: unknown %s", cfg.Hash)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("recipe: node cache: %w", err)
	}
	c := &NodeCache{dir: dir, cfg: cfg, cache: NewRecent[[]byte](rawCacheSize), loaded: make(chan struct{})}
	packs, err := listPacks(dir)
	if err != nil {
		return nil, fmt.Errorf("recipe: node cache: %w", err)
	}
	go c.load(c.inBounds(packs))
	return c, nil
}

// inBounds are the packs that are kept. The others are deleted.
func (c *NodeCache) inBounds(packs []packFile) (kept []packFile) {
	left := c.cfg.MaxBytes
	for i, p := range packs {
		if left -= p.size; left < 0 || i >= c.cfg.MaxPacks {
			_ = os.Remove(p.path) // another process may have been faster
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

type packFile struct {
	path  string
	size  int64
	mtime time.Time
}

// listPacks are the packs in dir, the newest first.
func listPacks(dir string) ([]packFile, error) {
	names, err := filepath.Glob(filepath.Join(globEscape(dir), "*"+packSuffix))
	if err != nil {
		return nil, err
	}
	var packs []packFile
	for _, name := range names {
		if st, err := os.Lstat(name); err == nil && st.Mode().IsRegular() {
			packs = append(packs, packFile{name, st.Size(), st.ModTime()})
		}
	}
	slices.SortFunc(packs, func(a, b packFile) int { return b.mtime.Compare(a.mtime) })
	return packs, nil
}

// load takes the records of packs into the index. A pack that can't be read is passed over.
func (c *NodeCache) load(list []packFile) {
	defer close(c.loaded)
	var packs []*os.File
	var sizes []int64
	nodes := 0
	for _, p := range list {
		if c.stopping.Load() || nodes >= c.cfg.MaxNodes {
			break
		}
		if f, err := os.Open(p.path); err == nil {
			packs, sizes, nodes = append(packs, f), append(sizes, p.size), nodes+packIndexCount(f, p.size)
		}
	}
	index := make(map[[shortID]byte]place, min(nodes, c.cfg.MaxNodes))
	for i, f := range packs {
		note := func(e packEntry) bool {
			if _, ok := index[e.id]; !ok && len(index) < c.cfg.MaxNodes {
				index[e.id] = place{e.off, i}
			}
			return len(index) < c.cfg.MaxNodes && !c.stopping.Load()
		}
		if !readPackIndex(f, sizes[i], note) {
			scanPack(f, sizes[i], func(h packHead, off int64) bool { return note(packEntry{[shortID]byte(h.id[:]), off}) })
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index, c.packs = index, packs
}

// Node reads a node. The error is ErrNotFound if the cache does not hold it, or holds it damaged.
func (c *NodeCache) Node(ctx context.Context, kind Kind, id ID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if raw, ok := c.cache.Get(id); ok {
		return raw, nil
	}
	select {
	case <-c.loaded:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at, pack := c.find(id)
	if pack != nil {
		raw, err := readPacked(pack, at.off, kind, id)
		if err == nil && c.cfg.Hash.Node(kind, raw) == id {
			c.cache.Add(id, raw, len(raw))
			return raw, nil
		}
		c.forget(id, at)
	}
	return nil, fmt.Errorf("%s node %s in the cache: %w", kind, FormatID(c.cfg.Hash, id), ErrNotFound)
}

// find is where a node lies; there is no pack if it is not known.
func (c *NodeCache) find(id ID) (place, *os.File) {
	<-c.loaded
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.index[[shortID]byte(id[:])]
	if !ok || c.closed {
		return place{}, nil
	}
	return at, c.packs[at.pack]
}

// forget drops a place that turned out to be bad, so that Put writes the node again.
func (c *NodeCache) forget(id ID, at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if short := [shortID]byte(id[:]); c.index[short] == at {
		delete(c.index, short)
	}
}

// Has says whether the cache has a record of a node. Only Node finds out whether it is sound.
func (c *NodeCache) Has(id ID) bool {
	_, pack := c.find(id)
	return pack != nil
}

// Put keeps a node whose bytes the caller has checked against id. When the pack of this cache has
// reached half of MaxBytes, or the index is full, or a write has failed, nothing more is kept; the
// failed write alone is reported.
func (c *NodeCache) Put(kind Kind, id ID, raw []byte) error {
	if !kind.valid() || len(raw) == 0 || len(raw) > MaxNode {
		return bad("", "%s node of %d bytes", kind, len(raw))
	}
	if c.Has(id) {
		return nil
	}
	rec := appendPacked(nil, kind, id, raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("recipe: node cache: %w", os.ErrClosed)
	}
	if c.full || len(c.index) >= c.cfg.MaxNodes || c.ownOff+int64(len(rec)) > c.cfg.MaxBytes/2 {
		return nil
	}
	if err := c.write(rec); err != nil {
		c.full = true
		return fmt.Errorf("recipe: node cache: %w", err)
	}
	c.index[[shortID]byte(id[:])] = place{c.ownOff - int64(len(rec)), len(c.packs) - 1}
	return nil
}

// write appends a record to the cache's own pack, which it makes first if there is none.
func (c *NodeCache) write(rec []byte) error {
	if c.own == nil {
		var name [12]byte
		_, _ = rand.Read(name[:])
		path := filepath.Join(c.dir, hex.EncodeToString(name[:])+packSuffix)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		c.own = f
		c.packs = append(c.packs, f)
		rec = append([]byte(packMagic), rec...)
	}
	n, err := c.own.Write(rec)
	c.ownOff += int64(n)
	return err
}

// Close closes the cache's files. It may be called twice.
func (c *NodeCache) Close() error {
	c.stopping.Store(true)
	<-c.loaded
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var errs []error
	if c.own != nil && !c.full {
		_, err := c.own.Write(appendPackIndex(nil, c.ownEntries()))
		errs = append(errs, err)
	}
	for _, f := range c.packs {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// ownEntries are the places of the nodes in the cache's own pack, in their order.
func (c *NodeCache) ownEntries() (entries []packEntry) {
	for id, at := range c.index {
		if at.pack == len(c.packs)-1 {
			entries = append(entries, packEntry{id, at.off})
		}
	}
	slices.SortFunc(entries, func(a, b packEntry) int { return cmp.Compare(a.off, b.off) })
	return entries
}
