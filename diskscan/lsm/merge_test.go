package lsm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// However many tables come, what is written again stays a few times what came, and the tables stay few.
func TestMergesWriteLittle(t *testing.T) {
	for _, c := range []struct {
		most    int64
		tables  int
		written float64
	}{{slowMerge, 64, 4}, {maxMerged, 20, 6}} {
		var sizes []int64
		const flush, flushes = 900 << 10, 2200
		written, most := int64(0), 0
		for range flushes {
			sizes, written = append(sizes, flush), written+flush
			for from, n := pick(sizes, c.most); n > 0; from, n = pick(sizes, c.most) {
				var sum int64
				for _, s := range sizes[from : from+n] {
					sum += s
				}
				sizes, written = slices.Concat(sizes[:from], []int64{sum}, sizes[from+n:]), written+sum
			}
			most = max(most, len(sizes))
		}
		if amplified := float64(written) / (flush * flushes); most > c.tables || amplified > c.written {
			t.Errorf("merges of %d MiB: %d tables, each byte is written %.1f times", c.most>>20, most, amplified)
		}
	}
}

// What a merge has replaced is closed as soon as nobody reads it.
func TestReplacedTablesAreClosed(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	f := db.Finder()
	for i := range 3 * fanIn {
		apply(t, db, numberedRows(100*i, 100*i+100)...)
		check(t, db.Flush())
		if _, ok, err := db.Get(numbered(i).key); !ok || err != nil {
			t.Error(ok, err)
		}
		if _, ok, err := f.Get(numbered(i).key); !ok || err != nil {
			t.Error(ok, err)
		}
	}
	db.merging.Wait()
	if _, ok, _ := f.Get(numbered(5000).key); ok { // takes the present tables over
		t.Error("found")
	}
	if n := deletedOpen(t, dir); n > 0 {
		t.Errorf("%d deleted tables are open", n)
	}
	check(t, db.Close())
	if _, ok, err := f.Get(numbered(1).key); ok || err != nil {
		t.Errorf("after closing: %v, %v", ok, err)
	}
	f.Close()
}

// deletedOpen counts the open files of a directory that have no name any more.
func deletedOpen(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	for _, fd := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		if strings.HasPrefix(to, dir) && strings.HasSuffix(to, "(deleted)") {
			n++
		}
	}
	return n
}

var errDisk = errors.New("the disk does not answer")

// broken is a file that can't be read at the moment.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errDisk }

// A merge whose sources can't be read at the moment is not made.
func TestMergeOfWhatCantBeRead(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	fillTables(t, db, 2, 2000)
	src := db.tables[0].src
	db.tables[0].src = broken{}
	if db.replace(db.tables, 0, nil) {
		t.Error("merged")
	}
	if err := db.Scan(nil, func(_, _ []byte) error { return nil }); !errors.Is(err, errDisk) {
		t.Errorf("a scan ends with %v", err)
	}
	db.tables[0].src = src
	if n := countNumbered(t, db, 4000); n != 4000 {
		t.Errorf("%d rows are left", n)
	}
	check(t, db.Close())
}

// A merged table that did not get to the disk costs nothing while what it was made of is still there.
func TestCoveringTableIsDamaged(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	fillTables(t, db, 2, 100)
	check(t, db.Close())
	check(t, os.WriteFile(nameOf(dir, 1, 2).path, nil, 0o600))
	db = open(t, Config{Dir: dir})
	if n := countNumbered(t, db, 200); n != 200 || !errors.Is(db.Damaged(), ErrDamaged) {
		t.Errorf("%d rows, %v", n, db.Damaged())
	}
	check(t, db.Close())
}

func TestClosedTwice(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	apply(t, db, numberedRows(0, 100)...)
	check(t, db.Close())
	check(t, db.Close())
	if n := countNumbered(t, db, 100); n != 0 {
		t.Errorf("%d rows", n)
	}
	if err := db.Apply(&Batch{rows: numberedRows(0, 1)}); !errors.Is(err, errClosed) {
		t.Errorf("applied: %v", err)
	}
	if err := db.Flush(); !errors.Is(err, errClosed) {
		t.Errorf("flushed: %v", err)
	}
}

// Blocks that name each other again and again are read once.
func TestLoopingTable(t *testing.T) {
	var w blockWriter
	for _, r := range numberedSorted(40) {
		w.add(r)
	}
	raw := bytes.Clone(w.close())
	below := span{0, uint32(len(raw))}
	const depth = 6
	for range depth {
		w = blockWriter{}
		for _, r := range numberedSorted(100) {
			w.add(row{key: r.key, value: below.encode()})
		}
		block := w.close()
		below = span{uint64(len(raw)), uint32(len(block))}
		raw = append(raw, block...)
	}
	e := end{rows: 1, root: below, depth: depth, filter: uint64(len(raw)), lines: 1}
	raw = append(append(raw, make([]byte, filterLine)...), e.encode()...)
	counted := &counting{src: bytes.NewReader(raw)}
	of := &table{src: counted, size: int64(len(raw))}
	check(t, of.begin())
	readAll(t, of)
	if counted.n > len(raw) {
		t.Errorf("%d reads of a table of %d bytes", counted.n, len(raw))
	}
}

type counting struct {
	src io.ReaderAt
	n   int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.n++
	return c.src.ReadAt(p, off)
}

func numberedSorted(n int) []row {
	rows := numberedRows(0, n)
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	return rows
}

// Rows that are refused are gone for good, whether there are many tables or one.
func TestCompact(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	for i, want := range []int{150, 75} {
		db := open(t, cfg)
		if i == 0 {
			fillTables(t, db, 3, 100)
		}
		n := 0
		if !db.Compact(func(_, _ []byte) bool { n++; return n%2 == 0 }) {
			t.Fatal("not compacted")
		}
		if got := countNumbered(t, db, 300); got != want || len(db.tables) != 1 {
			t.Errorf("%d rows in %d tables", got, len(db.tables))
		}
		check(t, db.Close())
		db = open(t, cfg)
		if got := countNumbered(t, db, 300); got != want || len(files(t, cfg.Dir)) != 1 {
			t.Errorf("%d rows in %d files afterwards", got, len(files(t, cfg.Dir)))
		}
		check(t, db.Close())
	}
}
