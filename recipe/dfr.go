package recipe

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"

	"golang.org/x/sys/unix"
)

// A .dfr file is
//
//	magic        \x89DFR1\r\n\x1a
//	root         a record
//	nodes        a record each, in pre-order, each distinct node once; none in a thin file
//	attachments  CBOR
//	index        for each node the first 16 bytes of its id and the 8 bytes of its offset, sorted
//	footer       offset and length of the attachments, offset of the index, number of nodes,
//	             checksum of everything from the attachments on, magic "DFR1END\n"
//
// A record is uvarint raw length, uvarint encoded length, and the bytes of EncodeNode. Numbers of
// the index and footer are 8 bytes, big endian.
const (
	fileMagic  = "\x89DFR1\r\n\x1a"
	endMagic   = "DFR1END\n"
	footerSize = 6 * 8
	shortID    = 16
	indexEntry = shortID + 8
)

// File is a recipe on disk, opened for random access. It may be used from several goroutines.
type File struct {
	r      io.ReaderAt
	closer io.Closer
	name   string

	rawRoot     []byte
	root        *Root
	id          ID
	attachments []Attachment
	index       []byte
	end         int64 // where the nodes end
	cache       *Recent[[]byte]
}

// OpenFile opens a .dfr file. The root, the attachments and the index are read and checked; nodes
// are read and checked when they are asked for. Close closes the file.
func OpenFile(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a fifo is refused, not waited for
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("recipe: %s is not a regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	out, err := OpenReaderAt(f, st.Size(), path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	out.closer = f
	return out, nil
}

// OpenReaderAt is OpenFile for size bytes of r, which must not change. Errors call it name.
func OpenReaderAt(r io.ReaderAt, size int64, name string) (*File, error) {
	f := &File{r: r, name: name, cache: NewRecent[[]byte](rawCacheSize)}
	if err := f.open(size); err != nil {
		return nil, f.wrap(err)
	}
	return f, nil
}

func (f *File) wrap(err error) error { return fmt.Errorf("%s: %w", f.name, err) }

func (f *File) open(size int64) error {
	head := make([]byte, len(fileMagic))
	if _, err := f.r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case string(head) != fileMagic:
		return bad("", "not a recipe file")
	case size < int64(len(fileMagic)+footerSize):
		return bad("", "recipe file is cut short")
	}
	if err := f.readTrailer(size); err != nil {
		return err
	}
	raw, err := f.record(int64(len(fileMagic)))
	if err != nil {
		return err
	}
	if f.root, err = DecodeRoot(raw); err != nil {
		return err
	}
	f.rawRoot, f.id = raw, RootID(raw, f.root.Hash)
	return nil
}

// readTrailer reads what lies behind the nodes.
func (f *File) readTrailer(size int64) error {
	foot := make([]byte, footerSize)
	if err := f.readFull(foot, size-footerSize); err != nil {
		return err
	}
	if string(foot[footerSize-8:]) != endMagic {
		return bad("", "recipe file is cut short")
	}
	var n [5]uint64
	for i := range n {
		if n[i] = binary.BigEndian.Uint64(foot[8*i:]); i < 4 && n[i] > uint64(size) {
			return bad("", "recipe file's footer points outside of it")
		}
	}
	attachOff, attachLen, indexOff, count := int64(n[0]), int64(n[1]), int64(n[2]), int64(n[3])
	switch {
	case attachLen > MaxAttachments:
		return over("attachments", "", MaxAttachments, int(attachLen))
	case attachOff < int64(len(fileMagic)) || attachOff+attachLen != indexOff || count > math.MaxInt64/indexEntry ||
		indexOff+count*indexEntry != size-footerSize:
		return bad("", "recipe file's footer does not fit its length")
	}
	tail := make([]byte, size-8-8-attachOff)
	if err := f.readFull(tail, attachOff); err != nil {
		return err
	}
	if tailSum(tail) != n[4] {
		return bad("", "recipe file's attachments or index are damaged")
	}
	var err error
	f.end, f.index = attachOff, tail[attachLen:attachLen+count*indexEntry]
	f.attachments, err = DecodeAttachments(tail[:attachLen])
	return err
}

func tailSum(tail []byte) uint64 { return BLAKE3.Chunk(tail).low64() }

func (f *File) readFull(b []byte, off int64) error {
	n, err := f.r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return bad("", "recipe file is cut short")
	}
	return err
}

// firstRead is how much of a record is read before its length is known.
const firstRead = 4 << 10

// record reads the record at off.
func (f *File) record(off int64) ([]byte, error) {
	buf := make([]byte, min(firstRead, f.end-off))
	if err := f.readFull(buf, off); err != nil {
		return nil, err
	}
	r := byteReader{raw: buf}
	rawLen, encLen := r.uvarint(), r.uvarint()
	switch {
	case r.bad != "" || rawLen == 0 || encLen > rawLen:
		return nil, bad("", "damaged record at offset %d", off)
	case rawLen > MaxNode:
		return nil, &LimitError{What: "node", Limit: MaxNode, Got: rawLen}
	case encLen > uint64(f.end-off)-uint64(r.pos):
		return nil, bad("", "record at offset %d is cut short", off)
	}
	enc := make([]byte, encLen)
	n := copy(enc, buf[r.pos:])
	if err := f.readFull(enc[n:], off+int64(r.pos+n)); n < len(enc) && err != nil {
		return nil, err
	}
	return DecodeNode(enc, int(rawLen))
}

// find is the offset of a node.
func (f *File) find(id ID) (int64, bool) {
	n := len(f.index) / indexEntry
	i := sort.Search(n, func(i int) bool {
		return bytes.Compare(f.index[i*indexEntry:i*indexEntry+shortID], id[:shortID]) >= 0
	})
	if i == n || !bytes.Equal(f.index[i*indexEntry:i*indexEntry+shortID], id[:shortID]) {
		return 0, false
	}
	off := binary.BigEndian.Uint64(f.index[i*indexEntry+shortID:])
	return int64(off), true
}

// Has says whether the file holds a node.
func (f *File) Has(id ID) bool {
	_, ok := f.find(id)
	return ok
}

// Node reads a node and checks it. The error is ErrNotFound if the file does not hold it.
func (f *File) Node(ctx context.Context, kind Kind, id ID) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if raw, ok := f.cache.Get(id); ok {
		return raw, nil
	}
	off, ok := f.find(id)
	switch {
	case !ok || !kind.valid():
		return nil, f.wrap(fmt.Errorf("%s node %s: %w", kind, FormatID(f.root.Hash, id), ErrNotFound))
	case off < int64(len(fileMagic)) || off >= f.end:
		return nil, f.wrap(bad("", "index points outside of the nodes"))
	}
	raw, err := f.record(off)
	if err != nil {
		return nil, f.wrap(err)
	}
	if f.root.Hash.Node(kind, raw) != id {
		return nil, f.wrap(bad("", "%s node %s is damaged", kind, FormatID(f.root.Hash, id)))
	}
	f.cache.Add(id, raw, len(raw))
	return raw, nil
}

// Root is the recipe's root. It must not be modified.
func (f *File) Root() *Root { return f.root }

// RawRoot is the root node. It must not be modified.
func (f *File) RawRoot() []byte { return f.rawRoot }

// ID is the recipe's id.
func (f *File) ID() ID { return f.id }

// Attachments are what goes with the recipe. They must not be modified.
func (f *File) Attachments() []Attachment { return f.attachments }

// Thin says whether the file holds the root alone, although the tree has more nodes.
func (f *File) Thin() bool {
	return len(f.index) == 0 && entryChildren(&f.root.Top, func(Kind, ID) error { return SkipAll }) != nil
}

// Close closes the file. It may be called twice.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	c := f.closer
	f.closer = nil
	return c.Close()
}
