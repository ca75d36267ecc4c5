package diskscan

// Share puts chunks of an open file where they belong by having another file share the blocks that they lie in, as far as that
// can be; chunks are by offset, and cold tells how many bytes there are not in the page cache. It may return nothing. It says
// nothing of what the blocks hold: that is read and hashed afterwards, where they are shared.
type Share func(fd int, chunks []Chunk, cold func() int64) []Shared

// Shared is chunks that follow on one another and lie in another file too.
type Shared struct {
	Chunks []Chunk // of those that Share was given: a part of that slice
	FD     int     // of the other file
	Shift  int64   // what is at off in the one file is at off+Shift in the other
	Sink   Sink    // gets those that are what they should be there, in the place of Read's
	End    func()  // is called once, when nothing is read of it any more
}

// part is chunks of a run that are read by one descriptor.
type part struct {
	run    Run
	shared *Shared // nil: they are read where they lie
}

// ask has the blocks of the run shared, if somebody can do that.
func (p *pass) ask(fd int, share Share) (shared []Shared, err error) {
	if share == nil {
		return nil, nil
	}
	missing := func() int64 { return p.run.within(cold(fd, p.run.Offset, p.run.Offset+p.run.Len)) }
	err = p.o.tell(func() { p.meter.once(func() { shared = share(fd, p.run.Chunks, missing) }) })
	return shared, err
}

// parts divides a run into what is shared and what is not. Shared chunks are in the order of the run.
func (r *Run) parts(shared []Shared) (parts []part) {
	rest := r.Chunks
	for i := range shared {
		n := 0
		for n < len(rest) && rest[n] != shared[i].Chunks[0] {
			n++
		}
		parts = append(parts, part{run: r.of(rest[:n])}, part{r.of(shared[i].Chunks), &shared[i]})
		rest = rest[min(n+len(shared[i].Chunks), len(rest)):]
	}
	return append(parts, part{run: r.of(rest)})
}

// of is a run of some of the chunks; of all it is the run itself.
func (r *Run) of(chunks []Chunk) Run {
	if len(chunks) == len(r.Chunks) || len(chunks) == 0 {
		out := *r
		out.Chunks = chunks
		return out
	}
	out := firstRun(chunks, r.Len)
	out.File, out.id, out.stamp = r.File, r.id, r.stamp
	return out
}

// readPart reads a part of the run; fd is the file that the run lies in.
func (p *pass) readPart(fd int, of part) error {
	if len(of.run.Chunks) == 0 {
		return nil
	}
	p.run, p.rest, p.line = &of.run, of.run.Chunks, nil
	if s := of.shared; s != nil {
		return p.readShared(s)
	}
	end := p.run.Offset + p.run.Len
	spans, err := p.prepare(fd, end)
	if err != nil {
		return err
	}
	err = p.readChunks(fd)
	p.line.leave()
	p.meter.once(func() { drop(fd, spans, end) })
	return err
}

// readShared reads chunks where their blocks are shared. Nothing of that is in the page cache: it is by file.
func (p *pass) readShared(s *Shared) (err error) {
	to := p.sink
	defer func() { p.sink, p.shift = to, 0 }()
	p.sink, p.shift = p.timed(s.Sink), s.Shift
	p.res.Cold += p.run.Len
	if !p.run.isStream() {
		readQuietly(s.FD)
	} else if err := p.queue(s.FD); err != nil {
		return err
	}
	off := p.run.Offset + s.Shift
	p.d.cfg.Reader.Fetch(s.FD, off, off+p.run.Len, p.line != nil)
	err = p.readChunks(s.FD)
	p.line.leave()
	return err
}

// queue has a stream wait for its turn.
func (p *pass) queue(fd int) (err error) {
	readInOrder(fd)
	p.line, err = p.d.devices.get(p.d.scope.Device(p.run.File.Dir)).enter(p.o, p.d.cfg.Stall)
	return err
}

// timed is a sink whose work is counted.
func (p *pass) timed(sink Sink) Sink {
	return func(f *Found) { p.meter.buffer(f.timed, func() { sink(f) }) }
}
