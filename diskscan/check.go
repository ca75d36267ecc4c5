package diskscan

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/diskscan/lsm"
	"dfetch/recipe"
)

// maxHitFiles bounds the files that one Check confirms, maxBriefs the rows of sparse files that it reads, maxWide these files.
const (
	maxHitFiles = 100_000
	maxBriefs   = 20_000
	maxWide     = 200
)

// Sweep is what one Check found.
type Sweep struct {
	Runs    []Run // by file, then by offset
	Hits    int   // ids for which a run has a chunk
	Bytes   int64 // of these
	Stale   int   // ids whose file has changed or is gone
	Outside int   // ids whose file lies in none of the scope's roots, may not be read, or is on a disk that does not answer
	Private int   // ids whose file would be read for a trusted recipe
	Silent  []Dir // in which disks were found not to answer
	Cost    time.Duration
}

// Run is a stretch of a file that holds wanted chunks, to be read at one go.
type Run struct {
	File   File
	Offset int64   // of the first chunk
	Len    int64   // to the end of the last chunk, gaps included
	Bytes  int64   // of the chunks
	Chunks []Chunk // by offset

	id    fileID // 0: the run did not come from the index
	stamp stamp
}

// Check looks ids up in the index, sorted as they are or not, and confirms by their metadata that the files
// of the hits are what they were. An id is found in one file at most. Without an index nothing is found.
func (d *Disk) Check(ctx context.Context, ids []recipe.ID) (Sweep, error) {
	start := time.Now()
	var s Sweep
	d.count.check.Add(1)
	d.count.checked.Add(int64(len(ids)))
	hits, err := d.lookup(ctx, ids)
	if err == nil {
		err = d.confirm(ctx, hits, &s)
	}
	s.Cost = time.Since(start)
	d.count.stale.Add(int64(s.Stale))
	d.count.untrusted.Add(int64(s.Private))
	if err != nil {
		d.countError(ctx, err)
	}
	return s, err
}

// hits are chunks by the version of the file that they lie in.
type hits map[fileID][]Chunk

// ids are those of all chunks.
func (h hits) ids() map[recipe.ID]bool {
	ids := map[recipe.ID]bool{}
	for _, chunks := range h {
		for _, c := range chunks {
			ids[c.ID] = true
		}
	}
	return ids
}

// lookup asks the index, on a goroutine of its own since the index lies on a disk too.
func (d *Disk) lookup(ctx context.Context, ids []recipe.ID) (h hits, err error) {
	if d.index == nil {
		return nil, nil
	}
	err = d.run(ctx, indexDevice, func(o *operation) error {
		got, err := d.index.lookup(o, ids)
		return errors.Join(err, o.tell(func() { h = got }))
	})
	return h, err
}

// indexDevice stands for the disk of the index among the devices.
const indexDevice = 0

// lookup finds ids in one sweep, in the order of their rows. The hits of a file are in the order of ids.
func (x *Index) lookup(o *operation, ids []recipe.ID) (hits, error) {
	places := make([]place, len(ids))
	if err := x.findAll(o, ids, places); err != nil {
		return nil, err
	}
	h := gather(ids, places)
	return h, x.widen(o, h, ids)
}

// findAll notes the place of each id; that of one that is not known has no length.
func (x *Index) findAll(o *operation, ids []recipe.ID, places []place) error {
	rows := x.db.Finder()
	defer rows.Close()
	key := chunkKey(x.profile, recipe.ID{})
	for n, r := range rank(ids) {
		if n%64 == 0 {
			if err := o.step(); err != nil {
				return err
			}
		}
		copy(key[len(key)-idPrefix:], ids[r.at][:])
		if p, ok := x.find(rows, key); ok {
			places[r.at] = p
		}
	}
	return nil
}

// ranked is where an id stands in a list, and how it begins.
type ranked struct {
	begin uint64
	at    int
}

// rank sorts ids. Moving the ids themselves would take longer.
func rank(ids []recipe.ID) []ranked {
	out := make([]ranked, len(ids))
	for i, id := range ids {
		out[i] = ranked{binary.BigEndian.Uint64(id[:]), i}
	}
	slices.SortFunc(out, func(a, b ranked) int {
		if a.begin != b.begin {
			return cmp.Compare(a.begin, b.begin)
		}
		return compareIDs(ids[a.at], ids[b.at])
	})
	return out
}

// gather lists places by the file.
func gather(ids []recipe.ID, places []place) hits {
	h := hits{}
	for i := 0; i < len(places); {
		n := i + 1
		for n < len(places) && places[n].file == places[i].file {
			n++
		}
		if places[i].len > 0 && (len(h) < maxHitFiles || h[places[i].file] != nil) {
			h.add(places[i].file, ids[i:n], places[i:n])
		}
		i = n
	}
	return h
}

// add notes chunks of one file.
func (h hits) add(file fileID, ids []recipe.ID, at []place) {
	chunks := slices.Grow(h[file], len(ids))
	for i, p := range at {
		if p.len > 0 {
			chunks = append(chunks, Chunk{ID: ids[i], Offset: p.off, Len: p.len})
		}
	}
	h[file] = chunks
}

func compareIDs(a, b recipe.ID) int { return bytes.Compare(a[:], b[:]) }

// find reads the row of a chunk. One that is damaged is none.
func (x *Index) find(rows *lsm.Finder, key []byte) (place, bool) {
	raw, found, err := rows.Get(key)
	if !found || err != nil {
		return place{}, false
	}
	return decodePlace(raw)
}

// widen looks into the slice rows of the sparse files among the hits: what lies around the chunk that led
// there. What these rows say of an id is a guess by its first bytes.
func (x *Index) widen(o *operation, h hits, ids []recipe.ID) error {
	var found map[recipe.ID]bool
	var sorted []recipe.ID
	left, files := maxBriefs, 0
	for _, file := range sortedFiles(h) {
		if left <= 0 || files == maxWide {
			return nil
		}
		if row, ok := x.file(file); !ok || !row.sparse {
			continue
		}
		files++
		if found == nil {
			found, sorted = h.ids(), slices.SortedFunc(slices.Values(ids), compareIDs)
		}
		err := x.scan(o.ctx, slicePrefix(file), func(key, raw []byte) error {
			if left--; left < 0 {
				return errEnough
			}
			widenBy(key, raw, file, h, sorted, found)
			return o.step()
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
	}
	return nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough rows were read")

// widenBy adds the chunks of one slice row whose ids are asked for.
func widenBy(key, raw []byte, file fileID, h hits, ids []recipe.ID, found map[recipe.ID]bool) {
	from, ok := sliceOffset(key)
	if !ok {
		return
	}
	decodeSlice(raw, from, func(b brief) {
		id, ok := findBrief(ids, b.id)
		if ok && !found[id] {
			found[id] = true
			h[file] = append(h[file], Chunk{ID: id, Offset: b.off, Len: b.len})
		}
	})
}

// findBrief finds the first of the sorted ids that begins so.
func findBrief(ids []recipe.ID, b [briefPrefix]byte) (recipe.ID, bool) {
	i, ok := slices.BinarySearchFunc(ids, b, func(id recipe.ID, b [briefPrefix]byte) int {
		return bytes.Compare(id[:briefPrefix], b[:])
	})
	if !ok {
		return recipe.ID{}, false
	}
	return ids[i], true
}

func sortedFiles(h hits) []fileID {
	files := make([]fileID, 0, len(h))
	for f := range h {
		files = append(files, f)
	}
	slices.Sort(files)
	return files
}

// confirm turns the hits in files that are what they were into runs.
func (d *Disk) confirm(ctx context.Context, h hits, s *Sweep) error {
	for _, id := range sortedFiles(h) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.confirmHits(ctx, id, h[id], s)
	}
	return nil
}

// confirmHits turns the hits in one version of a file into runs, unless its device does not answer.
func (d *Disk) confirmHits(ctx context.Context, id fileID, chunks []Chunk, s *Sweep) {
	row, ok := d.index.file(id)
	if !ok {
		s.Stale += len(chunks)
		d.index.forgetChunks(id, chunks)
		return
	}
	f, ok := d.scope.locate(row.path)
	if !ok && d.scope.isPrivate(row.path) {
		s.Private += len(chunks)
		return
	}
	if !ok || d.devices.get(d.scope.Device(f.Dir)).hangs() {
		s.Outside += len(chunks)
		return
	}
	f, err := d.confirmFile(ctx, f, row.stamp)
	switch {
	case err == nil:
		s.add(f, id, row.stamp, chunks, d.gap(f.Dir))
	case errors.Is(err, ErrOutside):
		s.Private += len(chunks)
	case isDenied(err):
		s.Outside += len(chunks)
		d.countError(ctx, err)
	case isGone(err):
		s.Stale += len(chunks)
		d.index.forget(id)
	case errors.Is(err, ErrStalled):
		s.Outside += len(chunks)
		s.Silent = append(s.Silent, f.Dir)
	default:
		d.countError(ctx, err)
	}
}

// errStale says that a file is not what the index knows.
var errStale = errors.New("file has changed since it was indexed")

// isGone says whether an error means that a file is not there any more as the index knew it.
func isGone(err error) bool {
	return errors.Is(err, errStale) || errors.Is(err, ErrNotRegular) ||
		errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}

// confirmFile opens a file of the scope and compares it with what the index knows.
func (d *Disk) confirmFile(ctx context.Context, f File, want stamp) (File, error) {
	f.Size, f.MTime, f.Ino = want.size, want.mtime, want.ino
	return f, d.run(ctx, d.scope.Device(f.Dir), func(o *operation) error {
		fd, err := d.openAsIndexed(f, want)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
}

// openAsIndexed opens a file if it looks as the index says.
func (d *Disk) openAsIndexed(f File, want stamp) (int, error) {
	var st unix.Stat_t
	fd, held, err := d.scope.openVersion(f, &st)
	if err != nil {
		return -1, err
	}
	now := stampOf(want.fs, &st)
	if same := now == want || held && now.sameContent(want); !same || d.scope.roots[f.Dir.Root].fs != want.fs {
		unix.Close(fd)
		return -1, errStale
	}
	return fd, nil
}

// maxRun bounds a run, gaps included.
const maxRun = 8 << 20

// gap is how many bytes between two chunks are read over rather than jumped over, on the device of a directory.
func (d *Disk) gap(dir Dir) int64 {
	const unknown, least, most = 256 << 10, 16 << 10, 1 << 20
	cost, ok := d.DeviceCost(dir)
	if !ok || cost.PerByte <= 0 {
		return unknown
	}
	return min(max(int64(cost.Seek.Seconds()/cost.PerByte), least), most)
}

// add makes runs of the chunks of one file.
func (s *Sweep) add(f File, id fileID, st stamp, chunks []Chunk, gap int64) {
	slices.SortFunc(chunks, func(a, b Chunk) int { return cmp.Compare(a.Offset, b.Offset) })
	chunks = slices.DeleteFunc(chunks, func(c Chunk) bool { return c.Offset+int64(c.Len) > st.size })
	s.Hits += len(chunks)
	for len(chunks) > 0 {
		r := firstRun(chunks, gap)
		r.File, r.id, r.stamp = f, id, st
		s.Bytes += r.Bytes
		s.Runs = append(s.Runs, r)
		chunks = chunks[len(r.Chunks):]
	}
}

// firstRun is the first of some chunks, and those that lie close enough behind it.
func firstRun(chunks []Chunk, gap int64) Run {
	r := Run{Offset: chunks[0].Offset}
	for n, c := range chunks {
		end := r.Offset + r.Len
		if n > 0 && (c.Offset > end+gap || c.Offset+int64(c.Len)-r.Offset > maxRun) {
			break
		}
		r.Bytes += int64(c.Len)
		r.Len = max(r.Len, c.Offset+int64(c.Len)-r.Offset)
		r.Chunks = chunks[: n+1 : n+1]
	}
	return r
}

// forgetChunks drops the rows of chunks that lead to a version of a file that is gone.
func (x *Index) forgetChunks(id fileID, chunks []Chunk) {
	chunks = slices.Clone(chunks)
	x.submit(func(b *lsm.Batch) {
		for _, c := range chunks {
			key := chunkKey(x.profile, c.ID)
			if raw, ok := x.get(key); ok {
				if p, ok := decodePlace(raw); ok && p.file == id {
					b.Delete(key)
				}
			}
		}
	})
}
