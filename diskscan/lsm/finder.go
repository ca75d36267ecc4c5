package lsm

import "bytes"

// Finder looks keys up. It is cheap for keys that come in order: what it has read serves for the next ones. It belongs to one
// goroutine, and keeps the tables open until it is closed.
type Finder struct {
	db      *DB
	tables  []*table // as they were when the cursors were made
	change  uint64   // then
	cursors []*cursor
	line    [filterLine]byte
}

// Finder begins a search.
func (db *DB) Finder() *Finder { return &Finder{db: db} }

// Get looks a key up and returns its value, which is valid until the next call. A damaged block that might hold the key
// is an error, unless a newer table has it.
func (f *Finder) Get(key []byte) (value []byte, found bool, err error) {
	if value, known := f.ofFresh(key); known {
		return value, value != nil, nil
	}
	hash := hashKey(key)
	for i := len(f.tables) - 1; i >= 0; i-- {
		r, err := f.ofTable(i, key, hash)
		if err != nil {
			return nil, false, err
		}
		if r != nil {
			return r.value, !r.gone, nil
		}
	}
	return nil, false, nil
}

// ofFresh looks into the rows that are in no table, and takes over the tables that there are at that moment.
func (f *Finder) ofFresh(key []byte) (value []byte, known bool) {
	f.db.mu.RLock()
	defer f.db.mu.RUnlock()
	value, known = f.db.fresh[string(key)]
	if !known && f.change != f.db.change {
		dropAll(f.tables)
		f.tables, f.cursors, f.change = f.db.use(), make([]*cursor, len(f.db.tables)), f.db.change
	}
	return value, known
}

// Close ends the search. The finder may be used again.
func (f *Finder) Close() {
	dropAll(f.tables)
	*f = Finder{db: f.db}
}

// ofTable looks into one table; nil if it has no row of the key.
func (f *Finder) ofTable(i int, key []byte, hash uint64) (*row, error) {
	c, t := f.cursors[i], f.tables[i]
	if c == nil || !c.in || !c.covers(key) {
		if !t.mayHold(hash, &f.line) {
			return nil, nil
		}
	}
	if c == nil {
		c = t.cursor()
		f.cursors[i] = c
	}
	ok, err := c.seek(key)
	if !ok || string(c.rows.row.key) != string(key) {
		return nil, err
	}
	return &c.rows.row, nil
}

// Get looks one key up. It keeps what it has read for the next ones.
func (db *DB) Get(key []byte) (value []byte, found bool, err error) {
	f := db.takeIdle()
	value, found, err = f.Get(key)
	value = bytes.Clone(value)
	db.putIdle(f)
	return value, found, err
}

// maxIdle bounds the finders that wait for single keys.
const maxIdle = 4

func (db *DB) takeIdle() *Finder {
	db.idleMu.Lock()
	defer db.idleMu.Unlock()
	n := len(db.idle) - 1
	if n < 0 {
		return db.Finder()
	}
	f := db.idle[n]
	db.idle = db.idle[:n]
	return f
}

func (db *DB) putIdle(f *Finder) {
	db.idleMu.Lock()
	defer db.idleMu.Unlock()
	if len(db.idle) == maxIdle || f.change != db.changes() {
		f.Close()
		return
	}
	db.idle = append(db.idle, f)
}

// closeIdle has the finders that wait let go of tables that have been replaced.
func (db *DB) closeIdle() {
	db.idleMu.Lock()
	defer db.idleMu.Unlock()
	for _, f := range db.idle {
		f.Close()
	}
	db.idle = nil
}

func (db *DB) changes() uint64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.change
}
