package diskscan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dfetch/diskscan/lsm"
	"dfetch/recipe"
)

// IndexConfig says how an Index is kept.
type IndexConfig struct {
	Dir     string         // its own directory; empty: in memory
	Max     int64          // bytes; zero or negative: what was set last, else 2 GiB. From three quarters on it is sparse
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
	db      *lsm.DB
	mode    IndexMode
	note    error
	lost    bool // a part of it, when it was opened
	lock    int  // descriptor of the lock file; -1 without
	profile profileKey
	now     func() time.Time

	dropped  atomic.Int64          // slices that were not noted
	failures atomic.Int64          // writes that failed
	trouble  atomic.Pointer[error] // the first thing that went wrong

	next   atomic.Uint64 // file number to be given out
	leased uint64        // numbers below were noted as given out; the writer's own
	queue  chan change
	ended  chan struct{}
	close  sync.Once
	mu     sync.RWMutex
	closed bool
}

// OpenIndex opens an index, and makes it if there is none. It never fails: an index that another process
// has open, or that can't be written, is only read, and what is added lasts as long as the process; one that can't be
// read is replaced by one in memory. What is damaged of it is dropped. Note says so.
func OpenIndex(cfg IndexConfig) *Index {
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
	x.setMax()
	x.start()
	return x
}

// Mode is what the index was opened as.
func (x *Index) Mode() IndexMode { return x.mode }

// realDir is the index's directory without symlinks; "" if it has none.
func (x *Index) realDir() string {
	if x.cfg.Dir == "" {
		return ""
	}
	dir, err := filepath.Abs(x.cfg.Dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return ""
	}
	return dir
}

// RowsDir is where the rows lie, which change with them; "" in memory.
func (x *Index) RowsDir() string {
	if dir := x.realDir(); dir != "" {
		return filepath.Join(dir, rowsDir)
	}
	return ""
}

// Note is why the index is not what was asked for, or was made anew; nil if all is well.
func (x *Index) Note() error { return x.note }

// Trouble is what went wrong first with an index that had been opened: a write that failed, so that something that was added is not
// there, or rows that turned out to be damaged and are lost, of which Note says nothing; nil if nothing did.
func (x *Index) Trouble() error {
	if err := x.trouble.Load(); err != nil {
		return fmt.Errorf("index %s: %w", x.cfg.Dir, *err)
	}
	return nil
}

// fail notes what goes wrong.
func (x *Index) fail(err error) { x.trouble.CompareAndSwap(nil, &err) }

// defaultMax bounds an index for which nothing else was said.
const defaultMax = 2 << 30

// setMax decides how large the index may get. One that only a command keeps remembers it.
func (x *Index) setMax() {
	given := x.cfg.Max
	if given <= 0 {
		x.cfg.Max = defaultMax
		if raw, ok := x.get([]byte{rowMax}); ok && len(raw) == 8 {
			x.cfg.Max = int64(min(binary.BigEndian.Uint64(raw), math.MaxInt64/2))
		}
	} else if x.mode == IndexShared && x.cfg.Wait {
		var b lsm.Batch
		b.Set([]byte{rowMax}, binary.BigEndian.AppendUint64(nil, uint64(given)))
		if err := x.db.Apply(&b); err != nil {
			x.fail(err)
		}
	}
	switch x.mode {
	case IndexReadOnly:
		x.cfg.Max = min(x.cfg.Max, x.db.Size()+memoryMax)
	case IndexMemory:
		x.cfg.Max = min(x.cfg.Max, memoryMax)
	}
}

// Full says whether nothing new is noted any more.
func (x *Index) Full() bool { return x.db.Size() >= x.cfg.Max }

// queued bounds the slices that wait to be written.
const queued = 64

// change is something to be written.
type change struct {
	write func(*lsm.Batch) // nil: what was applied is written out
	done  chan<- struct{}  // closed when it has been written, if not nil
}

// start reads what the index has to know and starts its writer.
func (x *Index) start() {
	x.queue, x.ended = make(chan change, queued), make(chan struct{})
	n, lost := x.firstNumber()
	x.leased = n
	x.next.Store(n)
	if x.lost = lost != nil; x.lost {
		x.note = errors.Join(x.note, fmt.Errorf("index %s: part of it is lost: %w", x.cfg.Dir, lost))
		x.noteNumber()
	}
	go x.write()
}

// noteNumber notes at once which numbers may have been given out by what is lost.
func (x *Index) noteNumber() {
	var b lsm.Batch
	b.Set([]byte{rowNext}, binary.BigEndian.AppendUint64(nil, x.leased))
	if errors.Join(x.db.Apply(&b), x.db.Flush()) != nil {
		x.failures.Add(1)
		x.leased = 0
	}
}

// numbersLost is more numbers than a damaged part of an index may have known as given out.
const numbersLost = 1 << 32

// firstNumber is the lowest file number that was never given out, and what is lost of the index.
func (x *Index) firstNumber() (uint64, error) {
	n := uint64(1)
	err := x.db.Scan([]byte{rowNext}, func(_, raw []byte) error {
		if len(raw) == 8 {
			n = max(n, binary.BigEndian.Uint64(raw))
		}
		return nil
	})
	if err = errors.Join(err, x.db.Damaged()); err != nil {
		n += numbersLost
	}
	return n, err
}

// write carries out the changes that are queued, one after the other: each sees what those before it did.
func (x *Index) write() {
	defer close(x.ended)
	for c := range x.queue {
		if err := x.apply(c); err != nil {
			x.fail(err)
			x.failures.Add(1)
			x.leased = 0 // what was noted as given out may be lost
		}
		c.tell()
	}
}

func (x *Index) apply(c change) error {
	if c.write == nil {
		return x.db.Flush()
	}
	var batch lsm.Batch
	c.write(&batch)
	return x.db.Apply(&batch)
}

func (c change) tell() {
	if c.done != nil {
		close(c.done)
	}
}

// submit queues a change; false if it will not be made.
func (x *Index) submit(write func(*lsm.Batch)) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.closed {
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

// Sync waits until all that was added so far is written and can be found. It fails when ctx ends first.
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
	if x.closed {
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
		if x.cfg.Wait && x.mode == IndexShared && x.Full() {
			x.makeRoom()
		}
		err = x.db.Close()
		x.releaseLock()
	})
	return err
}

// get reads one row. One that is damaged is none.
func (x *Index) get(key []byte) ([]byte, bool) {
	raw, found, err := x.db.Get(key)
	return raw, found && err == nil
}

// file reads the row of a version of a file.
func (x *Index) file(id fileID) (fileRow, bool) {
	raw, ok := x.get(fileKey(id))
	if !ok {
		return fileRow{}, false
	}
	return decodeFile(raw)
}

// version finds the version of a file that looks as s says.
func (x *Index) version(s stamp) (fileID, fileRow, bool) {
	raw, ok := x.get(inodeKey(x.profile, s))
	if !ok || len(raw) != 8 {
		return 0, fileRow{}, false
	}
	id := fileID(binary.BigEndian.Uint64(raw))
	row, ok := x.file(id)
	return id, row, ok && row.stamp == s
}

// forget makes the index drop all that it knows of a version of a file. Rows of its chunks are dropped when
// they are met.
func (x *Index) forget(id fileID) {
	x.submit(func(b *lsm.Batch) { b.Delete(fileKey(id)) })
}

// IndexStats is how large an index is.
type IndexStats struct {
	Mode    IndexMode
	Roots   int
	Files   int64 // versions of files
	Chunks  int64 // rows of chunks; sparse files have few
	Bytes   int64 // that its rows take, old ones included
	Max     int64 // bytes that they may take
	Dropped int64 // slices that were not noted because writing was too slow or the index is full
}

// Stats counts the rows of the index, which takes a while for a large one.
func (x *Index) Stats(ctx context.Context) (IndexStats, error) {
	s := IndexStats{Mode: x.mode, Bytes: x.db.Size(), Max: x.cfg.Max, Dropped: x.dropped.Load()}
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
	err = x.scan(ctx, []byte{kind}, func(_, _ []byte) error { n++; return nil })
	return n, err
}

// scan calls fn for all rows whose keys begin so. The key and the value are valid during the call. Rows that are damaged are
// none.
func (x *Index) scan(ctx context.Context, prefix []byte, fn func(key, value []byte) error) error {
	err := x.db.Scan(prefix, func(key, value []byte) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fn(key, value)
	})
	if errors.Is(err, lsm.ErrDamaged) {
		if !x.lost { // otherwise Note says so
			x.fail(err)
		}
		return nil
	}
	return err
}

// Roots are the directories that the user had indexed, sorted.
func (x *Index) Roots(ctx context.Context) (roots []string, err error) {
	err = x.scan(ctx, []byte{rowRoot}, func(key, _ []byte) error {
		roots = append(roots, string(key[1:]))
		return nil
	})
	slices.Sort(roots)
	return roots, err
}
