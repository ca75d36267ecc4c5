package diskscan

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"

	"dfetch/recipe"
)

// IndexConfig says how an Index is kept.
type IndexConfig struct {
	Dir     string         // its own directory; empty: in memory
	Max     int64          // bytes; zero or negative: 2 GiB. From three quarters on it is sparse
	Profile recipe.Profile // zero: recipe.Rabin16
	Hash    recipe.Hash    // zero: BLAKE3
	// Wait: a full queue makes the adding wait. Otherwise what does not fit is not noted.
	Wait bool
}

// IndexMode says what an index could be opened as.
type IndexMode string

// Modes of an index.
const (
	IndexShared   IndexMode = "on disk"
	IndexReadOnly IndexMode = "read-only"
	IndexMemory   IndexMode = "in memory"
)

// memoryMax bounds an index in memory.
const memoryMax = 64 << 20

// Index remembers which chunks lie in which files. It is a hint: whatever it says is checked, and
// whatever goes wrong with it makes it forget. It is safe for concurrent use.
type Index struct {
	cfg     IndexConfig
	db      *badger.DB
	mode    IndexMode
	note    error
	lock    int // descriptor of the lock file; -1 without
	profile profileKey
	now     func() time.Time

	base     int64 // bytes when it was opened
	rows     atomic.Int64
	dropped  atomic.Int64 // slices that were not noted
	failures atomic.Int64 // writes that failed

	next   atomic.Uint64 // file number to be given out
	leased uint64        // numbers below were noted as given out; the writer's own
	queue  chan change
	ended  chan struct{}
	close  sync.Once
	mu     sync.RWMutex
	closed bool
}

// OpenIndex opens an index, and makes it if there is none. It never fails: an index that another process
// has open, or that can't be written, is replaced by one that is read only or in memory; a damaged
// one is deleted and made anew. Note says so.
func OpenIndex(cfg IndexConfig) *Index {
	if cfg.Max <= 0 {
		cfg.Max = 2 << 30
	}
	if cfg.Profile == (recipe.Profile{}) {
		cfg.Profile = recipe.Rabin16
	}
	if cfg.Hash == 0 {
		cfg.Hash = recipe.BLAKE3
	}
	x := &Index{cfg: cfg, lock: -1, profile: keyOfProfile(cfg.Profile, cfg.Hash), now: time.Now}
	if cfg.Dir == "" || !x.openDir() {
		x.openMemory()
	}
	x.start()
	return x
}

// Mode is what the index was opened as.
func (x *Index) Mode() IndexMode { return x.mode }

// Note is why the index is not what was asked for, or was made anew; nil if all is well.
func (x *Index) Note() error { return x.note }

// queued bounds the slices that wait to be written.
const queued = 64

// change is something to be written.
type change struct {
	write func(*badger.WriteBatch) error // nil: nothing
	done  chan<- struct{}                // closed when it has been written, if not nil
}

// start reads what the index has to know and starts its writer.
func (x *Index) start() {
	x.queue, x.ended = make(chan change, queued), make(chan struct{})
	if x.db == nil {
		close(x.ended)
		return
	}
	lsm, vlog := x.db.Size()
	x.base = lsm + vlog
	x.leased = 1
	if raw, err := x.get([]byte{rowNext}); err == nil && len(raw) == 8 {
		x.leased = max(1, binary.BigEndian.Uint64(raw))
	}
	x.next.Store(x.leased)
	go x.write()
}

// write carries out the changes that are queued, many in one batch.
func (x *Index) write() {
	defer close(x.ended)
	for c := range x.queue {
		batch := x.db.NewWriteBatch()
		err := c.into(batch)
		waiting := []change{c}
		for n := len(x.queue); n > 0; n-- {
			if c, ok := <-x.queue; ok {
				err = errors.Join(err, c.into(batch))
				waiting = append(waiting, c)
			}
		}
		if err = errors.Join(err, batch.Flush()); err != nil {
			x.failures.Add(1)
		}
		for _, c := range waiting {
			c.tell()
		}
	}
}

func (c change) into(b *badger.WriteBatch) error {
	if c.write == nil {
		return nil
	}
	return c.write(b)
}

func (c change) tell() {
	if c.done != nil {
		close(c.done)
	}
}

// submit queues a change; false if it will not be made.
func (x *Index) submit(write func(*badger.WriteBatch) error) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.writable() {
		return false
	}
	c := change{write: write}
	if x.cfg.Wait {
		x.queue <- c
		return true
	}
	select {
	case x.queue <- c:
		return true
	default:
		x.dropped.Add(1)
		return false
	}
}

func (x *Index) writable() bool { return !x.closed && x.db != nil && x.mode != IndexReadOnly }

// Sync waits until all that was added so far can be found. It fails when ctx ends first.
func (x *Index) Sync(ctx context.Context) error {
	done := make(chan struct{})
	if err := x.submitLast(ctx, change{done: done}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// submitLast queues a change and waits for room.
func (x *Index) submitLast(ctx context.Context, c change) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.writable() {
		c.tell()
		return nil
	}
	select {
	case x.queue <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close writes what is queued and closes the index. It may be called twice.
func (x *Index) Close() error {
	var err error
	x.close.Do(func() {
		x.mu.Lock()
		x.closed = true
		close(x.queue)
		x.mu.Unlock()
		<-x.ended
		if x.db != nil {
			err = x.db.Close()
		}
		if x.lock >= 0 && err == nil {
			_ = os.Remove(x.mark(markOpen)) // if it stays, the tables are read through next time
		}
		x.releaseLock()
	})
	return err
}

// get reads one row; the error is badger.ErrKeyNotFound if there is none.
func (x *Index) get(key []byte) (raw []byte, err error) {
	if x.db == nil {
		return nil, badger.ErrKeyNotFound
	}
	err = x.db.View(func(txn *badger.Txn) error {
		raw, err = read(txn, key)
		return err
	})
	return raw, err
}

func read(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// file reads the row of a version of a file.
func (x *Index) file(id fileID) (fileRow, bool) {
	raw, err := x.get(fileKey(id))
	if err != nil {
		return fileRow{}, false
	}
	return decodeFile(raw)
}

// version finds the version of a file that looks as s says.
func (x *Index) version(s stamp) (fileID, fileRow, bool) {
	raw, err := x.get(inodeKey(x.profile, s))
	if err != nil || len(raw) != 8 {
		return 0, fileRow{}, false
	}
	id := fileID(binary.BigEndian.Uint64(raw))
	row, ok := x.file(id)
	return id, row, ok && row.stamp == s
}

// forget makes the index drop all that it knows of a version of a file. Rows of its chunks are dropped when
// they are met.
func (x *Index) forget(id fileID) {
	x.submit(func(b *badger.WriteBatch) error { return b.Delete(fileKey(id)) })
}

// IndexStats is how large an index is.
type IndexStats struct {
	Mode     IndexMode
	Roots    int
	Files    int64 // versions of files
	Chunks   int64 // rows of chunks; sparse files have few
	Bytes    int64 // on disk, or an estimate of it
	Dropped  int64 // slices that were not noted because writing was too slow or the index is full
	Failures int64 // writes that failed
}

// Stats counts the rows of the index, which takes a while for a large one.
func (x *Index) Stats(ctx context.Context) (IndexStats, error) {
	s := IndexStats{Mode: x.mode, Bytes: x.size(), Dropped: x.dropped.Load(), Failures: x.failures.Load()}
	roots, err := x.Roots(ctx)
	if err != nil {
		return s, err
	}
	s.Roots = len(roots)
	if s.Files, err = x.countRows(ctx, rowFile); err != nil {
		return s, err
	}
	s.Chunks, err = x.countRows(ctx, rowChunk)
	return s, err
}

func (x *Index) countRows(ctx context.Context, kind byte) (n int64, err error) {
	err = x.scan(ctx, []byte{kind}, false, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// scan calls fn for all rows whose keys begin so. The key and the value are valid during the call.
func (x *Index) scan(ctx context.Context, prefix []byte, values bool, fn func(key, value []byte) error) error {
	if x.db == nil {
		return nil
	}
	return x.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: values, PrefetchSize: 100})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			item := it.Item()
			var err error
			if values {
				err = item.Value(func(v []byte) error { return fn(item.Key(), v) })
			} else {
				err = fn(item.Key(), nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// rowBytes is about what a chunk takes.
const rowBytes = 44

// size is about how large the index is.
func (x *Index) size() int64 { return x.base + x.rows.Load()*rowBytes }

// Roots are the directories that the user had indexed, sorted.
func (x *Index) Roots(ctx context.Context) (roots []string, err error) {
	err = x.scan(ctx, []byte{rowRoot}, false, func(key, _ []byte) error {
		roots = append(roots, string(key[1:]))
		return nil
	})
	slices.Sort(roots)
	return roots, err
}
