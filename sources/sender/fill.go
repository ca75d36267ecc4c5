package sender

import (
	"context"
	"time"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// mostTaken is how many requests may be done without the client's knowing. What it asks for with the rest of its credit
// brings it TAKEN.
const mostTaken = wire.MaxGets / 2

// fill turns requests into frames and sends them: nodes first, then fine lists, then chunks and parts of chunks
// in the order of the requests.
func (s *session) fill(ctx context.Context) error {
	f := &filler{
		s:      s,
		cursor: newCursor(s.tree.Recipe, s.tree.root),
		files:  newFiles(s.tree.dir),
	}
	if s.stream {
		f.stream.places = &s.srv.streams
	}
	defer f.files.close()
	defer f.stream.close()
	for {
		did, err := f.step(ctx)
		if err != nil {
			return err
		}
		if did {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.work:
			if _, more := s.front(); more {
				f.starved = s.pace.dry()
			}
		}
	}
}

// filler reads chunks into frames. It is used by one goroutine.
type filler struct {
	s      *session
	cursor *cursor
	files  *files
	stream packStream
	packer packer

	starved bool // there was nothing to do, nor to send, before the request at the front: the next DATA tells it

	taken uint32 // requests that are done and that the client has not been told of

	pieces []piece  // of the run being made
	lens   []uint32 // theirs
	head   []byte   // of the frame

	partPacker packer
	table      []byte // of the PARTS frame being made
	chunk      []byte // that a fine list is made of
}

// step does one piece of work; false if there is none. Nodes and fine lists go ahead of chunks: they are
// small, and more can be asked for when they are there. TAKEN goes with what is sent next, unless much of the client's
// credit would wait for that.
func (f *filler) step(ctx context.Context) (bool, error) {
	f.taken += f.s.dropDone()
	if did, err := f.s.nodeStep(ctx); did || err != nil {
		return did, err
	}
	if err := f.s.inTurn(f.s.flush); err != nil {
		return false, err
	}
	if did, err := f.fineStep(ctx); did || err != nil {
		return did, err
	}
	if did, err := f.partsStep(ctx); did || err != nil {
		return did, err
	}
	if r, ok := f.s.front(); ok {
		return true, f.run(ctx, r)
	}
	if f.taken >= mostTaken {
		return true, f.s.put(ctx, &frame{bytes: f.begin()})
	}
	return false, nil
}

// begin is the start of what is sent next: TAKEN, if there is something to tell.
func (f *filler) begin() []byte {
	head := f.head[:0]
	if f.taken > 0 {
		head = wire.AppendTaken(head, f.taken)
	}
	f.taken = 0
	return head
}

// claim takes up to n ordinals from first on off the front, unless they were canceled meanwhile.
func (s *session) claim(first, n uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.gets) == 0 || len(s.gets[0].ranges) == 0 {
		return 0
	}
	g := &s.gets[0]
	r := &g.ranges[0]
	if r.First != first {
		return 0
	}
	n = min(n, r.Count)
	r.First, r.Count = r.First+n, r.Count-n
	if r.Count == 0 {
		g.ranges = g.ranges[1:]
	}
	return n
}

// run sends the chunks at the start of r: a DATA frame with what could be read, or FAIL.
func (f *filler) run(ctx context.Context, r sources.Range) error {
	size, err := f.collect(ctx, r)
	if err != nil {
		return err
	}
	n := f.s.claim(r.First, uint64(len(f.pieces)))
	if n == 0 {
		return nil // canceled
	}
	for i := n; i < uint64(len(f.pieces)); i++ {
		size -= int(f.lens[i])
	}
	f.pieces, f.lens = f.pieces[:n], f.lens[:n]
	buf := sources.NewBuffer(headRoom + size)
	good, size, fault := f.load(buf.Data[headRoom:])
	buf.Data = buf.Data[:headRoom+size]
	if good > 0 {
		err = f.s.put(ctx, f.frame(r.First, good, size, buf))
	} else {
		buf.Release()
	}
	if err == nil && fault != nil {
		err = f.fail(ctx, r.First+uint64(good), f.pieces[good:], fault)
	}
	return err
}

// collect finds the pieces of the next run: at least one, then as many as the run's size allows.
func (f *filler) collect(ctx context.Context, r sources.Range) (size int, err error) {
	f.pieces, f.lens = f.pieces[:0], f.lens[:0]
	limit := f.s.pace.run(time.Now())
	for i := range r.Count {
		p, err := f.cursor.at(ctx, r.First+i)
		if err != nil {
			return 0, err
		}
		if i > 0 && (size+int(p.size) > limit || i == maxChunks) {
			break
		}
		f.pieces, f.lens = append(f.pieces, p), append(f.lens, p.size)
		size += int(p.size)
	}
	return size, nil
}

// load reads the pieces one after the other, up to the first that can't be read. Neighbours in one
// file are one read.
func (f *filler) load(dst []byte) (good, size int, fault error) {
	for good < len(f.pieces) {
		n, bytes := f.span(good)
		p := f.pieces[good]
		if fault = f.files.read(p.file, p.off, dst[size:size+bytes]); fault != nil {
			return good, size, fault
		}
		good, size = good+n, size+bytes
	}
	return good, size, nil
}

// span counts the pieces from i on that lie side by side in one file.
func (f *filler) span(i int) (n, bytes int) {
	file, end := f.pieces[i].file, f.pieces[i].off
	for ; i < len(f.pieces) && f.pieces[i].file == file && f.pieces[i].off == end; i++ {
		n++
		bytes += int(f.pieces[i].size)
		end += int64(f.pieces[i].size)
	}
	return n, bytes
}

// frame makes the DATA frame of a run that lies in buf behind the head room. It takes buf.
func (f *filler) frame(first uint64, n, size int, buf *sources.Buffer) *frame {
	now := time.Now()
	info := f.s.pace.look(now)
	d := wire.Data{
		First: first, N: uint32(n), RawLen: uint32(size), Pace: paceOf(info, f.starved),
	}
	f.starved = false
	if f.s.pace.packs(now) {
		buf, d.Enc = f.packer.pack(&f.stream, buf, info.Rate)
	}
	payload := len(buf.Data) - headRoom
	f.head = wire.AppendData(f.begin(), d, f.lens[:n], payload)
	f.s.srv.count.chunks.Add(int64(n))
	return f.seal(buf, payload, size)
}

// fail reports the chunks of the file that can't be read, and gives the rest back.
func (f *filler) fail(ctx context.Context, first uint64, pieces []piece, fault error) error {
	n := uint64(0)
	for n < uint64(len(pieces)) && pieces[n].file == pieces[0].file {
		n++
	}
	if rest := uint64(len(pieces)) - n; rest > 0 {
		f.s.giveBack(sources.Range{First: first + n, Count: rest})
	}
	f.s.srv.count.changed.Add(int64(n))
	return f.s.put(ctx, failFrame(first, n, fault))
}

// giveBack puts a range at the front again. Its GET is there: dropDone drops it, which is called later.
func (s *session) giveBack(r sources.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets[0].ranges = append([]sources.Range{r}, s.gets[0].ranges...)
}

func clip(text string) string { return text[:min(len(text), wire.MaxText)] }
