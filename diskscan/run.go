package diskscan

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
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
}

// Read reads the chunks of a run that are still wanted (nil: all), hashes them, and hands over those whose
// bytes match. Where the run lies on a disk and not in memory, the disk reads it at one go, gaps included.
// A file that has changed since Check is Changed and no error; the index forgets it.
func (d *Disk) Read(ctx context.Context, r Run, want Want, sink Sink) (ReadResult, error) {
	start := time.Now()
	var res ReadResult
	err := d.run(ctx, d.scope.Device(r.File.Dir), func(o *operation) error {
		p := &pass{d: d, o: o, run: &r, want: want}
		p.batch = batch{d: d, o: o, file: r.File, sink: sink, res: &p.found, run: true}
		err := p.read()
		p.res.Found, p.res.FoundBytes = p.found.Found, p.found.FoundBytes
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

// pass is one Read under way.
type pass struct {
	d     *Disk
	o     *operation
	run   *Run
	want  Want
	batch batch
	found HashResult
	res   ReadResult
	chunk []byte // what is being hashed
}

func (p *pass) read() error {
	fd, err := p.d.openAsIndexed(p.run.File, p.run.stamp)
	if isGone(err) {
		p.stale()
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	readQuietly(fd)
	end := p.run.Offset + p.run.Len
	spans := cold(fd, p.run.Offset, end)
	p.res.Cold = total(spans)
	p.d.cfg.Reader.Fetch(fd, p.run.Offset, end)
	err = p.readChunks(fd)
	drop(fd, spans, end)
	return errors.Join(err, p.batch.flush())
}

// readChunks goes through the chunks of the run.
func (p *pass) readChunks(fd int) error {
	for _, c := range p.run.Chunks {
		if err := p.o.step(); err != nil {
			return err
		}
		if p.want != nil && !p.want(c.ID) {
			continue
		}
		if cap(p.chunk) < c.Len {
			p.chunk = make([]byte, c.Len)
		}
		data := p.chunk[:c.Len]
		n, err := p.d.cfg.Reader.ReadAt(fd, data, c.Offset)
		p.res.Read += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err != nil || p.d.cfg.Hash.Chunk(data) != c.ID || c.Len > p.d.buffers.size {
			p.stale()
			continue
		}
		if err := p.batch.add(c, data); err != nil {
			return err
		}
	}
	return nil
}

// stale notes that the run was wrong, and makes the index forget the file if the run came from there.
func (p *pass) stale() {
	p.res.Stale++
	if !p.res.Changed && p.run.id != 0 {
		p.d.index.forget(p.run.id)
	}
	p.res.Changed = true
}
