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

	"golang.org/x/sys/unix"
)

// Suffixes of a table's file, and of one that is being written.
const (
	tableSuffix = ".rows"
	freshSuffix = ".new"
)

// maxTables bounds the tables that are opened, the newest first.
const maxTables = 1024

// errMany says that there are more.
var errMany = errors.New("too many index tables")

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
		dropAll(db.tables)
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

// list finds the tables, oldest first, and the longer of two first. It deletes what is left over from writing.
func (db *DB) list() ([]name, error) {
	files, err := os.ReadDir(db.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var all []name
	for _, f := range files {
		if n, ok := parseName(db.cfg.Dir, f.Name()); ok && f.Type().IsRegular() {
			all = append(all, n)
		} else if filepath.Ext(f.Name()) == freshSuffix {
			db.remove(filepath.Join(db.cfg.Dir, f.Name()))
		}
	}
	slices.SortFunc(all, func(a, b name) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(b.last, a.last)) })
	return all, nil
}

// remove deletes a file, if it may; one that stays is met again.
func (db *DB) remove(path string) {
	if !db.cfg.ReadOnly {
		_ = os.Remove(path)
	}
}

// openTables opens the tables. It deletes those that are damaged, and those whose range one covers that is not.
func (db *DB) openTables(names []name) error {
	if n := len(names) - maxTables; n > 0 {
		db.damaged = fmt.Errorf("%w: %d", errMany, len(names))
		for _, old := range names[:n] {
			db.remove(old.path)
		}
		names = names[n:]
	}
	for _, n := range names {
		if n.first < db.next {
			db.remove(n.path)
			continue
		}
		if err := db.openOne(n); err != nil {
			return err
		}
	}
	for _, n := range names { // also of those that are damaged no number is used again
		db.next = max(db.next, n.last+1)
	}
	return nil
}

// openOne opens a table. The error is one that may pass.
func (db *DB) openOne(n name) error {
	t, err := openTable(n.path, n.first, n.last)
	switch {
	case err == nil:
		db.tables = append(db.tables, t)
		db.next = n.last + 1
		return nil
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM), errors.Is(err, fs.ErrNotExist):
		return err
	case isDamage(err):
		db.remove(n.path)
	}
	db.damaged = errors.Join(db.damaged, err)
	return nil
}

// build makes a table of rows that come sorted, at most so many.
func (db *DB) build(first, last uint64, rows int, src source, live bool) (*table, error) {
	if !db.onDisk() {
		var out bytes.Buffer
		if err := db.write(&out, rows, src, live); err != nil {
			return nil, err
		}
		t := &table{src: bytes.NewReader(bytes.Clone(out.Bytes())), first: first, last: last, size: int64(out.Len())}
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
	t, err := openTable(n.path, first, last)
	if err != nil {
		_ = os.Remove(n.path)
	}
	return t, err
}

func (db *DB) writeFile(path string, rows int, src source, live bool) error {
	_ = os.Remove(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = db.write(f, rows, src, live)
	if at, _ := f.Seek(0, io.SeekCurrent); err == nil && at > quickMerge {
		err = f.Sync() // what it replaces was on the disk for long
	}
	return errors.Join(err, f.Close())
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
