package diskscan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// checkTables looks at the tables of a database before it is opened, since badger ends the process over
// one whose end is damaged. Its blocks are checked by badger, as they are read.
func checkTables(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := checkTable(name); err != nil {
			return fmt.Errorf("table %s: %w", filepath.Base(name), err)
		}
	}
	return nil
}

var errTable = errors.New("damaged")

// checkTable checks the end of a table: its index, the length of that, a checksum, and the length of that.
func checkTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	tail := tailReader{src: f, left: st.Size()}
	var sum pb.Checksum
	if err := proto.Unmarshal(tail.take(tail.length(maxTableSum)), &sum); err != nil {
		return errTable
	}
	index := tail.take(tail.length(maxTableIndex))
	if tail.err != nil {
		return tail.err
	}
	if _, known := pb.Checksum_Algorithm_name[int32(sum.Algo)]; !known || y.VerifyChecksum(index, &sum) != nil {
		return errTable
	}
	return nil
}

// Bounds of what a table of the index's settings has at its end.
const (
	maxTableSum   = 64
	maxTableIndex = 64 << 20
)

// tailReader reads a file from its end. Its first error sticks.
type tailReader struct {
	src  io.ReaderAt
	left int64
	err  error
}

func (t *tailReader) take(n int64) []byte {
	if t.err == nil && n > t.left {
		t.err = errTable
	}
	if t.err != nil {
		return nil
	}
	t.left -= n
	p := make([]byte, n)
	_, t.err = t.src.ReadAt(p, t.left)
	return p
}

// length reads the length that stands behind something.
func (t *tailReader) length(limit int64) int64 {
	raw := t.take(4)
	if t.err != nil {
		return 0
	}
	n := int64(binary.BigEndian.Uint32(raw))
	if n > limit {
		t.err = errTable
	}
	return n
}
