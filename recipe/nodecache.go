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
	"time"
)

// CacheConfig says how a NodeCache is kept. Negative numbers are as zero.
type CacheConfig struct {
	Hash     Hash  // of the ids asked for; zero is BLAKE3
	MaxBytes int64 // of all packs together; zero is 4 GiB
	MaxNodes int   // in the index in memory, about 60 bytes each; zero is 1 million
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
// an index of it, without which opening the cache takes a read for each node.
//
// It may be used from several goroutines.
type NodeCache struct {
	dir string
	cfg CacheConfig

	cache *Recent[[]byte]

	mu     sync.Mutex
	index  map[[shortID]byte]place
	packs  []*os.File // read from
	own    *os.File   // written to; nil before the first Put
	ownOff int64
	full   bool // nothing more is written
	closed bool
}

// place is where the record of a node lies.
type place struct {
	pack *os.File
	off  int64
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
	c := &NodeCache{dir: dir, cfg: cfg, cache: NewRecent[[]byte](rawCacheSize), index: map[[shortID]byte]place{}}
	packs, err := listPacks(dir)
	if err != nil {
		return nil, fmt.Errorf("recipe: node cache: %w", err)
	}
	left := cfg.MaxBytes
	for i, p := range packs {
		if left -= p.size; left < 0 || i >= cfg.MaxPacks {
			_ = os.Remove(p.path) // another process may have been faster
			continue
		}
		c.load(p)
	}
	return c, nil
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

// load takes a pack's records into the index. A pack that can't be read is passed over.
func (c *NodeCache) load(p packFile) {
	if len(c.index) >= c.cfg.MaxNodes {
		return
	}
	f, err := os.Open(p.path)
	if err != nil {
		return
	}
	c.packs = append(c.packs, f)
	note := func(e packEntry) bool {
		if _, ok := c.index[e.id]; !ok {
			c.index[e.id] = place{f, e.off}
		}
		return len(c.index) < c.cfg.MaxNodes
	}
	if !readPackIndex(f, p.size, note) {
		scanPack(f, p.size, func(h packHead, off int64) bool { return note(packEntry{[shortID]byte(h.id[:]), off}) })
	}
}

// Node reads a node. The error is ErrNotFound if the cache does not hold it, or holds it damaged.
func (c *NodeCache) Node(ctx context.Context, kind Kind, id ID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if raw, ok := c.cache.Get(id); ok {
		return raw, nil
	}
	at, ok := c.find(id)
	if ok {
		raw, err := readPacked(at.pack, at.off, kind, id)
		if err == nil && c.cfg.Hash.Node(kind, raw) == id {
			c.cache.Add(id, raw, len(raw))
			return raw, nil
		}
		c.forget(id, at)
	}
	return nil, fmt.Errorf("%s node %s in the cache: %w", kind, FormatID(c.cfg.Hash, id), ErrNotFound)
}

func (c *NodeCache) find(id ID) (place, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.index[[shortID]byte(id[:])]
	return at, ok && !c.closed
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
	_, ok := c.find(id)
	return ok
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
	c.index[[shortID]byte(id[:])] = place{c.own, c.ownOff - int64(len(rec))}
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
		rec = append([]byte(packMagic), rec...)
	}
	n, err := c.own.Write(rec)
	c.ownOff += int64(n)
	return err
}

// Close closes the cache's files. It may be called twice.
func (c *NodeCache) Close() error {
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
	if c.own != nil {
		errs = append(errs, c.own.Close())
	}
	return errors.Join(errs...)
}

// ownEntries are the places of the nodes in the cache's own pack, in their order.
func (c *NodeCache) ownEntries() (entries []packEntry) {
	for id, at := range c.index {
		if at.pack == c.own {
			entries = append(entries, packEntry{id, at.off})
		}
	}
	slices.SortFunc(entries, func(a, b packEntry) int { return cmp.Compare(a.off, b.off) })
	return entries
}
