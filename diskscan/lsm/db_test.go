package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

func open(t testing.TB, cfg Config) *DB {
	t.Helper()
	db, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func apply(t testing.TB, db *DB, rows ...row) {
	t.Helper()
	if err := db.Apply(&Batch{rows: rows}); err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want compares all rows, by a scan and by looking up every key and some that are not there.
func want(t testing.TB, db *DB, model map[string]string) {
	t.Helper()
	var keys []string
	err := db.Scan(nil, func(key, value []byte) error {
		keys = append(keys, string(key))
		if model[string(key)] != string(value) {
			t.Errorf("key %x is %x, want %x", key, value, model[string(key)])
		}
		return nil
	})
	check(t, err)
	sorted := slices.Sorted(maps.Keys(model))
	if !slices.Equal(keys, sorted) {
		t.Fatalf("%d keys, want %d", len(keys), len(sorted))
	}
	f := db.Finder()
	for _, k := range sorted {
		if v, ok, err := f.Get([]byte(k)); !ok || err != nil || string(v) != model[k] {
			t.Fatalf("key %x is %x, %v, %v; want %x", k, v, ok, err, model[k])
		}
		if v, ok, err := f.Get([]byte(k + "\xff")); ok || err != nil {
			t.Fatalf("a key that is not there is %x, %v", v, err)
		}
	}
}

// Whatever is set, deleted, flushed, merged and opened anew, the rows are those of a map.
func TestRowsAreThoseOfAMap(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			cfg := Config{Dir: t.TempDir(), Thorough: seed%2 == 0}
			db, model := open(t, cfg), map[string]string{}
			for range 60 {
				change(t, db, model, rnd)
				switch rnd.IntN(4) {
				case 0:
					check(t, db.Close())
					db = open(t, cfg)
				case 1:
					check(t, db.Flush())
				}
				if rnd.IntN(10) == 0 {
					want(t, db, model)
				}
			}
			want(t, db, model)
			check(t, db.Close())
			db = open(t, cfg)
			want(t, db, model)
			check(t, db.Close())
		})
	}
}

// change sets and deletes rows of a database and of its model.
func change(t testing.TB, db *DB, model map[string]string, rnd *rand.Rand) {
	var b Batch
	for range rnd.IntN(400) {
		key := make([]byte, rnd.IntN(4))
		for i := range key {
			key[i] = byte(rnd.IntN(12))
		}
		if rnd.IntN(3) == 0 {
			b.Delete(key)
			delete(model, string(key))
			continue
		}
		value := make([]byte, rnd.IntN(50))
		if rnd.IntN(100) == 0 {
			value = make([]byte, rnd.IntN(MaxValue))
		}
		value = append(value, byte(rnd.Uint32()))
		b.Set(key, value)
		model[string(key)] = string(value)
	}
	check(t, db.Apply(&b))
}

// numbered is a row with a key of its own.
func numbered(i int) row {
	key := binary.BigEndian.AppendUint64(nil, hashKey(binary.BigEndian.AppendUint64(nil, uint64(i))))
	return row{key: key, value: binary.AppendUvarint(nil, uint64(i))}
}

func numberedRows(from, to int) (rows []row) {
	for i := from; i < to; i++ {
		rows = append(rows, numbered(i))
	}
	return rows
}

// fillTables writes so many tables, each with the next numbered rows.
func fillTables(t testing.TB, db *DB, tables, rows int) {
	t.Helper()
	for i := range tables {
		apply(t, db, numberedRows(rows*i, rows*i+rows)...)
		check(t, db.Flush())
	}
}

// countNumbered is how many of the rows are there, each with its value.
func countNumbered(t testing.TB, db *DB, to int) (n int) {
	t.Helper()
	f := db.Finder()
	for _, r := range numberedRows(0, to) {
		v, ok, err := f.Get(r.key)
		if ok && !bytes.Equal(v, r.value) {
			t.Fatalf("wrong value %x of %x", v, r.key)
		}
		if ok && err == nil {
			n++
		}
	}
	return n
}

func TestManyRowsInTheOrderOfTheirKeysAndNot(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	const n = 200_000 // a table of three levels, and a filter that is not held
	rows := numberedRows(0, n)
	apply(t, db, rows...)
	check(t, db.Flush())
	if e := db.tables[0].end; e.depth < 2 || e.lines*filterLine <= maxHeldFilter {
		t.Fatalf("too small: %+v", e)
	}
	if got := countNumbered(t, db, n/50); got != n/50 {
		t.Errorf("%d of %d are found", got, n/50)
	}
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(a.key, b.key) })
	f, i := db.Finder(), 0
	check(t, db.Scan(nil, func(key, _ []byte) error {
		if _, ok, err := f.Get(key); !ok || err != nil || !bytes.Equal(key, rows[i].key) {
			t.Fatalf("row %d: %v, %v", i, ok, err)
		}
		i++
		return nil
	}))
	if i != n {
		t.Errorf("%d rows are scanned", i)
	}
	check(t, db.Close())
}

func TestTablesStayFew(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	for i := range 200 {
		db := open(t, cfg)
		apply(t, db, numberedRows(20*i, 20*i+20)...)
		check(t, db.Close())
	}
	db := open(t, cfg)
	tables := len(db.tables)
	if tables > 2*fanIn {
		t.Errorf("%d tables", tables)
	}
	if n := countNumbered(t, db, 4000); n != 4000 {
		t.Errorf("%d rows are left", n)
	}
	check(t, db.Close())
	if files, _ := filepath.Glob(filepath.Join(cfg.Dir, "*")); len(files) != tables {
		t.Errorf("%d files, %d tables", len(files), tables)
	}
}

func TestPick(t *testing.T) {
	const k, m = 1 << 10, 1 << 20
	for _, c := range []struct {
		sizes         []int64
		most          int64
		wantAt, wantN int
	}{
		{nil, maxMerged, 0, 0},
		{[]int64{k, k, k, k, k, k, k}, maxMerged, 0, 0},
		{[]int64{k, k, k, k, k, k, k, k}, maxMerged, 0, 8},
		{[]int64{m, m, k, k, k, k, k, k, k, k}, maxMerged, 2, 8},
		{[]int64{m, m, m, m, m, m, m, k}, maxMerged, 0, 8},
		{[]int64{m, m, m, m, m, m, m, m}, 4 * m, 0, 4},
		{[]int64{m, m, m, m, m, m, m, m}, 3 * m, 0, 0},
		{[]int64{90 * m, 90 * m, 90 * m, 90 * m, 90 * m, 90 * m, 90 * m, 90 * m}, maxMerged, 0, 5},
		{[]int64{600 * m, 600 * m, 600 * m, 600 * m, 600 * m, 600 * m, 600 * m, 600 * m}, maxMerged, 0, 0},
	} {
		if at, n := pick(c.sizes, c.most); n != c.wantN || n > 0 && at != c.wantAt {
			t.Errorf("of %v at most %d: %d tables from %d, want %d from %d", c.sizes, c.most, n, at, c.wantN, c.wantAt)
		}
	}
}

// What was overwritten and deleted takes no room once all is merged.
func TestMergesDropWhatIsGone(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Thorough: true}
	db := open(t, cfg)
	for range fanIn {
		apply(t, db, numberedRows(0, 1000)...)
		check(t, db.Flush())
		var b Batch
		for _, r := range numberedRows(0, 990) {
			b.Delete(r.key)
		}
		check(t, db.Apply(&b))
		check(t, db.Flush())
	}
	check(t, db.Close())
	db = open(t, cfg)
	rows := uint64(0)
	for _, t := range db.tables {
		rows += t.end.rows
	}
	if rows >= 4*2000 || countNumbered(t, db, 1000) != 10 {
		t.Errorf("%d rows are kept, %d can be found", rows, countNumbered(t, db, 1000))
	}
	check(t, db.Close())
}

// Who reads while tables are written and merged finds every row that was there when it began.
func TestReadingBesideMerges(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir(), Thorough: true})
	apply(t, db, numberedRows(0, 2000)...)
	var g sync.WaitGroup
	for range 3 {
		g.Go(func() {
			for range 10 {
				n := 0
				if err := db.Scan(nil, func(_, _ []byte) error { n++; return nil }); err != nil || n < 2000 {
					t.Errorf("%d rows, %v", n, err)
				}
				if n := countNumbered(t, db, 200); n != 200 {
					t.Errorf("%d of the first rows", n)
				}
			}
		})
	}
	for i := range 40 {
		apply(t, db, numberedRows(2000+50*i, 2050+50*i)...)
		check(t, db.Flush())
	}
	g.Wait()
	check(t, db.Close())
}

func TestReadOnlyWritesNothing(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	apply(t, db, numberedRows(0, 100)...)
	check(t, db.Flush())
	before := files(t, dir)
	other := open(t, Config{Dir: dir, ReadOnly: true})
	for i := range 20 {
		apply(t, other, numberedRows(100*i+100, 100*i+200)...)
		check(t, other.Flush())
	}
	var b Batch
	b.Delete(numbered(3).key)
	check(t, other.Apply(&b))
	if n := countNumbered(t, other, 3000); n != 2099 {
		t.Errorf("%d rows", n)
	}
	check(t, other.Close())
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Errorf("%d files became %d", len(before), len(after))
	}
	check(t, db.Close())
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		check(t, err)
		all[e.Name()] = string(raw)
	}
	return all
}

// A process that ends in the middle of writing or merging leaves files that the next one sorts out.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	fillTables(t, db, 3, 100)
	if !db.replace(db.tables[:2], 0, nil) {
		t.Fatal("not merged")
	}
	check(t, db.Close())
	merged, err := os.ReadFile(nameOf(dir, 1, 2).path)
	check(t, err)
	for _, path := range []string{nameOf(dir, 1, 1).path, nameOf(dir, 2, 2).path, filepath.Join(dir, "x"+freshSuffix)} {
		check(t, os.WriteFile(path, merged[:50], 0o600))
	}
	check(t, os.WriteFile(filepath.Join(dir, "a stranger"), nil, 0o600))
	db = open(t, Config{Dir: dir})
	if db.Damaged() != nil || countNumbered(t, db, 300) != 300 || len(files(t, dir)) != 3 {
		t.Errorf("damaged: %v; %d rows, files %q", db.Damaged(), countNumbered(t, db, 300), slices.Sorted(maps.Keys(files(t, dir))))
	}
	check(t, db.Close())
}

// A disk that takes no more costs the rows that were not written.
func TestWhatCantBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	check(t, os.Mkdir(dir, 0o700))
	db := open(t, Config{Dir: dir})
	apply(t, db, numbered(1))
	check(t, os.Remove(dir))
	if err := db.Flush(); err == nil {
		t.Error("written into a directory that is gone")
	}
	check(t, os.Mkdir(dir, 0o700))
	apply(t, db, numbered(2))
	check(t, db.Close())
	db = open(t, Config{Dir: dir})
	if n := countNumbered(t, db, 3); n != 1 {
		t.Errorf("%d rows", n)
	}
	check(t, db.Close())
}

func TestLongRowsAreRefused(t *testing.T) {
	db := New()
	for i, r := range []row{{key: make([]byte, MaxKey+1)}, {value: make([]byte, MaxValue+1)}} {
		if err := db.Apply(&Batch{rows: []row{r, numbered(i)}}); !errors.Is(err, errLong) {
			t.Errorf("got %v", err)
		}
	}
	if n := countNumbered(t, db, 2); n != 2 {
		t.Errorf("%d of the rows beside long ones", n)
	}
	apply(t, db, row{key: make([]byte, MaxKey), value: make([]byte, MaxValue)})
	check(t, db.Flush())
	if v, ok, err := db.Get(make([]byte, MaxKey)); !ok || err != nil || len(v) != MaxValue {
		t.Errorf("%d bytes, %v, %v", len(v), ok, err)
	}
}

// A row that is set again and again takes room once.
func TestRowSetAgainTakesRoomOnce(t *testing.T) {
	db := New()
	for range 2 * freshSize / 1000 {
		apply(t, db, row{key: []byte("k"), value: make([]byte, 1000)})
	}
	if n := db.Size(); len(db.tables) != 0 || n != 1+1000+freshRow {
		t.Errorf("%d tables, %d bytes", len(db.tables), n)
	}
	apply(t, db, row{key: []byte("k"), gone: true})
	if n := db.Size(); n != 1+freshRow {
		t.Errorf("%d bytes of a row that is gone", n)
	}
	check(t, db.Close())
}

// A finder that looked a key up while the tables changed is not kept: it would keep the former ones open.
func TestFinderOfFormerTablesIsNotKept(t *testing.T) {
	db := New()
	apply(t, db, numberedRows(0, 10)...)
	check(t, db.Flush())
	for _, changes := range []bool{false, true} {
		f := db.takeIdle()
		if _, ok, err := f.Get(numbered(1).key); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if changes {
			apply(t, db, numberedRows(10, 20)...)
			check(t, db.Flush())
		}
		db.putIdle(f)
		if kept := len(db.idle) == 1; kept == changes || kept != (f.tables != nil) {
			t.Errorf("the tables changed: %v; the finder is kept: %v, with %d tables", changes, kept, len(f.tables))
		}
	}
	check(t, db.Close())
}
