package lsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
)

// A flipped bit costs the rows of one block, and a merge leaves them out.
func TestDamagedBlocks(t *testing.T) {
	dir := t.TempDir()
	db := open(t, Config{Dir: dir})
	fillTables(t, db, 2, 2000)
	flip(t, db.tables[0].path, db.tables[0].size/3)
	left := countNumbered(t, db, 4000)
	if left == 4000 || left < 3000 {
		t.Errorf("%d rows are left", left)
	}
	scanned := 0
	if err := db.Scan(nil, func(_, _ []byte) error { scanned++; return nil }); !errors.Is(err, ErrDamaged) || scanned != left {
		t.Errorf("%d rows scanned of %d, %v", scanned, left, err)
	}
	if !db.replace(db.tables, 0, nil) {
		t.Fatal("not merged")
	}
	if n := countNumbered(t, db, 4000); n != left {
		t.Errorf("%d rows after the merge, %d before", n, left)
	}
	check(t, db.Scan(nil, func(_, _ []byte) error { return nil }))
	check(t, db.Close())
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	raw, err := os.ReadFile(path)
	check(t, err)
	raw[at] ^= 0x10
	check(t, os.WriteFile(path, raw, 0o600))
}

// Whatever a table's file holds, reading it ends, and gives rows in order.
func FuzzTable(f *testing.F) {
	db := New()
	apply(f, db, numberedRows(0, 600)...)
	check(f, db.Flush())
	f.Add(contents(f, db.tables[0]), uint32(0), byte(0))
	f.Add(contents(f, db.tables[0]), uint32(5000), byte(1))
	f.Add([]byte{}, uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, raw []byte, at uint32, bits byte) {
		if len(raw) > 0 {
			raw = bytes.Clone(raw)
			raw[int(at)%len(raw)] ^= bits
		}
		of := &table{src: bytes.NewReader(raw), size: int64(len(raw))}
		if of.begin() != nil {
			return
		}
		readAll(t, of)
		db := New()
		db.setTables([]*table{of})
		for i := range 20 {
			if v, ok, err := db.Get(numbered(i).key); ok && (err != nil || len(v) > MaxValue) {
				t.Fatalf("%d bytes and %v", len(v), err)
			}
		}
	})
}

// contents is all that a table's file holds.
func contents(t testing.TB, of *table) []byte {
	t.Helper()
	raw := make([]byte, of.size)
	_, err := of.src.ReadAt(raw, 0)
	check(t, err)
	return raw
}

func readAll(t *testing.T, of *table) {
	m, err := newMerged([]source{&reading{c: of.cursor()}})
	check(t, err)
	var last []byte
	for n := 0; ; n++ {
		r, err := m.next()
		check(t, err)
		if r == nil {
			return
		}
		if n > 0 && bytes.Compare(last, r.key) >= 0 {
			t.Fatal("rows out of order")
		}
		last = append(last[:0], r.key...)
	}
}

// A block that ends with the right sum, but is not what a writer makes, is damaged where it is wrong. An empty one is sound.
func TestBlocksThatNobodyWrote(t *testing.T) {
	rowOf := func(shared, own, size uint64, rest string) []byte {
		b := binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, shared), own), size)
		return append(b, rest...)
	}
	long := strings.Repeat("k", MaxKey)
	for name, bad := range map[string][]byte{
		"shares more than there is": rowOf(2, 1, 1, "a"),
		"a key beyond the end":      rowOf(0, 3, 1, "ab"),
		"a value beyond the end":    rowOf(0, 1, 3, "ab"),
		"a long key":                rowOf(0, MaxKey+1, 1, long+"k"),
		"a long key in two parts":   rowOf(1, MaxKey, 1, long),
		"a long value":              rowOf(0, 1, MaxValue+2, "k"+strings.Repeat("v", MaxValue+1)),
		"no number":                 {0x80},
		"half a row":                {0, 1},
	} {
		w := blockWriter{buf: append(rowOf(0, 1, 2, "kv"), bad...)}
		rows, err := openBlock(w.close())
		check(t, err)
		var b blockReader
		b.reset(rows)
		if !b.next() || string(b.row.key) != "k" || string(b.row.value) != "v" {
			t.Errorf("%s: the row before is %q", name, b.row.key)
		}
		if b.next() || !errors.Is(b.err, ErrDamaged) || b.next() {
			t.Errorf("%s: %.10q, %v", name, b.row.key, b.err)
		}
	}
	rows, err := openBlock(new(blockWriter).close())
	var b blockReader
	b.reset(rows)
	if err != nil || b.next() || b.err != nil {
		t.Errorf("an empty block: %v, %v", err, b.err)
	}
	if _, err := openBlock(make([]byte, sumSize-1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a block without its sum: %v", err)
	}
}

func TestTheFilterKnowsMostOfWhatIsNotThere(t *testing.T) {
	w := newFilterWriter(100_000)
	for _, r := range numberedRows(0, 100_000) {
		w.add(r.key)
	}
	wrong := 0
	for i, r := range numberedRows(0, 200_000) {
		h := hashKey(r.key)
		at := lineOf(h, w.n) * filterLine
		held := mayHold(w.lines[at:at+filterLine], h)
		if i < 100_000 && !held {
			t.Fatal("a key that is there is denied")
		}
		if i >= 100_000 && held {
			wrong++
		}
	}
	if wrong > 2500 {
		t.Errorf("%d of 100000 keys that are not there may be there", wrong)
	}
}
