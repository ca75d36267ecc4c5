package recipe

import (
	"bufio"
	"encoding/binary"
	"io"
)

// A pack that was closed ends with an index, so that whoever opens it need not go from record to record: an entry for
// each record, the beginning of its id and its place in 8 bytes big endian; the number of entries in 8 bytes; a magic.
// It looks like no record, so going through the records ends before it.
const (
	packIndexMagic = "DFNODESX"
	packIndexTail  = 8 + len(packIndexMagic)
)

// packEntry is the place of a record in its pack.
type packEntry struct {
	id  [shortID]byte
	off int64
}

func appendPackIndex(dst []byte, entries []packEntry) []byte {
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint64(append(dst, e.id[:]...), uint64(e.off))
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(entries)))
	return append(dst, packIndexMagic...)
}

// readPackIndex calls fn with the entries of a pack's index until it says false. It says false itself if there is no
// index, or one that doesn't fit the pack. Where a place points to is for the reader of the record to check.
func readPackIndex(r io.ReaderAt, size int64, fn func(e packEntry) bool) bool {
	var tail [packIndexTail]byte
	end := size - int64(len(tail))
	if end < 0 {
		return false
	}
	if n, _ := r.ReadAt(tail[:], end); n < len(tail) || string(tail[8:]) != packIndexMagic {
		return false
	}
	count := binary.BigEndian.Uint64(tail[:])
	if count > uint64(end)/(packHeadSize+indexEntry) {
		return false
	}
	start := end - int64(count)*indexEntry
	entries := bufio.NewReader(io.NewSectionReader(r, start, end-start))
	var raw [indexEntry]byte
	for range count {
		if _, err := io.ReadFull(entries, raw[:]); err != nil {
			return false
		}
		e := packEntry{id: [shortID]byte(raw[:shortID]), off: int64(binary.BigEndian.Uint64(raw[shortID:]))}
		if e.off < int64(len(packMagic)) || e.off > start-packHeadSize {
			return false
		}
		if !fn(e) {
			return true
		}
	}
	return true
}
