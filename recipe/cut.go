package recipe

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

const defaultSegment = 16 << 20

// CutConfig says what Cut is to cut.
type CutConfig struct {
	// Source holds the file. If it also has NextData(off int64) (int64, error), the offset of the
	// first data at or after off or io.EOF, holes are skipped without reading.
	Source  io.ReaderAt
	Size    int64 // bytes of the file
	Profile Profile
	Hash    Hash
	Workers int // segments that are cut at once; zero or negative: 1

	segment int64 // bytes of a segment, a multiple of HoleAlign; zero: 16 MiB
}

// Cut cuts a file into the references of its leaf list, in order: holes, and hashed chunks of the data
// between them. The result does not depend on Workers.
//
// Large files are cut by several workers at once. Each cuts one segment as if an element began at the
// segment's start. The true elements are then followed from the first on: where one ends at an
// element of the next segment, all later elements of that segment are true too. Until then they are
// cut again, a few chunks a segment as a rule.
//
// Memory is a read buffer and a segment's references a worker. Cut reads Size bytes or fails; a shorter
// file is io.ErrUnexpectedEOF. The first error of emit ends it.
func Cut(ctx context.Context, cfg CutConfig, emit func(Ref) error) error {
	cutter, err := NewCutter(cfg.Profile)
	if err != nil {
		return err
	}
	if !cfg.Hash.Valid() {
		return bad("", "unknown hash %d", cfg.Hash)
	}
	if cfg.segment == 0 {
		cfg.segment = defaultSegment
	}
	if cfg.Workers <= 1 || cfg.Size < 2*cfg.segment {
		e := newElements(cutter, cfg.Hash, readAhead)
		return e.cutAll(ctx, cfg.Source, cfg.Size, emit)
	}
	return cutParallel(ctx, cfg, cutter, emit)
}

// cutAll cuts a whole file, one element after the other.
func (e *elements) cutAll(ctx context.Context, src io.ReaderAt, size int64, emit func(Ref) error) error {
	e.open(src, size, 0)
	for pos := int64(0); pos < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		ref, err := e.next(pos, size)
		if err != nil {
			return err
		}
		if err := emit(ref); err != nil {
			return err
		}
		pos += ref.Bytes
	}
	return nil
}

// segment is a stretch of a file that one worker cuts.
type segment struct {
	start, end int64
	refs       []Ref // elements from start on; the last may reach beyond end
	done       chan struct{}
}

func cutParallel(ctx context.Context, cfg CutConfig, cutter *Cutter, emit func(Ref) error) error {
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan *segment)
	order := make(chan *segment, cfg.Workers)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return dispatch(ctx, cfg, work, order)
	})
	for range cfg.Workers {
		g.Go(func() error { return cutSegments(ctx, cfg, cutter, work) })
	}
	g.Go(func() error {
		j := &joiner{own: newElements(cutter, cfg.Hash, 0), emit: emit}
		j.own.open(cfg.Source, cfg.Size, 0)
		return j.joinAll(ctx, order)
	})
	return g.Wait()
}

// dispatch gives out the segments of a file.
func dispatch(ctx context.Context, cfg CutConfig, work, order chan<- *segment) error {
	for start := int64(0); start < cfg.Size; {
		s := newSegment(cfg, start)
		if err := send(ctx, order, s); err != nil {
			return err
		}
		if s.refs == nil {
			if err := send(ctx, work, s); err != nil {
				return err
			}
		} else {
			close(s.done)
		}
		start = s.end
	}
	return nil
}

func send(ctx context.Context, to chan<- *segment, s *segment) error {
	select {
	case to <- s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newSegment is the segment at start. It is already cut if the file system knows it to be one hole;
// then it may be longer than others.
func newSegment(cfg CutConfig, start int64) *segment {
	s := &segment{start: start, end: min(start+cfg.segment, cfg.Size), done: make(chan struct{})}
	zeros := min(nextData(cfg.Source, start), cfg.Size) - start
	if zeros < max(cfg.segment, MinHole) && start+zeros < cfg.Size || zeros < MinHole {
		return s
	}
	if start+zeros < cfg.Size {
		zeros -= zeros % cfg.segment
	}
	if zeros >= MinHole {
		s.end = start + zeros
		s.refs = []Ref{{Bytes: zeros, Hole: true}}
	}
	return s
}

// refPool holds the reference slices of segments.
var refPool = sync.Pool{New: func() any { return new([]Ref) }}

func cutSegments(ctx context.Context, cfg CutConfig, cutter *Cutter, work <-chan *segment) error {
	e := newElements(cutter, cfg.Hash, readAhead)
	for s := range work {
		if err := e.cutSegment(ctx, cfg, s); err != nil {
			return err
		}
		close(s.done)
	}
	return nil
}

func (e *elements) cutSegment(ctx context.Context, cfg CutConfig, s *segment) error {
	s.refs = (*refPool.Get().(*[]Ref))[:0]
	e.open(cfg.Source, cfg.Size, s.start)
	for pos := s.start; pos < s.end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		ref, err := e.next(pos, s.end)
		if err != nil {
			return err
		}
		s.refs = append(s.refs, ref)
		pos += ref.Bytes
	}
	return nil
}

// joiner follows the true elements through the segments.
type joiner struct {
	own  *elements // cuts what the segments did not
	emit func(Ref) error
	pos  int64
	hole int64 // bytes of the hole that ends at pos and is not emitted yet
}

func (j *joiner) joinAll(ctx context.Context, order <-chan *segment) error {
	for s := range order {
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := j.join(ctx, s); err != nil {
			return err
		}
		refPool.Put(&s.refs)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return j.flush()
}

// join emits the true elements of a segment.
func (j *joiner) join(ctx context.Context, s *segment) error {
	if j.hole > 0 && j.pos == s.start && !s.refs[0].Hole {
		if err := j.endHole(); err != nil {
			return err
		}
	}
	at, refs := s.start, s.refs
	for j.pos < s.end {
		for len(refs) > 0 && at < j.pos {
			at += refs[0].Bytes
			refs = refs[1:]
		}
		if len(refs) > 0 && at == j.pos {
			return j.addAll(refs)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		j.own.rescan(j.pos)
		ref, err := j.own.next(j.pos, s.end)
		if err != nil {
			return err
		}
		if err := j.add(ref); err != nil {
			return err
		}
	}
	return nil
}

// endHole lengthens the hole before pos by the zeros after it: fewer than the next segment takes for a hole.
func (j *joiner) endHole() error {
	end, err := j.own.zeros(j.pos)
	if err != nil {
		return err
	}
	j.hole += end - j.pos
	j.pos = end
	return nil
}

func (j *joiner) addAll(refs []Ref) error {
	for _, ref := range refs {
		if err := j.add(ref); err != nil {
			return err
		}
	}
	return nil
}

// add emits a true element. Holes wait, since the next may continue them.
func (j *joiner) add(ref Ref) error {
	j.pos += ref.Bytes
	if ref.Hole {
		j.hole += ref.Bytes
		return nil
	}
	if err := j.flush(); err != nil {
		return err
	}
	return j.emit(ref)
}

func (j *joiner) flush() error {
	if j.hole == 0 {
		return nil
	}
	ref := Ref{Bytes: j.hole, Hole: true}
	j.hole = 0
	return j.emit(ref)
}
