package fetch

import (
	"strings"
	"sync"

	"dfetch/diskscan"
	"dfetch/tree"
)

// sameBatch says whether a file is hashed together with the one of the last action before it.
func (a Action) sameBatch(before []Action) bool {
	n := len(before)
	return n > 0 && before[n-1].Kind == a.Kind && before[n-1].Batch == a.Batch
}

// batchOf is the first actions, as many as are one operation.
func batchOf(actions []Action) []Action {
	n := 1
	for n < len(actions) && actions[n].sameBatch(actions[:n]) {
		n++
	}
	return actions[:n]
}

// hash reads the next slices of files, one after the other. The loop hears of several at a time.
func (s *searcher) hash(batch []Action) {
	s.wg.Go(func() {
		h := &hashing{s: s, out: outbox{mail: s.loop.mail}, whole: len(batch) == 1}
		for i, a := range batch {
			if !h.file(a.ID, a.Count) {
				h.leave(batch[i+1:])
				break
			}
		}
		h.out.tell()
	})
}

// hashing is a batch under way.
type hashing struct {
	s     *searcher
	out   outbox
	whole bool // one file alone, of which the loop hears as it goes
}

// note keeps events for the loop, and tells it when it is time.
func (h *hashing) note(evs ...Event) {
	h.out.note(evs...)
	if h.whole {
		h.out.tell()
	}
}

// leave tells of files that they were not begun, as the disk does not answer.
func (h *hashing) leave(rest []Action) {
	for _, a := range rest {
		h.note(Event{Kind: EvHashed, ID: a.ID, Stalled: true})
	}
}

// file reads the next slice of a file, of about n bytes. It says whether the disk answers.
func (h *hashing) file(id uint32, n int64) bool {
	s := h.s
	s.mu.Lock()
	file, p := s.files[id], s.begun[id]
	s.mu.Unlock()
	p.early = p.early || !s.loop.stats.planDone.Load()
	if p.next.Offset == 0 {
		h.measure(file)
	}
	tr := newTrail(s.loop.win, s.disk.Remembers, file, p.spot)
	p.next.Slice = n
	var late lateChunks
	wants := func(c diskscan.Chunk) bool { return s.loop.win.wantsOr(c.ID, late.add) }
	res, err := s.disk.Hash(s.ctx, file, p.next, wants, func(found *diskscan.Found) { h.note(s.take(found, nil, tr.found)...) })
	recalled := s.numberRuns(EvRecalled, res.Late)
	if res.Done && len(res.Late) == 0 {
		tr.end(res.Size)
	}
	ended := err != nil || res.Changed || res.Done
	s.cameTo(id, progress{next: res.Next, spot: tr.last, early: p.early}, ended)
	if err == nil && res.Done && !res.Changed && !p.early && len(res.Late) == 0 && len(tr.events) == 0 {
		s.held.wasHashed(s.scope.Device(file.Dir), file.Ino)
	}
	if len(recalled.Runs) > 0 {
		h.note(recalled)
	}
	done := Event{
		Kind: EvHashed, ID: id, Seconds: res.Cost.Seconds(), Units: res.Bytes - res.Holes, Found: res.Found + chunksOf(res.Late), Spent: res.CPU.Seconds(),
		Cached: res.Cold*2 < res.Bytes, Failed: ended, Stalled: s.unheard(file.Dir, err),
	}
	late.tell(&done)
	h.note(append(tr.events, done)...)
	return !done.Stalled
}

// measure has the file's device measured, if that was not done before and the file is fit for it.
func (h *hashing) measure(file diskscan.File) {
	cost, ok := h.s.disk.Calibrate(h.s.ctx, file)
	if !ok {
		return
	}
	h.s.mu.Lock()
	dev := h.s.device(file.Dir)
	h.s.mu.Unlock()
	h.note(Event{Kind: EvDevice, Device: dev, Speed: &DeviceSpeed{Seek: cost.Seek.Seconds(), PerByte: cost.PerByte, Depth: cost.Depth}})
	h.s.note("search: the disk of %s takes %v for a seek and %.0f MB/s; %d operations at once", h.s.scope.FilePath(file), cost.Seek, 1e-6/cost.PerByte, cost.Depth)
}

// cameTo notes how far a file has been hashed. One that is not hashed again is forgotten.
func (s *searcher) cameTo(id uint32, p progress, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ended {
		delete(s.begun, id)
	} else {
		s.begun[id] = p
	}
}

// lateChunks are those of a slice that have come another way. The cutter asks for each once or twice. An
// operation that was left alone may still ask.
type lateChunks struct {
	mu    sync.Mutex
	n     int
	group uint32 // of the last one
	end   uint64 // the ordinal behind it
}

func (l *lateChunks) add(ord uint64, group uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ord >= l.end {
		l.n, l.group, l.end = l.n+1, group, ord+1
	}
}

// tell notes in an event what there was.
func (l *lateChunks) tell(ev *Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ev.Late, ev.Group, ev.First = l.n, l.group, l.end
}

// take writes chunks that were found to their places, where they are not already, and notes where they were. It returns what the
// loop is to be told of them.
func (s *searcher) take(f *diskscan.Found, in *settled, note func(spot)) []Event {
	defer f.Release()
	return s.settle(f, in, note)
}

// settle claims chunks that were found, and writes those that lie side by side together. in is where they were read already.
func (s *searcher) settle(f *diskscan.Found, in *settled, note func(spot)) []Event {
	var got []Range
	from, data, size := 0, f.Data, 0 // a run of claimed chunks, and its bytes at the beginning of data
	all := s.loop.win.claimFound(f.Chunks, s.claims.get(len(f.Chunks)))
	defer s.claims.put(all)
	there := false // the run lies at its place already
	end := func(i int) {
		if there {
			s.bring(f, in, all[from:i], data[:size])
		} else {
			s.bring(f, nil, all[from:i], data[:size])
		}
		from, data, size = i, data[size:], 0
	}
	for i := range all {
		c, ch := &all[i], &f.Chunks[i]
		if is := in.has(c, ch); c.dup || is != there {
			end(i)
			there = is
		}
		if c.dup {
			from, data = i+1, data[ch.Len:]
			continue
		}
		size += ch.Len
		got = appendOrdinal(got, c.want.Ordinal)
		note(spot{off: ch.Offset, end: ch.Offset + int64(ch.Len), ordinal: c.want.Ordinal, group: c.group})
	}
	end(len(all))
	if got == nil {
		return nil
	}
	return []Event{{Kind: EvFound, Ranges: got, InOrder: !f.Indexed}}
}

// keeps says whether the bytes are all of the file at the chunks' first place, and it was the file itself in which
// they were found: then nothing is to be written.
func (s *searcher) keeps(f *diskscan.Found, c claimed, data []byte) bool {
	v := f.Version
	if s.loop.keep == nil || v == nil || c.off != 0 || int64(len(data)) != v.Size || v.Size != c.file.file.Size() || !isWhole(f) {
		return false
	}
	f.Kept = s.loop.keep(c, tree.Seen{
		File: tree.Inode{Dev: v.Dev, Ino: v.Ino}, Name: f.File.Name, MTime: v.MTime, CTime: v.CTime, At: v.At,
	})
	return f.Kept
}

// isWhole says whether chunks follow on one another from a file's start to its end.
func isWhole(f *diskscan.Found) bool {
	end := int64(0)
	for _, ch := range f.Chunks {
		if ch.Offset != end {
			return false
		}
		end += int64(ch.Len)
	}
	return end == f.Version.Size
}

// bring writes claimed chunks of what was found; in: they lie at their first places already.
func (s *searcher) bring(f *diskscan.Found, in *settled, run []claimed, data []byte) {
	if len(run) == 0 {
		return
	}
	s.loop.deliverBy("disk", run, data, func(c claimed, data []byte) {
		switch {
		case s.keeps(f, c, data):
		case in != nil:
			s.loop.hold(in, c.off, int64(len(data)))
		default:
			s.loop.write(c, data)
		}
	})
	s.loop.explain.brought(run, func(wanted string) Origin {
		return fromDisk(f, in != nil, s.scope.FilePath(f.File), "/"+strings.Join(s.place, "/")+"/"+wanted)
	})
}
