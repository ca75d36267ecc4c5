package diskscan

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"dfetch/diskscan/lsm"
)

// settleTime is how long a file must have been left alone before its chunks are noted: one that changes in
// the moment of the reading may keep the times that it has.
const settleTime = 2 * time.Second

// leaseSize is how many file numbers are noted as given out at once.
const leaseSize = 1024

// indexed is what the index knows of a file that is being hashed.
type indexed struct {
	file   fileID // 0: its chunks are not noted
	sparse bool
	known  bool  // all of its chunks were noted before
	lost   int64 // writes that had failed before its first chunk was noted
}

// add notes the chunks of the next slice of a file whose hashing has come to at. done: it was the last one.
// The chunks belong to the index from now on.
func (x *Index) add(path string, at *HashState, chunks []Chunk, done bool) indexed {
	in := at.indexed
	if at.Offset == 0 && !at.InHole {
		in = x.begin(path, at.stamp)
	}
	if in.file == 0 || in.known {
		return in
	}
	if in.lost != x.failures.Load() || x.db.Size() > x.cfg.Max+x.cfg.Max/8 {
		return indexed{} // some of its chunks may be lost, so it must not count as noted; or the file alone is too large
	}
	row := fileRow{stamp: at.stamp, path: path, done: done, sparse: in.sparse}
	from := at.Offset
	ok := x.submit(func(b *lsm.Batch) {
		if from == 0 || done {
			x.writeFile(b, in.file, &row)
		}
		x.writeChunks(b, in, from, chunks)
	})
	if !ok {
		return indexed{}
	}
	return in
}

// begin decides whether and how a file's chunks are noted, and under which number.
func (x *Index) begin(path string, s stamp) indexed {
	used := x.db.Size()
	if len(path) > maxPath || x.isYoung(s.mtime) {
		return indexed{}
	}
	if id, row, same := x.version(s); same && row.path == path {
		return indexed{file: id, sparse: row.sparse, known: row.done, lost: x.failures.Load()}
	}
	if x.Full() {
		x.dropped.Add(1)
		return indexed{}
	}
	return indexed{file: fileID(x.next.Add(1) - 1), sparse: used >= x.cfg.Max/4*3, lost: x.failures.Load()}
}

// isYoung says whether a file that was modified then may still be changing.
func (x *Index) isYoung(mtime int64) bool { return x.now().UnixNano()-mtime < int64(settleTime) }

// isFuture says whether a file seems to have been modified later than now.
func (x *Index) isFuture(mtime int64) bool { return mtime > x.now().UnixNano() }

// writeFile writes the row of a file and makes it the newest version of its inode. The version before is
// dropped, with all of its chunks.
func (x *Index) writeFile(b *lsm.Batch, id fileID, row *fileRow) {
	x.lease(b, id)
	key := inodeKey(x.profile, row.stamp)
	if raw, ok := x.get(key); ok && len(raw) == 8 {
		if old := fileID(binary.BigEndian.Uint64(raw)); old != id {
			b.Delete(fileKey(old))
		}
	}
	b.Set(key, binary.BigEndian.AppendUint64(nil, uint64(id)))
	b.Set(fileKey(id), row.encode())
}

// lease notes file numbers as given out before the first of them is used.
func (x *Index) lease(b *lsm.Batch, id fileID) {
	if uint64(id) < x.leased {
		return
	}
	x.leased = max(uint64(id), x.next.Load()) + leaseSize
	b.Set([]byte{rowNext}, binary.BigEndian.AppendUint64(nil, x.leased))
}

// maxSlice bounds the chunks of a slice row: a profile may have tiny ones.
const maxSlice = 2048

// writeChunks writes the rows of chunks; in sparse mode those of few, and one that holds all in brief.
func (x *Index) writeChunks(b *lsm.Batch, in indexed, from int64, chunks []Chunk) {
	for _, c := range chunks {
		if in.sparse && !isSparse(c.ID) {
			continue
		}
		p := place{file: in.file, off: c.Offset, len: c.Len}
		b.Set(chunkKey(x.profile, c.ID), p.encode())
	}
	for in.sparse && len(chunks) > 0 {
		part := chunks[:min(len(chunks), maxSlice)]
		b.Set(sliceKey(in.file, from), encodeSlice(part, from))
		last := part[len(part)-1]
		from, chunks = last.Offset+int64(last.Len), chunks[len(part):]
	}
}

// makeRoom drops the rows that lead to versions of files that the index knows no more: a full index would take nothing else.
func (x *Index) makeRoom() {
	known := map[fileID]bool{}
	err := x.db.Scan([]byte{rowFile}, func(key, _ []byte) error {
		if len(key) == 9 {
			known[fileID(binary.BigEndian.Uint64(key[1:]))] = true
		}
		return nil
	})
	if err == nil {
		x.db.Compact(func(key, value []byte) bool { id, ok := leadsTo(key, value); return !ok || known[id] })
	}
}

// leadsTo is the version of a file that a row is about; false if it is about none.
func leadsTo(key, value []byte) (fileID, bool) {
	switch {
	case key[0] == rowChunk:
		p, _ := decodePlace(value)
		return p.file, true
	case key[0] == rowInode && len(value) == 8:
		return fileID(binary.BigEndian.Uint64(value)), true
	case key[0] == rowSlice && len(key) == 17:
		return fileID(binary.BigEndian.Uint64(key[1:])), true
	}
	return 0, false
}

// AddRoot notes a directory that the user had indexed.
func (x *Index) AddRoot(ctx context.Context, path string) error {
	return x.submitLast(ctx, change{write: func(b *lsm.Batch) { b.Set(rootKey(path), nil) }})
}

// RemoveRoot drops a directory, and all files below it that lie in no other indexed directory. It says
// whether the directory was one that the user had indexed.
func (x *Index) RemoveRoot(ctx context.Context, path string) (bool, error) {
	roots, err := x.Roots(ctx)
	if err != nil {
		return false, err
	}
	found := false
	var rest []string
	for _, r := range roots {
		if r == path {
			found = true
		} else {
			rest = append(rest, r)
		}
	}
	if !found {
		return false, nil
	}
	err = x.submitLast(ctx, change{write: func(b *lsm.Batch) { b.Delete(rootKey(path)) }})
	if err != nil {
		return true, err
	}
	return true, x.dropFiles(ctx, func(row *fileRow) bool { return within(row.path, path) && !withinAny(row.path, rest) })
}

func withinAny(path string, dirs []string) bool {
	for _, dir := range dirs {
		if within(path, dir) {
			return true
		}
	}
	return false
}

// dropFiles drops the versions of files that drop says.
func (x *Index) dropFiles(ctx context.Context, drop func(*fileRow) bool) error {
	return x.scan(ctx, []byte{rowFile}, func(key, value []byte) error {
		row, ok := decodeFile(value)
		if ok && !drop(&row) {
			return nil
		}
		k := bytes.Clone(key)
		return x.submitLast(ctx, change{write: func(b *lsm.Batch) { b.Delete(k) }})
	})
}

// holds says whether all chunks of a file that looks so are noted.
func (x *Index) holds(path string, s stamp) bool {
	_, row, same := x.version(s)
	return same && row.done && row.path == path
}
