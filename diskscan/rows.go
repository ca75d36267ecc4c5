package diskscan

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/zeebo/blake3"

	"dfetch/recipe"
)

// The rows of the index. Numbers in keys are big endian, in values uvarints.
//
//	F file                → version of a file: where it is, how it looked, how it was cut
//	I fs ino profile      → file, its newest version
//	C profile id[0:16]    → file, offset, length of a chunk
//	L file offset         → the chunks of a slice, by the first bytes of their ids; sparse mode
//	G path                → a directory that the user had indexed
//	M                     → the lowest file number that was never given out
//	X                     → how large the index may get
const (
	rowFile  = 'F'
	rowInode = 'I'
	rowChunk = 'C'
	rowSlice = 'L'
	rowRoot  = 'G'
	rowNext  = 'M'
	rowMax   = 'X'
)

// idPrefix is how much of a chunk's id its key holds, briefPrefix how much a slice row holds.
const (
	idPrefix    = 16
	briefPrefix = 6
)

// maxPath bounds the path in a row.
const maxPath = 4096

// fileID is the number under which the index knows a version of a file. Numbers are never reused.
type fileID uint64

// profileKey tells apart how files were cut and hashed.
type profileKey [4]byte

func keyOfProfile(p recipe.Profile, h recipe.Hash) (k profileKey) {
	b := append([]byte(p.Name), 0, byte(h), p.AvgBits)
	b = binary.BigEndian.AppendUint64(b, p.Polynomial)
	b = binary.BigEndian.AppendUint32(b, p.Min)
	b = binary.BigEndian.AppendUint32(b, p.Max)
	sum := blake3.Sum256(b)
	copy(k[:], sum[:])
	return k
}

func fileKey(id fileID) []byte { return binary.BigEndian.AppendUint64([]byte{rowFile}, uint64(id)) }

func inodeKey(p profileKey, s stamp) []byte {
	k := binary.BigEndian.AppendUint64([]byte{rowInode}, s.fs)
	return append(binary.BigEndian.AppendUint64(k, s.ino), p[:]...)
}

func chunkKey(p profileKey, id recipe.ID) []byte {
	return append(append([]byte{rowChunk}, p[:]...), id[:idPrefix]...)
}

func slicePrefix(id fileID) []byte {
	return binary.BigEndian.AppendUint64([]byte{rowSlice}, uint64(id))
}

func sliceKey(id fileID, off int64) []byte {
	return binary.BigEndian.AppendUint64(slicePrefix(id), uint64(off))
}

func rootKey(path string) []byte { return append([]byte{rowRoot}, path...) }

// isSparse says whether a chunk keeps its own row in sparse mode: one of 64 does. The low bits of an
// id are those of its first 8 bytes, little endian.
func isSparse(id recipe.ID) bool { return id[0]&63 == 0 }

// fileRow is a version of a file.
type fileRow struct {
	stamp  stamp
	done   bool // all of its chunks were noted
	sparse bool // its chunks are in slice rows, and few of them in rows of their own
	path   string
}

func (f *fileRow) encode() []byte {
	flags := uint64(0)
	if f.done {
		flags |= 1
	}
	if f.sparse {
		flags |= 2
	}
	b := binary.AppendUvarint(nil, flags)
	b = binary.AppendUvarint(b, f.stamp.fs)
	b = binary.AppendUvarint(b, f.stamp.ino)
	b = binary.AppendUvarint(b, uint64(f.stamp.size))
	b = binary.AppendVarint(b, f.stamp.mtime)
	b = binary.AppendVarint(b, f.stamp.ctime)
	return append(b, f.path...)
}

// decodeFile reads a file row; false if it is not one.
func decodeFile(raw []byte) (fileRow, bool) {
	r := rowReader{raw: raw}
	flags := r.uvarint()
	f := fileRow{done: flags&1 != 0, sparse: flags&2 != 0}
	f.stamp = stamp{fs: r.uvarint(), ino: r.uvarint(), size: r.size(), mtime: r.varint(), ctime: r.varint()}
	if r.bad || flags > 3 || len(r.raw) == 0 || len(r.raw) > maxPath || r.raw[0] != '/' || bytes.IndexByte(r.raw, 0) >= 0 {
		return fileRow{}, false
	}
	f.path = string(r.raw)
	return f, true
}

// place is where a chunk lies.
type place struct {
	file fileID
	off  int64
	len  int
}

func (p place) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(p.file))
	b = binary.AppendUvarint(b, uint64(p.off))
	return binary.AppendUvarint(b, uint64(p.len))
}

// decodePlace reads a chunk row; false if it is not one.
func decodePlace(raw []byte) (place, bool) {
	r := rowReader{raw: raw}
	p := place{file: fileID(r.uvarint()), off: r.size(), len: r.chunkLen()}
	return p, !r.bad && len(r.raw) == 0 && p.off <= math.MaxInt64-int64(p.len)
}

// brief is a chunk in a slice row.
type brief struct {
	id  [briefPrefix]byte
	off int64
	len int
}

// encodeSlice makes the row of chunks that are sorted by offset, the first at or after from.
func encodeSlice(chunks []Chunk, from int64) []byte {
	var b []byte
	for _, c := range chunks {
		b = append(b, c.ID[:briefPrefix]...)
		b = binary.AppendUvarint(b, uint64(c.Offset-from))
		b = binary.AppendUvarint(b, uint64(c.Len))
		from = c.Offset + int64(c.Len)
	}
	return b
}

// decodeSlice calls fn for each chunk of a slice row, until the row ends or is damaged.
func decodeSlice(raw []byte, from int64, fn func(brief)) bool {
	r := rowReader{raw: raw}
	for len(r.raw) > 0 {
		var b brief
		copy(b.id[:], r.take(briefPrefix))
		gap := r.size()
		b.len = r.chunkLen()
		if r.bad || gap > math.MaxInt64-from-int64(b.len) {
			return false
		}
		b.off = from + gap
		from = b.off + int64(b.len)
		fn(b)
	}
	return true
}

// rowReader reads the numbers of a row. Its first error sticks.
type rowReader struct {
	raw []byte
	bad bool
}

func (r *rowReader) take(n int) []byte {
	if n > len(r.raw) {
		r.bad, r.raw = true, nil
		return nil
	}
	got := r.raw[:n]
	r.raw = r.raw[n:]
	return got
}

func (r *rowReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.raw)
	r.take(max(n, 0))
	r.bad = r.bad || n <= 0
	return v
}

func (r *rowReader) varint() int64 {
	v, n := binary.Varint(r.raw)
	r.take(max(n, 0))
	r.bad = r.bad || n <= 0
	return v
}

// size is a number that is not negative as an int64.
func (r *rowReader) size() int64 {
	v := r.uvarint()
	r.bad = r.bad || v > math.MaxInt64
	return int64(v & math.MaxInt64)
}

// chunkLen is the length of a chunk.
func (r *rowReader) chunkLen() int {
	v := r.uvarint()
	r.bad = r.bad || v == 0 || v > recipe.MaxChunk
	return int(min(v, recipe.MaxChunk))
}

// sliceOffset is the offset in the key of a slice row.
func sliceOffset(key []byte) (int64, bool) {
	if len(key) != 17 || key[0] != rowSlice {
		return 0, false
	}
	off := binary.BigEndian.Uint64(key[9:])
	return int64(off), off <= math.MaxInt64
}
