package diskscan

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// ReadResult is what reading one run gave.
type ReadResult struct {
	Found      int // chunks handed over
	FoundBytes int64
	Read       int64 // bytes read
	Cold       int64 // of the run, not in the page cache before
	Stale      int   // chunks whose bytes were others
	Changed    bool  // the file is not what it was
	Cost       time.Duration
	CPU        time.Duration // about what it took of the processor: opening, reading, hashing, and what the sink does
}

// Read reads the chunks of a run that are still wanted (nil: all), hashes them, and hands over those whose
// bytes match. Where the run lies on a disk and not in memory, the disk reads it at one go, gaps included.
// A file that has changed since Check is Changed and no error; the index forgets it.
func (d *Disk) Read(ctx context.Context, r Run, want Want, sink Sink) (ReadResult, error) {
	return d.ReadShared(ctx, r, want, sink, nil)
}

// ReadShared is Read for chunks that need not be written again if the file's blocks can be shared; nil: they can't.
func (d *Disk) ReadShared(ctx context.Context, r Run, want Want, sink Sink, share Share) (ReadResult, error) {
	start := time.Now()
	var res ReadResult
	err := d.run(ctx, d.scope.Device(r.File.Dir), func(o *operation) error {
		growStack()
		p := &pass{d: d, o: o, run: &r, want: want}
		p.sink = p.timed(sink)
		err := p.read(share)
		p.res.Found, p.res.FoundBytes, p.res.CPU, p.res.Read = p.found.chunks, p.found.bytes, p.meter.total(), p.meter.bytes
		return errors.Join(err, o.tell(func() { res = p.res }))
	})
	res.Cost = time.Since(start)
	d.count.read.Add(1)
	d.count.readBytes.Add(res.Read)
	d.count.stale.Add(int64(res.Stale))
	if err != nil {
		d.countError(ctx, err)
	}
	return res, err
}

// pass is one Read under way. It goes through the parts of a run one after the other.
type pass struct {
	d     *Disk
	o     *operation
	run   *Run // the part
	want  Want
	sink  Sink
	shift int64 // where the part is read, against its place in the file
	line  *line // which the part is read in; nil: in any order
	crew  errgroup.Group

	meter meter

	version *Version // the file, if the run is all of it and was remembered

	mu    sync.Mutex // of all below; several goroutines read
	rest  []Chunk    // of the run, that nobody has taken
	found tally
	kept  bool
	res   ReadResult
}

func (p *pass) read(share Share) error {
	var fd int
	var err error
	whole := p.run
	p.meter.once(func() { fd, err = p.d.openAsIndexed(whole.File, whole.stamp) })
	if isGone(err) {
		p.stale()
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := p.look(fd); err != nil {
		return err
	}
	shared, err := p.ask(fd, share)
	for _, s := range shared {
		defer s.End()
	}
	for _, part := range whole.parts(shared) {
		if err == nil {
			err = p.readPart(fd, part)
		}
	}
	if p.run = whole; p.kept {
		p.followKept(fd)
	}
	return err
}

// look notes what the file is, if somebody may want to keep it.
func (p *pass) look(fd int) error {
	if p.run.id != 0 || p.d.memory == nil || p.run.Offset != 0 || p.run.Bytes != p.run.stamp.size {
		return nil
	}
	at := time.Now()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	p.version = versionOf(&st, at)
	return nil
}

// followKept remembers what was read as a part of the file that has other metadata now.
func (p *pass) followKept(fd int) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	now := stampOf(p.run.stamp.fs, &st)
	was := p.run.stamp
	was.mtime, was.ctime = now.mtime, now.ctime
	if now == was {
		p.d.memory.follow(p.run.File, p.run.stamp, now, p.run.Chunks)
	}
}

// prepare finds out what of the run is not cached, and how the disk is to read it.
func (p *pass) prepare(fd int, end int64) (spans []span, _ error) {
	if !p.run.isStream() {
		readQuietly(fd)
		spans = cold(fd, p.run.Offset, end)
	} else if spans = p.d.ahead.look(fd, p.run); p.run.within(spans) < p.run.Len/2 {
		readQuietly(fd)
	} else if err := p.queue(fd); err != nil {
		return nil, err
	}
	p.res.Cold += p.run.within(spans)
	p.d.cfg.Reader.Fetch(fd, p.run.Offset, end, p.line != nil)
	return spans, nil
}

// minShare is how much of a run is worth a goroutine.
const minShare = 1 << 20

// readChunks goes through the chunks of the run, on all processors that hash nothing, also on those that get free meanwhile.
func (p *pass) readChunks(fd int) error {
	p.d.hashing.Add(1)
	err := p.share(fd)
	if others := p.crew.Wait(); err == nil {
		err = others
	}
	return err
}

// callHelp has another goroutine share in the run, if a processor hashes nothing and there is much left.
func (p *pass) callHelp(fd int) {
	if p.left() < minShare || !p.d.claimProcessor() {
		return
	}
	p.crew.Go(func() error {
		growStack()
		return p.share(fd)
	})
}

// left is how much of the run nobody has taken.
func (p *pass) left() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rest) == 0 {
		return 0
	}
	return p.run.Offset + p.run.Len - p.rest[0].Offset
}

// share reads groups of chunks until none is left, hashes them, and hands over those that are what they should be. It has
// claimed a processor.
func (p *pass) share(fd int) error {
	defer p.d.hashing.Add(-1)
	for {
		p.callHelp(fd)
		f, err := p.readNext(fd)
		if f == nil {
			return err
		}
		if err != nil || len(f.Chunks) == 0 {
			f.Release()
		} else {
			err = p.deliver(f)
		}
		if err != nil {
			p.giveUp()
			return err
		}
	}
}

// giveUp leaves the rest of the run: the disk fails, or nobody waits for it.
func (p *pass) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rest = nil
}

// readNext reads the next wanted chunks and leaves those that are what they should be; nil when none is left. What is read in
// a line is read by one goroutine at a time, while the others hash and hand over.
func (p *pass) readNext(fd int) (*Found, error) {
	endTurn := p.line.turn()
	f, group, err := p.begin()
	if f == nil {
		endTurn()
		return nil, err
	}
	f.timed = p.meter.next()
	p.meter.buffer(f.timed, func() {
		err = p.fill(fd, f, group)
		endTurn()
		if err == nil {
			p.verify(f, group)
		}
	})
	return f, err
}

// begin takes chunks, and a buffer for them; nil when none is left.
func (p *pass) begin() (*Found, []Chunk, error) {
	group := p.take()
	if len(group) == 0 {
		p.line.leave() // the next run may be read while this one is hashed
		return nil, nil, nil
	}
	buf, err := p.d.buffers.get(p.o)
	if err != nil {
		return nil, nil, err
	}
	return &Found{File: p.run.File, Version: p.version, Data: buf, Indexed: true, buf: buf, pool: &p.d.buffers}, group, nil
}

// take is the next wanted chunks, as many as a buffer holds; none at the end.
func (p *pass) take() (group []Chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	group = make([]Chunk, 0, min(len(p.rest), p.d.buffers.size>>p.d.cfg.Profile.AvgBits+1))
	for size := 0; len(p.rest) > 0; p.rest = p.rest[1:] {
		c := p.rest[0]
		if p.want != nil && !p.want(c) {
			continue
		}
		if c.Len > p.d.buffers.size {
			p.stale()
			continue
		}
		if size += c.Len; size > p.d.buffers.size {
			break
		}
		group = append(group, c)
	}
	return group
}

// deliver hands verified chunks over.
func (p *pass) deliver(f *Found) error {
	var sum tally
	err := p.d.handOver(p.o, p.sink, f, &sum)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found.chunks += sum.chunks
	p.found.bytes += sum.bytes
	p.kept = p.kept || f.Kept
	return err
}

// fill reads chunks into a buffer.
func (p *pass) fill(fd int, f *Found, group []Chunk) error {
	for i := 0; i < len(group); {
		n := i + 1
		for ; n < len(group) && group[n].Offset == group[n-1].Offset+int64(group[n-1].Len); n++ {
		}
		if err := p.fillStretch(fd, f, group[i:n]); err != nil {
			return err
		}
		i = n
	}
	return nil
}

// verify leaves of the chunks in a buffer those that are what they should be.
func (p *pass) verify(f *Found, group []Chunk) {
	lens, ids := make([]uint32, len(group)), make([]recipe.ID, len(group))
	for i, c := range group {
		lens[i] = uint32(c.Len)
	}
	p.d.cfg.Hash.Chunks(ids, f.Data, lens)
	n := 0
	for n < len(group) && ids[n] == group[n].ID {
		n++
	}
	if f.Chunks = group; n < len(group) {
		p.sift(f, ids, n)
	}
}

// sift takes out of a buffer the chunks that are others than they should be; those before first are right.
func (p *pass) sift(f *Found, ids []recipe.ID, first int) {
	group, end := f.Chunks, 0
	for _, c := range group[:first] {
		end += c.Len
	}
	rest := f.Data[end:]
	f.Chunks, f.Data = group[:first], f.Data[:end]
	for i, c := range group[first:] {
		if ids[first+i] == c.ID {
			f.Chunks, f.Data = append(f.Chunks, c), append(f.Data, rest[:c.Len]...)
		}
		rest = rest[c.Len:]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for range len(group) - len(f.Chunks) {
		p.stale()
	}
}

// fillStretch reads chunks that are neighbours. What the file has no more is zeros.
func (p *pass) fillStretch(fd int, f *Found, chunks []Chunk) error {
	if err := p.o.step(); err != nil {
		return err
	}
	last := chunks[len(chunks)-1]
	at, off := len(f.Data), chunks[0].Offset
	f.Data = f.Data[:at+int(last.Offset-off)+last.Len]
	n, err := p.d.cfg.Reader.ReadAt(fd, f.Data[at:], off+p.shift)
	clear(f.Data[at+n:])
	p.meter.filled(n, f.timed)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stale notes that a chunk was another, and makes the index forget the file if the run came from there.
func (p *pass) stale() {
	p.res.Stale++
	if !p.res.Changed && p.run.id != 0 {
		p.d.index.forget(p.run.id)
	}
	p.res.Changed = true
}
