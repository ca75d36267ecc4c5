package lsm

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// table is one table, open for reading. It is safe for concurrent use.
type table struct {
	src         io.ReaderAt // closed with the table if it can be
	path        string      // "" in memory
	first, last uint64      // numbers of the flushes that it covers
	size        int64
	end         end
	root        node

	refs  atomic.Int64 // of those who use it, the database first; the last one closes it
	once  sync.Once
	lines []byte // of a short filter, read when it is first needed
}

// openTable reads the end and the root of a table. The file belongs to the table if there is no error.
func openTable(path string, first, last uint64) (*table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = ErrDamaged
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t := &table{src: f, path: path, first: first, last: last, size: st.Size()}
	if err := t.begin(); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// begin reads what is kept of a table in memory. The caller uses it.
func (t *table) begin() error {
	t.refs.Store(1)
	if t.size < endSize {
		return ErrDamaged
	}
	var raw [endSize]byte
	if _, err := t.src.ReadAt(raw[:], t.size-endSize); err != nil {
		return err
	}
	var err error
	if t.end, err = decodeEnd(raw[:], uint64(t.size)); err != nil {
		return err
	}
	return t.readNode(&t.root, t.end.root)
}

// drop says that somebody does not use the table any more.
func (t *table) drop() {
	if t.refs.Add(-1) > 0 {
		return
	}
	if c, ok := t.src.(io.Closer); ok {
		_ = c.Close() // it was only read
	}
}

func dropAll(tables []*table) {
	for _, t := range tables {
		t.drop()
	}
}

// maxHeldFilter bounds the filter that is held in memory, in bytes; of a longer one each line is read when it is needed.
const maxHeldFilter = 64 << 10

// mayHold says whether a key may be in the table. In doubt it may.
func (t *table) mayHold(hash uint64, line *[filterLine]byte) bool {
	at := lineOf(hash, int(t.end.lines)) * filterLine
	if int64(t.end.lines)*filterLine <= maxHeldFilter {
		t.once.Do(t.holdFilter)
		return t.lines == nil || mayHold(t.lines[at:at+filterLine], hash)
	}
	if _, err := t.src.ReadAt(line[:], int64(t.end.filter)+int64(at)); err != nil {
		return true
	}
	return mayHold(line[:], hash)
}

func (t *table) holdFilter() {
	lines := make([]byte, int(t.end.lines)*filterLine)
	if _, err := t.src.ReadAt(lines, int64(t.end.filter)); err == nil {
		t.lines = lines
	}
}

// readBlock reads a block into a buffer, which it may replace, and returns its rows.
func (t *table) readBlock(buf *[]byte, s span) ([]byte, error) {
	if cap(*buf) < int(s.len) {
		*buf = make([]byte, max(int(s.len), blockSize+blockSize/4))
	}
	raw := (*buf)[:s.len]
	if _, err := t.src.ReadAt(raw, int64(s.off)); err != nil {
		return nil, fmt.Errorf("%s: %w", t.path, err)
	}
	rows, err := openBlock(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: block at %d: %w", t.path, s.off, err)
	}
	return rows, nil
}
