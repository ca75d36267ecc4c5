package lsm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Config says where rows are kept.
type Config struct {
	Dir      string // it exists
	ReadOnly bool   // what is in Dir is read, and what is applied is kept in memory
	// Thorough: Close makes all merges that are due. Otherwise large ones are left to another time.
	Thorough bool
}

// freshSize is how many bytes of rows wait in memory until they become a table.
const freshSize = 1 << 20

// freshRow is about what a row takes in memory besides its own bytes.
const freshRow = 16

// DB is a set of rows. It is safe for concurrent use.
type DB struct {
	cfg     Config
	damaged error

	writing sync.Mutex // held while rows are applied or become a table
	closed  bool
	next    uint64 // number of the next flush

	mu     sync.RWMutex
	fresh  map[string][]byte // rows that are in no table; nil: gone
	filled int               // bytes of them
	tables []*table          // oldest first; a new slice when they change
	change uint64            // counts that
	kept   int               // of them, the first that are not to be merged

	idleMu sync.Mutex
	idle   []*Finder // those that look single keys up

	merging sync.WaitGroup
	busy    atomic.Bool // a merge is under way
	stop    atomic.Bool // merges are to end
	failed  atomic.Bool // a merge could not be written; none is tried again
}

// Damaged is what was lost when the rows were opened, nil if nothing.
func (db *DB) Damaged() error { return db.damaged }

// Batch is rows to be set and deleted together. The zero value is empty.
type Batch struct{ rows []row }

// Set sets a row. Key and value belong to the batch from then on.
func (b *Batch) Set(key, value []byte) { b.rows = append(b.rows, row{key: key, value: value}) }

// Delete deletes a row.
func (b *Batch) Delete(key []byte) { b.rows = append(b.rows, row{key: key, gone: true}) }

// errLong says that a row is longer than MaxKey or MaxValue, errClosed that the rows were closed.
var (
	errLong   = errors.New("index row is too long")
	errClosed = errors.New("index is closed")
)

// Apply carries out a batch: later rows of one key overwrite earlier ones. A row that is too long is left out, which is an
// error. After any other error all that waited to become a table is lost.
func (db *DB) Apply(b *Batch) error {
	var long error
	rows := slices.DeleteFunc(b.rows, func(r row) bool {
		bad := len(r.key) > MaxKey || len(r.value) > MaxValue
		if bad {
			long = fmt.Errorf("%w: %d bytes, %d of the key", errLong, len(r.value), len(r.key))
		}
		return bad
	})
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.closed {
		return errClosed
	}
	db.put(rows)
	if db.filled < freshSize {
		return long
	}
	return errors.Join(long, db.flush())
}

func (db *DB) put(rows []row) {
	db.mu.Lock()
	defer db.mu.Unlock()
	for _, r := range rows {
		value := r.value
		if r.gone {
			value = nil
		} else if value == nil {
			value = []byte{}
		}
		if old, known := db.fresh[string(r.key)]; known {
			db.filled -= len(r.key) + len(old) + freshRow
		}
		db.fresh[string(r.key)] = value
		db.filled += len(r.key) + len(value) + freshRow
	}
}

// Flush makes a table of the rows that wait for it.
func (db *DB) Flush() error {
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.closed {
		return errClosed
	}
	return db.flush()
}

// flush is Flush for one who holds writing.
func (db *DB) flush() error {
	if len(db.fresh) == 0 {
		return nil
	}
	t, err := db.build(db.next, db.next, len(db.fresh), newListed(db.fresh, nil), false)
	db.mu.Lock()
	db.fresh, db.filled = map[string][]byte{}, 0
	if err == nil {
		db.setTables(append(slices.Clone(db.tables), t))
		db.next++
	}
	db.mu.Unlock()
	if err == nil {
		db.beginMerge()
	}
	return err
}

func (db *DB) setTables(tables []*table) {
	db.tables = tables
	db.change++
}

// use is the tables, for one who holds mu and drops them later.
func (db *DB) use() []*table {
	for _, t := range db.tables {
		t.refs.Add(1)
	}
	return db.tables
}

func (db *DB) hold() []*table {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.use()
}

// onDisk says whether new tables are files.
func (db *DB) onDisk() bool { return db.cfg.Dir != "" && !db.cfg.ReadOnly }

// newListed sorts the rows whose keys begin so.
func newListed(rows map[string][]byte, prefix []byte) *listed {
	l := make(listed, 0, len(rows))
	for k, v := range rows {
		if len(k) >= len(prefix) && k[:len(prefix)] == string(prefix) {
			l = append(l, row{key: []byte(k), value: v, gone: v == nil})
		}
	}
	slices.SortFunc(l, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	return &l
}

// Size is how many bytes the rows take.
func (db *DB) Size() int64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	n := int64(db.filled)
	for _, t := range db.tables {
		n += t.size
	}
	return n
}

// Close writes what waits, ends merges and closes the tables, as soon as nobody reads them. From then on there are no rows. It may be
// called twice.
func (db *DB) Close() error {
	if !db.beginClosing() {
		return nil
	}
	var err error
	if db.onDisk() {
		db.writing.Lock()
		err = db.flush()
		db.writing.Unlock()
	}
	db.stop.Store(!db.cfg.Thorough || !db.onDisk())
	db.merging.Wait()
	if db.onDisk() {
		db.stop.Store(false)
		db.tidy()
	}
	db.mu.Lock()
	tables := db.tables
	db.fresh = map[string][]byte{}
	db.setTables(nil)
	db.mu.Unlock()
	dropAll(tables)
	db.closeIdle()
	return err
}

// beginClosing refuses what is applied from now on; what waits is still written. False if that was so before.
func (db *DB) beginClosing() bool {
	db.writing.Lock()
	defer db.writing.Unlock()
	first := !db.closed
	db.closed = true
	return first
}
