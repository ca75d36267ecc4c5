package recipe

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"math/bits"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A pack that was closed ends with an index, so that whoever opens it reads little of it:
//
//   - for each record, in the order of ids: the beginning of the id, and the record's place in 8 bytes big endian;
//   - a byte of each of these ids, its mark, in the same order;
//   - for each bucket, the ids that begin with the same bits, the number of ids up to its end in 4 bytes big endian;
//   - the number of ids in 8 bytes big endian; a magic.
//
// It looks like no record, so going through the records ends before it. Marks and buckets are held in memory: about 1.5
// bytes a record. They tell that an id is not there, but for one in 20 or so, and else where it stands in the index.
const (
	packIndexMagic = "DFNODESX"
	packIndexTail  = 8 + len(packIndexMagic)
	bucketIDs      = 8 // of a bucket at least, on the average; at most twice as many
	bucketSize     = 4 // bytes
	markByte       = shortID - 1
)

// packEntry is the place of a record in its pack.
type packEntry struct {
	id  [shortID]byte
	off int64
}

// bucketBits is how many bits the ids of a bucket share, if there are so many ids.
func bucketBits(ids int) int { return bits.Len(uint(ids / (2 * bucketIDs))) }

func bucketOf(id [shortID]byte, bits int) int {
	return int(binary.BigEndian.Uint64(id[:]) >> (64 - bits))
}

// appendPackIndex appends the index of entries, which it sorts.
func appendPackIndex(dst []byte, entries []packEntry) []byte {
	slices.SortFunc(entries, func(a, b packEntry) int { return bytes.Compare(a.id[:], b.id[:]) })
	bits := bucketBits(len(entries))
	ends := make([]uint32, 1<<bits)
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint64(append(dst, e.id[:]...), uint64(e.off))
		ends[bucketOf(e.id, bits)]++
	}
	for _, e := range entries {
		dst = append(dst, e.id[markByte])
	}
	var sum uint32
	for _, n := range ends {
		sum += n
		dst = binary.BigEndian.AppendUint32(dst, sum)
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(entries)))
	return append(dst, packIndexMagic...)
}

// packIndex is the index of a pack. The zero value is an empty one.
type packIndex struct {
	src   io.ReaderAt
	start int64 // of the entries in src
	marks []byte
	ends  []byte
	bits  int
}

// len is how many ids there are.
func (x *packIndex) len() int { return len(x.marks) }

// openPackIndex opens the index at the end of a pack of size bytes, unless it has more ids than most. It says false if there is
// none, or one that doesn't fit the pack.
func openPackIndex(r io.ReaderAt, size int64, most int) (packIndex, bool) {
	count := packIndexCount(r, size)
	if count == 0 || count > most {
		return packIndex{}, false
	}
	x := packIndex{src: r, bits: bucketBits(count)}
	held := int64(count) + bucketSize<<x.bits
	x.start = size - int64(packIndexTail) - held - int64(count)*indexEntry
	if x.start < 0 {
		return packIndex{}, false
	}
	raw := make([]byte, held)
	if n, _ := r.ReadAt(raw, x.start+int64(count)*indexEntry); n < len(raw) {
		return packIndex{}, false
	}
	x.marks, x.ends = raw[:count:count], raw[count:]
	return x, x.sound()
}

// packIndexCount is how many ids the index of a pack has; 0 if there is none, or one that doesn't fit the pack.
func packIndexCount(r io.ReaderAt, size int64) int {
	var tail [packIndexTail]byte
	end := size - int64(len(tail))
	if end < 0 {
		return 0
	}
	if n, _ := r.ReadAt(tail[:], end); n < len(tail) || string(tail[8:]) != packIndexMagic {
		return 0
	}
	count := binary.BigEndian.Uint64(tail[:])
	if count > uint64(end)/(indexEntry+1) || count > math.MaxInt32 {
		return 0
	}
	return int(count)
}

// sound says whether the buckets follow one another.
func (x *packIndex) sound() bool {
	last := 0
	for b := range 1 << x.bits {
		end := x.end(b)
		if end < last || end > len(x.marks) {
			return false
		}
		last = end
	}
	return last == len(x.marks)
}

// end is how many ids there are in the buckets up to b.
func (x *packIndex) end(b int) int {
	return int(binary.BigEndian.Uint32(x.ends[bucketSize*b:]))
}

// find is the place of a record. Where it points to is for the reader of the record to check.
func (x *packIndex) find(id [shortID]byte) (off int64, ok bool) {
	if x.len() == 0 {
		return 0, false
	}
	b := bucketOf(id, x.bits)
	at := 0
	if b > 0 {
		at = x.end(b - 1)
	}
	for end := x.end(b); ; at++ {
		next := bytes.IndexByte(x.marks[at:end], id[markByte])
		if next < 0 {
			return 0, false
		}
		at += next
		if e, err := x.entry(at); err == nil && e.id == id {
			return e.off, e.off >= 0
		}
	}
}

// entry reads an entry.
func (x *packIndex) entry(i int) (e packEntry, err error) {
	var raw [indexEntry]byte
	if n, err := x.src.ReadAt(raw[:], x.start+int64(i)*indexEntry); n < len(raw) {
		return e, err
	}
	return packEntry{[shortID]byte(raw[:]), int64(binary.BigEndian.Uint64(raw[shortID:]))}, nil
}

// scanned are the records of a pack that has no index, at most so many and those before stop says true, and where they end: the pack
// was not closed.
func scanned(r io.ReaderAt, size int64, most int, stop func() bool) (entries []packEntry, end int64) {
	end = int64(len(packMagic))
	scanPack(r, size, func(h packHead, off int64) bool {
		entries = append(entries, packEntry{[shortID]byte(h.id[:]), off})
		end = off + packHeadSize + int64(h.encLen)
		return len(entries) < most && !stop()
	})
	return entries, end
}

// indexOf is an index in memory.
func indexOf(entries []packEntry) packIndex {
	raw := appendPackIndex(nil, entries)
	x, _ := openPackIndex(bytes.NewReader(raw), int64(len(raw)), len(entries))
	return x
}

// mendPack puts an index behind the records of a pack, of which the last one ends there, in the place of what follows. It gives the
// index, to be read from the pack; false if the pack is still written to, or can't be written.
func mendPack(p packFile, entries []packEntry, end int64) (x packIndex, ok bool) {
	if len(entries) == 0 {
		return x, false
	}
	f, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return x, false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != p.size || unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return x, false
	}
	raw := appendPackIndex(nil, entries)
	if f.Truncate(end) != nil {
		return x, false
	}
	if _, err := f.WriteAt(raw, end); err != nil {
		return x, false // what came of it is no index, so the records are gone through again
	}
	_ = os.Chtimes(p.path, time.Time{}, p.mtime) // it is as old as it was
	return openPackIndex(f, end+int64(len(raw)), len(entries))
}
