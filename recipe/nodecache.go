package recipe

import (
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

	"golang.org/x/sys/unix"
)

// CacheConfig says how a NodeCache is kept. Negative numbers are as zero.
type CacheConfig struct {
	Hash     Hash  // of the ids asked for; zero is BLAKE3
	MaxBytes int64 // of all packs together; zero is 4 GiB
	MaxNodes int   // known of the packs at a time, 1.5 bytes each in memory, 26 in packs without an index; zero is 8 million
	MaxNew   int   // that one open cache adds, about 80 bytes each in memory, and that are looked at in a pack that was not closed; zero is 1 million
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
		c.MaxNodes = 8 << 20
	}
	if c.MaxNew <= 0 {
		c.MaxNew = 1 << 20
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
// an index of it, in which nodes are looked up where it lies; without one the cache reads each node's head when it opens, and appends it if the pack is no longer written to. The
// packs are opened after OpenNodeCache has returned; whoever asks for a node before that is done waits.
//
// It may be used from several goroutines.
type NodeCache struct {
	dir string
	cfg CacheConfig

	cache *Recent[[]byte]

	loaded   chan struct{} // closed when packs is there
	stopping atomic.Bool   // nobody waits for the rest of them
	packs    []pack        // of before, the newest first

	mu     sync.Mutex
	fresh  map[[shortID]byte]int64    // places in own
	bad    map[[shortID]byte]struct{} // what packs hold damaged
	own    *os.File                   // the pack that is written to; nil before the first Put
	ownOff int64
	full   bool // nothing more is written
	closed bool
}

// pack is an open pack of before.
type pack struct {
	file  *os.File
	index packIndex
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
	c := &NodeCache{
		dir: dir, cfg: cfg, cache: NewRecent[[]byte](rawCacheSize), loaded: make(chan struct{}),
		fresh: map[[shortID]byte]int64{}, bad: map[[shortID]byte]struct{}{},
	}
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

// load opens packs. One that can't be read is passed over, and so are those behind the first one that has too many nodes.
func (c *NodeCache) load(list []packFile) {
	defer close(c.loaded)
	left := c.cfg.MaxNodes
	for _, p := range list {
		if c.stopping.Load() || left == 0 {
			return
		}
		f, err := os.Open(p.path)
		if err != nil {
			continue
		}
		index, ok := openPackIndex(f, p.size, left)
		if !ok {
			index = c.scan(f, p, min(left, c.cfg.MaxNew))
		}
		left -= index.len()
		c.packs = append(c.packs, pack{f, index})
	}
}

// scan makes the index of a pack that has none, and of which at most so many records are looked at. If the pack's owner has gone, it
// is appended, so that nobody has to do so again.
func (c *NodeCache) scan(f *os.File, p packFile, most int) packIndex {
	entries, end := scanned(f, p.size, most, c.stopping.Load)
	if len(entries) < most && !c.stopping.Load() {
		if x, ok := mendPack(p, entries, end); ok {
			x.src = f
			return x
		}
	}
	return indexOf(entries)
}

// Loaded is closed when packs of before are known: until then whoever asks for a node waits.
func (c *NodeCache) Loaded() <-chan struct{} { return c.loaded }

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

// find is where a node lies, if it is known.
func (c *NodeCache) find(id ID) (place, bool) {
	<-c.loaded
	short := [shortID]byte(id[:])
	if at, here, known := c.lookup(short); known {
		return at, here
	}
	for i := range c.packs {
		if off, ok := c.packs[i].index.find(short); ok {
			return place{c.packs[i].file, off}, true
		}
	}
	return place{}, false
}

// lookup is what is known of a node without asking packs of before: that it is here, or that it is not.
func (c *NodeCache) lookup(short [shortID]byte) (at place, here, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if off, ok := c.fresh[short]; ok && !c.closed {
		return place{c.own, off}, true, true
	}
	_, bad := c.bad[short]
	return place{}, false, bad || c.closed
}

// forget drops a place that turned out to be bad, so that Put writes the node again.
func (c *NodeCache) forget(id ID, at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	short := [shortID]byte(id[:])
	if at.pack != c.own {
		c.bad[short] = struct{}{}
	} else if c.fresh[short] == at.off {
		delete(c.fresh, short)
	}
}

// Has says whether the cache has a record of a node. Only Node finds out whether it is sound.
func (c *NodeCache) Has(id ID) bool {
	_, ok := c.find(id)
	return ok
}

// Put keeps a node whose bytes the caller has checked against id. When the pack of this cache has
// reached half of MaxBytes or MaxNew nodes, or a write has failed, nothing more is kept; the
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
	if c.full || len(c.fresh) >= c.cfg.MaxNew || c.ownOff+int64(len(rec)) > c.cfg.MaxBytes/2 {
		return nil
	}
	if err := c.write(rec); err != nil {
		c.full = true
		return fmt.Errorf("recipe: node cache: %w", err)
	}
	c.fresh[[shortID]byte(id[:])] = c.ownOff - int64(len(rec))
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
		_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // nobody mends what is still written to; without it a fetch is lost
		c.own = f
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
	if c.own != nil {
		errs = append(errs, c.own.Close())
	}
	for i := range c.packs {
		errs = append(errs, c.packs[i].file.Close())
	}
	return errors.Join(errs...)
}

// ownEntries are the places of the nodes in the cache's own pack.
func (c *NodeCache) ownEntries() (entries []packEntry) {
	for id, off := range c.fresh {
		entries = append(entries, packEntry{id, off})
	}
	return entries
}
