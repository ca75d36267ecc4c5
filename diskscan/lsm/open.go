package lsm

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// Suffixes of a table's file, and of one that is being written.
const (
	tableSuffix = ".rows"
	freshSuffix = ".new"
)

// maxTables bounds the tables that are opened, the newest first.
const maxTables = 512

// New has no rows, and keeps them in memory.
func New() *DB { return &DB{fresh: map[string][]byte{}, next: 1} }

// Open opens the rows in a directory.
func Open(cfg Config) (*DB, error) {
	db := New()
	db.cfg = cfg
	err := db.openListed()
	for tries := 1; errors.Is(err, fs.ErrNotExist) && cfg.ReadOnly && tries < 5; tries++ {
		err = db.openListed() // who writes has merged tables in between
	}
	if err != nil {
		return nil, err
	}
	if cfg.ReadOnly {
		db.kept = len(db.tables)
	}
	return db, nil
}

// openListed opens the tables that there are.
func (db *DB) openListed() error {
	names, err := db.list()
	if err != nil {
		return err
	}
	db.tables, db.damaged, db.next, db.change = nil, nil, 1, 1
	if err = db.openTables(names); err != nil {
		for _, t := range db.tables {
			t.close()
		}
	}
	return err
}

// name is a table's file, and the flushes that it covers.
type name struct {
	path        string
	first, last uint64
}

func nameOf(dir string, first, last uint64) name {
	return name{filepath.Join(dir, fmt.Sprintf("%016x-%016x%s", first, last, tableSuffix)), first, last}
}

// parseName takes the name of a table's file apart.
func parseName(dir, file string) (name, bool) {
	var first, last uint64
	if _, err := fmt.Sscanf(file, "%016x-%016x"+tableSuffix, &first, &last); err != nil {
		return name{}, false
	}
	n := nameOf(dir, first, last)
	return n, filepath.Base(n.path) == file && first <= last && last < math.MaxUint64
}

// list finds the tables, oldest first, and deletes what is left over from writing and merging.
func (db *DB) list() ([]name, error) {
	files, err := os.ReadDir(db.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var all []name
	for _, f := range files {
		if n, ok := parseName(db.cfg.Dir, f.Name()); ok {
			all = append(all, n)
		} else if filepath.Ext(f.Name()) == freshSuffix {
			db.remove(filepath.Join(db.cfg.Dir, f.Name()))
		}
	}
	return db.withoutCovered(all), nil
}

// withoutCovered sorts tables by age and deletes those that a merge has replaced. Of tables that overlap the longer counts.
func (db *DB) withoutCovered(all []name) (names []name) {
	slices.SortFunc(all, func(a, b name) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last)) })
	for _, n := range all {
		if len(names) > 0 && n.first <= names[len(names)-1].last {
			db.remove(n.path)
			continue
		}
		names = append(names, n)
	}
	return names
}

// remove deletes a file, if it may; one that stays is met again.
func (db *DB) remove(path string) {
	if !db.cfg.ReadOnly {
		_ = os.Remove(path)
	}
}

// openTables opens the tables, and deletes those that are damaged.
func (db *DB) openTables(names []name) error {
	for _, n := range names[:max(0, len(names)-maxTables)] {
		db.remove(n.path)
	}
	for _, n := range names[max(0, len(names)-maxTables):] {
		db.next = n.last + 1
		t, err := openTable(n.path, n.first, n.last)
		switch {
		case err == nil:
			db.tables = append(db.tables, t)
		case errors.Is(err, ErrDamaged), errors.Is(err, io.EOF):
			db.damaged = errors.Join(db.damaged, err)
			db.remove(n.path)
		default:
			return err
		}
	}
	return nil
}

// build makes a table of rows that come sorted, at most so many.
func (db *DB) build(first, last uint64, rows int, src source, live bool) (*table, error) {
	if !db.onDisk() {
		var out bytes.Buffer
		if err := db.write(&out, rows, src, live); err != nil {
			return nil, err
		}
		t := &table{src: memory(out.Bytes()), first: first, last: last, size: int64(out.Len())}
		return t, t.begin()
	}
	n := nameOf(db.cfg.Dir, first, last)
	if err := db.writeFile(n.path+freshSuffix, rows, src, live); err != nil {
		_ = os.Remove(n.path + freshSuffix)
		return nil, err
	}
	if err := os.Rename(n.path+freshSuffix, n.path); err != nil {
		_ = os.Remove(n.path + freshSuffix)
		return nil, err
	}
	return openTable(n.path, first, last)
}

func (db *DB) writeFile(path string, rows int, src source, live bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(db.write(f, rows, src, live), f.Close())
}

// errStopped says that a merge was given up.
var errStopped = errors.New("merge was stopped")

// write writes rows as a table; of live ones those that are not gone.
func (db *DB) write(out io.Writer, rows int, src source, live bool) error {
	w := newTableWriter(out, rows)
	for n := 1; ; n++ {
		if n%1024 == 0 && db.stop.Load() {
			return errStopped
		}
		r, err := src.next()
		if err != nil {
			return err
		}
		if r == nil {
			return w.finish()
		}
		if live && r.gone {
			continue
		}
		if err := w.add(*r); err != nil {
			return err
		}
	}
}
