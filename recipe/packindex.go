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

// packIndexCount is how many entries the index of a pack has; 0 if there is none, or one that doesn't fit the pack.
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
	if count > uint64(end)/(packHeadSize+indexEntry) {
		return 0
	}
	return int(count)
}

// readPackIndex calls fn with the entries of a pack's index until it says false. It says false itself if there is no
// index, or one that doesn't fit the pack. Where a place points to is for the reader of the record to check.
func readPackIndex(r io.ReaderAt, size int64, fn func(e packEntry) bool) bool {
	count := packIndexCount(r, size)
	if count == 0 {
		return false
	}
	end := size - int64(packIndexTail)
	start := end - int64(count)*indexEntry
	entries := bufio.NewReaderSize(io.NewSectionReader(r, start, end-start), min(int(end-start), indexRead))
	for range count {
		raw, err := entries.Peek(indexEntry)
		if err != nil {
			return false
		}
		e := packEntry{id: [shortID]byte(raw), off: int64(binary.BigEndian.Uint64(raw[shortID:]))}
		_, _ = entries.Discard(indexEntry)
		if e.off < int64(len(packMagic)) || e.off > start-packHeadSize {
			return false
		}
		if !fn(e) {
			return true
		}
	}
	return true
}

// indexRead is how much of an index is read at a time.
const indexRead = 64 << 10
