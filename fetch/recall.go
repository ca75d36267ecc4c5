package fetch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"dfetch/costmodel"
	"dfetch/diskscan"
	"dfetch/recipe"
)

// maxRemembered bounds the hashed chunks that are remembered for wants that come up later.
const maxRemembered = 256 << 10

// Bounds of what is read in one operation, if it lies in several files.
const (
	bulkRuns  = 64
	bulkBytes = 4 << 20
	runCost   = 8 << 10 // bytes that could be read in the time in which a file is opened
)

// recall is what the core is to know of some chunks that lie in files that were hashed before.
func (s *searcher) recall(ids []recipe.ID) []Event {
	runs := s.disk.Recall(ids)
	if runs == nil {
		return nil
	}
	return []Event{s.numberRuns(EvRecalled, runs)}
}

func chunksOf(runs []diskscan.Run) (n int) {
	for _, r := range runs {
		n += len(r.Chunks)
	}
	return n
}

// numberRuns numbers runs, small ones of one device together, and counts whose chunks they hold.
func (s *searcher) numberRuns(kind EventKind, runs []diskscan.Run) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	ev := Event{Kind: kind, FirstFile: uint32(len(s.runs))}
	for len(runs) > 0 {
		n, bytes := s.bulk(runs)
		s.runs = append(s.runs, runs[:n:n])
		hits, rs := s.hits(runs[:n])
		ev.Runs = append(ev.Runs, IndexRun{Device: s.device(runs[0].File.Dir), Bytes: bytes, Hits: hits, Ranges: rs})
		runs = runs[n:]
	}
	return ev
}

// bulk is how many of the first runs are read together, and their bytes.
func (s *searcher) bulk(runs []diskscan.Run) (n int, bytes int64) {
	device := s.device(runs[0].File.Dir)
	for n < min(len(runs), bulkRuns) && s.device(runs[n].File.Dir) == device {
		add := runs[n].Len + runCost
		if n > 0 && bytes+add > bulkBytes {
			break
		}
		bytes += add
		n++
	}
	return n, bytes
}

// hits counts chunks by the wanted file, those of one file together as they follow each other, and says
// which they are. It tags them, so that they are found in the window without being searched for.
func (s *searcher) hits(runs []diskscan.Run) (hits []costmodel.Hit, rs []Range) {
	for _, r := range runs {
		for i := range r.Chunks {
			ord, g, ok := s.loop.win.tag(&r.Chunks[i])
			if !ok {
				continue
			}
			rs = appendOrdinal(rs, ord)
			if n := len(hits); n > 0 && hits[n-1].Group == costmodel.GroupID(g) {
				hits[n-1].Chunks++
				continue
			}
			hits = append(hits, costmodel.Hit{Group: costmodel.GroupID(g), Chunks: 1})
		}
	}
	return hits, rs
}

// read reads chunks whose places are known.
func (s *searcher) read(id uint32) {
	s.mu.Lock()
	runs := s.runs[id]
	s.runs[id] = nil
	s.mu.Unlock()
	s.wg.Go(func() {
		ev := Event{Kind: EvRead, ID: id}
		var cold int64
		for _, r := range runs {
			res, err := s.readRun(s.ctx, r)
			ev.Seconds += res.Cost.Seconds()
			ev.Units += r.Len + runCost
			ev.Found += res.Found
			ev.Spent += res.CPU.Seconds()
			ev.Failed = ev.Failed || err != nil
			cold += res.Cold
			ev.Stalled = s.unheard(r.File.Dir, err)
			if ev.Stalled || errors.Is(err, context.Canceled) {
				break
			}
		}
		ev.Cached = cold*2 < ev.Units
		s.loop.mail.post(ev)
	})
}

func (s *searcher) readRun(ctx context.Context, r diskscan.Run) (diskscan.ReadResult, error) {
	tr := newTrail(s.loop.win, s.disk.Remembers, r.File, spot{})
	out := outbox{mail: s.loop.mail}
	var mu sync.Mutex                       // of spots: several goroutines read
	spots := make([]spot, 0, len(r.Chunks)) // in any order
	take := func(found *diskscan.Found, in *settled) {
		here := make([]spot, 0, len(found.Chunks))
		out.note(s.take(found, in, func(at spot) { here = append(here, at) })...)
		mu.Lock()
		defer mu.Unlock()
		spots = append(spots, here...)
	}
	share := func(fd int, chunks []diskscan.Chunk, cold func() int64) []diskscan.Shared {
		return s.share(fd, chunks, cold, take)
	}
	res, err := s.disk.ReadShared(ctx, r, s.loop.win.wantsChunk, func(f *diskscan.Found) { take(f, nil) }, share)
	slices.SortFunc(spots, func(a, b spot) int { return cmp.Compare(a.off, b.off) })
	for _, at := range spots {
		tr.found(at)
	}
	tr.end(r.File.Size)
	out.note(tr.events...)
	out.tell()
	return res, err
}
