package lsm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
)

// source gives rows in the order of their keys.
type source interface {
	// next goes on to the next row, and returns nil at the end. The row is valid until it goes on again.
	next() (*row, error)
}

// merged gives the rows of several sources as one, each key once: as the newest source has it.
type merged struct {
	heads []head // the newest source first
	last  []byte // key that was given
	begun bool
}

type head struct {
	src source
	row *row // nil: it has ended
}

// newMerged merges sources, the newest first.
func newMerged(sources []source) (*merged, error) {
	m := &merged{heads: make([]head, len(sources))}
	for i, s := range sources {
		m.heads[i].src = s
		if err := m.heads[i].advance(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (h *head) advance() (err error) {
	h.row, err = h.src.next()
	return err
}

// next implements source. A row is passed over whose key does not lie behind the last: an older one of it, or one out
// of place in a damaged table.
func (m *merged) next() (*row, error) {
	if m.begun {
		for i := range m.heads {
			if err := m.heads[i].pass(m.last); err != nil {
				return nil, err
			}
		}
	}
	var least *row
	for _, h := range m.heads {
		if h.row != nil && (least == nil || bytes.Compare(h.row.key, least.key) < 0) {
			least = h.row
		}
	}
	if least != nil {
		m.last, m.begun = append(m.last[:0], least.key...), true
	}
	return least, nil
}

// pass goes to the first row behind a key.
func (h *head) pass(key []byte) error {
	for h.row != nil && bytes.Compare(h.row.key, key) <= 0 {
		if err := h.advance(); err != nil {
			return err
		}
	}
	return nil
}

// reading gives the rows of a table from a key on, without those of damaged blocks.
type reading struct {
	c       *cursor
	from    []byte
	begun   bool
	damaged bool // there are such
}

func (r *reading) next() (*row, error) {
	var ok bool
	var err error
	if r.begun {
		ok, err = r.c.next()
	} else {
		ok, err = r.c.seek(r.from)
	}
	r.begun = true
	if err != nil && !isDamage(err) {
		return nil, err
	}
	if err != nil {
		r.damaged = true
		ok = r.c.skip()
	}
	if !ok {
		return nil, nil
	}
	return &r.c.rows.row, nil
}

// isDamage says whether an error tells of what a file holds, and not of the moment.
func isDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, io.EOF) }

// listed gives rows that lie in memory.
type listed []row

func (l *listed) next() (*row, error) {
	if len(*l) == 0 {
		return nil, nil
	}
	r := &(*l)[0]
	*l = (*l)[1:]
	return r, nil
}

// Merges: fanIn neighbours become one, and the result is bounded, for the sake of the memory of its filter and of the
// time that it takes.
const (
	fanIn     = 8
	leastIn   = 4         // where more would be too large
	leastTier = 64 << 10  // bytes of a table of the lowest tier
	maxMerged = 512 << 20 // bytes
)

// Bounds of merges that are made at the end of a process that is not thorough. Tables without number make every lookup slow, so
// beyond manyTables more time is taken.
const (
	quickMerge = 8 << 20 // bytes
	manyTables = 48
	slowMerge  = 64 << 20 // bytes
)

// tier is a table's size as a power of fanIn.
func tier(size int64) (t int) {
	for size /= leastTier; size >= fanIn; size /= fanIn {
		t++
	}
	return t
}

// pick chooses neighbours to be merged among tables of these sizes, of at most so many bytes in all: the smallest of which at least
// fanIn lie together. None: n is 0.
func pick(sizes []int64, most int64) (from, n int) {
	for t := range tier(maxMerged) + 1 {
		for from = 0; from < len(sizes); from += n + 1 {
			for n = 0; from+n < len(sizes) && tier(sizes[from+n]) <= t; n++ {
			}
			if skip, fit := window(sizes[from:from+n], most); fit > 0 {
				return from + skip, fit
			}
		}
	}
	return 0, 0
}

// window chooses among neighbours: not those at the front that are larger than all behind them together, which would be written
// again and again for little, or that fit with too few. None if fewer than fanIn are left.
func window(sizes []int64, most int64) (skip, n int) {
	for ; len(sizes)-skip >= fanIn; skip++ {
		var rest int64
		for _, s := range sizes[skip+1:] {
			rest += s
		}
		if fit := fitting(sizes[skip:], most); sizes[skip] <= rest && fit >= leastIn {
			return skip, fit
		}
	}
	return 0, 0
}

// fitting is how many of the sizes have no larger sum than most.
func fitting(sizes []int64, most int64) int {
	for i, s := range sizes {
		if most -= s; most < 0 {
			return i
		}
	}
	return len(sizes)
}

// beginMerge begins to merge what is due, beside all else.
func (db *DB) beginMerge() {
	if db.failed.Load() || !db.busy.CompareAndSwap(false, true) {
		return
	}
	db.merging.Go(func() {
		defer db.busy.Store(false)
		for !db.stop.Load() && db.merge(db.most()) {
		}
	})
}

// most is how large a merge may be while others wait for the processor.
func (db *DB) most() int64 {
	if db.cfg.Thorough {
		return maxMerged
	}
	return slowMerge
}

// tidy makes the merges that are due at the end.
func (db *DB) tidy() {
	for {
		most := int64(quickMerge)
		switch {
		case db.cfg.Thorough:
			most = maxMerged
		case len(db.tables)-db.kept > manyTables:
			most = slowMerge
		}
		if db.failed.Load() || !db.merge(most) {
			return
		}
	}
}

// merge makes one merge, if one is due.
func (db *DB) merge(most int64) bool {
	tables := db.hold()
	defer dropAll(tables)
	kept := db.kept
	var sizes []int64
	for _, t := range tables[kept:] {
		sizes = append(sizes, t.size)
	}
	from, n := pick(sizes, most)
	if n == 0 {
		return false
	}
	from += kept
	return db.replace(tables[from:from+n], from, nil)
}

// Compact merges all tables into one, without the rows that keep refuses; false if that can't be. It needs room on the disk for
// the result, and memory for a twentieth of it.
func (db *DB) Compact(keep func(key, value []byte) bool) bool {
	if !db.onDisk() || db.Flush() != nil {
		return false
	}
	db.stop.Store(true)
	db.merging.Wait()
	db.stop.Store(false)
	tables := db.hold()
	defer dropAll(tables)
	return len(tables) > 0 && db.replace(tables, 0, keep)
}

// sieve passes on what keep does not refuse.
type sieve struct {
	src  source
	keep func(key, value []byte) bool
}

func (s *sieve) next() (*row, error) {
	for {
		r, err := s.src.next()
		if r == nil || err != nil || r.gone || s.keep == nil || s.keep(r.key, r.value) {
			return r, err
		}
	}
}

// replace merges what keep does not refuse of tables, the first of which is the from-th, and puts the result in their place.
// Their files are deleted at once, and closed when nobody reads them any more.
func (db *DB) replace(old []*table, from int, keep func(key, value []byte) bool) bool {
	rows := 0
	var sources []source
	for i := len(old) - 1; i >= 0; i-- {
		rows += int(old[i].end.rows)
		sources = append(sources, &reading{c: old[i].cursor()})
	}
	src, err := newMerged(sources)
	var t *table
	if err == nil {
		t, err = db.build(old[0].first, old[len(old)-1].last, rows, &sieve{src, keep}, from == 0)
	}
	if err != nil {
		db.failed.Store(!db.stop.Load())
		return false
	}
	db.mu.Lock()
	db.setTables(slices.Concat(db.tables[:from], []*table{t}, db.tables[from+len(old):]))
	db.mu.Unlock()
	for _, o := range old {
		if o.path != t.path { // else it was written over
			_ = os.Remove(o.path) // one that stays is deleted when the rows are opened
		}
		o.drop()
	}
	db.closeIdle()
	return true
}
