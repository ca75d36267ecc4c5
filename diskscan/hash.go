package diskscan

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// HashState is how far the hashing of a file has come. The zero value is its start.
type HashState struct {
	recipe.Position
	Slice   int64   // bytes to read next, at most; zero is Config.Slice
	looked  int64   // what lies before was looked for in the page cache before it was read ahead
	cold    []span  // of that, from the position on: what was not there
	stamp   stamp   // of the file when its hashing began
	indexed indexed // what the index was told of it
}

// Chunk is one chunk where a file has it.
type Chunk struct {
	ID     recipe.ID
	Offset int64
	Len    int
	Tag    int // the caller's own number of a chunk that is to be read: Want and Sink get it back
}

// Want says whether a chunk is still wanted, by its id and tag: Hash asks again for some without saying where they are. It is
// called from several goroutines.
type Want func(c Chunk) bool

// Sink takes what was found, and releases it. It may block, but not beyond the end of the operation's
// context: that is back-pressure. It is not called after the operation has returned. Read calls it from several goroutines
// at a time.
type Sink func(f *Found)

// HashResult is what one slice gave.
type HashResult struct {
	Next       HashState
	Done       bool // the file has been read to its end, or can't be read any further
	Size       int64
	Bytes      int64 // of this slice, holes included
	Holes      int64 // of these, not read because they are no data
	Cold       int64 // of these, not in the page cache before
	Chunks     int
	Found      int // chunks handed over
	FoundBytes int64
	Changed    bool // the file changed since its hashing began
	CPU        time.Duration
	Late       []Run // chunks of the slice that came to be wanted after it had passed them; see Config.Remember
	Cost       time.Duration
}

// Hash reads the next slice of a file, from where an earlier result says, and cuts it as a recipe's
// builder would have cut the whole file. Chunks that are wanted go to sink. All chunks of a file that did
// not change meanwhile go to the index.
//
// A file that grows, shrinks or changes otherwise is Changed and no error. An error is about this
// file: it can't be opened, or is no regular file any more, or a read failed.
func (d *Disk) Hash(ctx context.Context, f File, from HashState, want Want, sink Sink) (HashResult, error) {
	start := time.Now()
	var res HashResult
	err := d.run(ctx, d.scope.Device(f.Dir), func(o *operation) error {
		growStack()
		s := &slice{d: d, o: o, file: f, at: from, want: want, sink: sink}
		var err error
		took := onThread(func() { err = s.run() })
		s.res.CPU += took
		return errors.Join(err, o.tell(func() { res = s.res }))
	})
	res.Cost = time.Since(start)
	if err != nil {
		res.Done = true
		d.countError(ctx, err)
	}
	return res, err
}

// slice is one Hash under way.
type slice struct {
	d    *Disk
	o    *operation
	file File
	at   HashState
	want Want
	sink Sink

	fd     int
	stop   int64 // where the slice ends
	cold   []span
	looked int64       // as in HashState, for the next slice
	seen   []Chunk     // for the index and the memory
	past   []recipe.ID // not wanted when they were passed; for the memory
	batch  batch
	res    HashResult
}

func (s *slice) run() error {
	var st unix.Stat_t
	fd, err := s.d.scope.openFile(s.file, &st)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	s.fd, s.res.Size = fd, st.Size
	s.begin(&st)
	s.prepare(st.Size)
	err = s.cut(&st)
	read := s.at.Offset + s.res.Bytes
	s.res.Cold = coldUpTo(s.cold, read)
	drop(fd, s.cold, read)
	if ferr := s.batch.flush(); err == nil {
		err = ferr
	}
	s.res.Found, s.res.FoundBytes = s.batch.found.chunks, s.batch.found.bytes
	s.finish(err)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		s.res.Done, s.res.Changed, err = true, true, nil
	}
	if s.res.Changed {
		s.d.count.changed.Add(1)
	}
	return err
}

// begin compares the file with what it was when its hashing began.
func (s *slice) begin(st *unix.Stat_t) {
	now := stampOf(s.d.scope.roots[s.file.Dir.Root].fs, st)
	if s.at.stamp == (stamp{}) {
		s.at.stamp = now
	}
	s.res.Changed = !s.at.stamp.sameContent(now)
	s.batch = batch{d: s.d, o: s.o, file: s.file, sink: s.sink}
	if s.at.Offset == 0 {
		s.batch.version = versionOf(st, time.Now())
	}
}

// length is how much the slice reads at most.
func (s *slice) length() int64 {
	if n := s.at.Slice; n > 0 && n < s.d.cfg.Slice {
		return n
	}
	return s.d.cfg.Slice
}

// lookBeyond is how far beyond a slice the page cache is asked, since the cutter reads ahead.
const lookBeyond = 8 << 20

// prepare finds out what of the slice is not cached, and has the disk read it.
func (s *slice) prepare(size int64) {
	readQuietly(s.fd)
	s.stop = min(s.at.Offset+s.length(), size)
	beyond := min(s.stop+lookBeyond, size)
	s.looked = max(s.at.looked, s.at.Offset)
	s.cold = append(slices.Clone(s.at.cold), cold(s.fd, s.looked, beyond)...)
	s.looked = max(s.looked, beyond)
	s.d.cfg.Reader.Fetch(s.fd, s.at.Offset, s.stop, false)
}

// coldUpTo is how many of the pages before end are cold.
func coldUpTo(spans []span, end int64) (n int64) {
	for _, c := range spans {
		n += max(0, min(c.end, end)-c.off)
	}
	return n
}

// coldBeyond are the cold pages from off on.
func coldBeyond(spans []span, off int64) (rest []span) {
	for _, c := range spans {
		if c.end > off {
			rest = append(rest, span{max(c.off, off), c.end})
		}
	}
	return rest
}

// sliceTime is after how long a slice ends early: the disk is slower than was thought, and the caller
// should know.
const sliceTime = 500 * time.Millisecond

// cut goes through the elements of the slice.
func (s *slice) cut(st *unix.Stat_t) error {
	own := s.d.readers.Get().(*recipe.ElementReader)
	defer s.d.readers.Put(own)
	defer own.Open(nil, 0, recipe.Position{})
	src := &source{o: s.o, from: s.d.cfg.Reader, fd: s.fd, sparse: st.Blocks*512 < st.Size}
	late := time.Now().Add(sliceTime)
	deal := func(e element) (bool, error) {
		err := s.element(e)
		return time.Now().Before(late), err
	}
	span := own.Span() / int64(s.d.cfg.Profile.Max) * int64(s.d.cfg.Profile.Max)
	strands := int(min((s.stop-s.at.Offset)/span, maxStrands+1))
	if strands > maxStrands {
		strands = 1
	}
	workers, release := s.d.claimProcessors(strands)
	defer release()
	var at recipe.Position
	var err error
	if workers == 1 {
		at, err = s.cutAlone(own, src, st.Size, deal)
	} else {
		all := startStrands(s, src, st.Size, workers, span)
		at, err = all.join(own, deal)
		s.res.CPU += all.stop()
	}
	s.advance(at, st.Size)
	return err
}

// cutAlone deals with one element after the other.
func (s *slice) cutAlone(own *recipe.ElementReader, src *source, size int64, deal func(element) (bool, error)) (recipe.Position, error) {
	own.Open(src, size, s.at.Position)
	own.Expect(s.d.cfg.Follows)
	for more := true; more && own.Position().Offset < s.stop; {
		e := element{off: own.Position().Offset}
		var err error
		if e.ref, e.data, err = own.Next(s.stop); err == nil {
			more, err = deal(e)
		}
		if err != nil {
			return own.Position(), err
		}
	}
	return own.Position(), nil
}

// advance notes how far the slice came.
func (s *slice) advance(at recipe.Position, size int64) {
	s.res.Bytes = at.Offset - s.at.Offset
	s.res.Next.Position = at
	if s.res.Done = at.Offset >= size; !s.res.Done {
		s.res.Next.looked, s.res.Next.cold = s.looked, coldBeyond(s.cold, at.Offset)
	}
	s.d.count.hash.Add(1)
	s.d.count.hashBytes.Add(s.res.Bytes)
}

// element deals with one element.
func (s *slice) element(e element) error {
	if e.ref.Hole {
		s.res.Holes += e.ref.Bytes
		return nil
	}
	s.res.Chunks++
	c := Chunk{ID: e.ref.ID, Offset: e.off, Len: len(e.data)}
	if s.d.index != nil || s.d.memory != nil {
		s.seen = append(s.seen, c)
	}
	if s.want == nil || !s.want(c) {
		if s.d.memory != nil {
			s.past = append(s.past, c.ID)
		}
		return nil
	}
	return s.batch.add(c, e.data)
}

// finish looks at the file once more and tells the index what it is.
func (s *slice) finish(err error) {
	s.res.Next.stamp, s.res.Next.indexed = s.at.stamp, s.at.indexed
	var st unix.Stat_t
	failed := unix.Fstat(s.fd, &st)
	now := stampOf(s.at.stamp.fs, &st)
	if s.batch.kept {
		s.at.stamp.mtime, s.at.stamp.ctime = now.mtime, now.ctime
	}
	if failed != nil || st.Nlink == 0 || !now.sameContent(s.at.stamp) {
		s.res.Changed = true
	}
	s.remember()
	if s.d.index == nil || err != nil || failed != nil || now != s.at.stamp {
		return
	}
	s.res.Next.indexed = s.d.index.add(s.d.scope.FilePath(s.file), &s.at, s.seen, s.res.Done)
}

// remember notes the chunks for Recall. Whoever begins to want one of them looks there afterwards; what was
// wanted before it was there is Late.
func (s *slice) remember() {
	if s.d.memory == nil || s.res.Changed || s.want == nil {
		return
	}
	s.d.memory.add(s.file, s.at.stamp, s.seen)
	s.past = slices.DeleteFunc(s.past, func(id recipe.ID) bool { return !s.want(Chunk{ID: id}) })
	s.res.Late = s.d.Recall(s.past)
}

// source reads an open file for the cutter.
type source struct {
	o      *operation
	from   Reader
	fd     int
	sparse bool // fewer blocks than its size needs: worth asking for holes
}

// ReadAt reads as io.ReaderAt says.
func (s *source) ReadAt(p []byte, off int64) (int, error) {
	if err := s.o.step(); err != nil {
		return 0, err
	}
	return s.from.ReadAt(s.fd, p, off)
}

// NextData asks the file system where data follow.
func (s *source) NextData(off int64) (int64, error) {
	if !s.sparse {
		return off, nil
	}
	n, err := unix.Seek(s.fd, off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, io.EOF
	}
	return n, err
}
