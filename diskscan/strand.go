package diskscan

import (
	"sync"
	"sync/atomic"
	"time"

	"dfetch/recipe"
)

// strands cut one slice on several processors. Each begins somewhere in the slice as if an element began there,
// and goes on to where the next begins. What begins at an offset depends on nothing before it, so from the first
// element on that both the one who follows the file and the strand itself came to, its elements are those of
// the file. (recipe.Cut does the same with a whole file.)
type strands struct {
	s    *slice
	src  *source
	size int64

	all  []strand
	next atomic.Int64  // the first that nobody has taken
	room chan struct{} // a token for each that may be taken and not be joined
	quit chan struct{} // closed when nobody waits for more
	wg   sync.WaitGroup
	cpu  atomic.Int64 // nanoseconds of the goroutines that have ended
}

// maxStrands bounds the strands of a slice. A longer one is cut alone.
const maxStrands = 64

// strand is one stretch of a slice.
type strand struct {
	start, stop int64
	reader      *recipe.ElementReader // its buffer holds the data of all elements
	elements    []element
	end         recipe.Position // of the last
	err         error           // why there are no more
	done        chan struct{}
}

// element is a hole, without data, or a chunk.
type element struct {
	ref  recipe.Ref
	off  int64
	data []byte
}

// startStrands has a slice cut by as many goroutines, each some bytes at a time.
func startStrands(s *slice, src *source, size int64, workers int, span int64) *strands {
	t := &strands{s: s, src: src, size: size, room: make(chan struct{}, workers+1), quit: make(chan struct{})}
	for at := s.at.Offset; at < s.stop; at += span {
		t.all = append(t.all, strand{start: at, stop: min(at+span, s.stop), done: make(chan struct{})})
	}
	for range workers {
		t.wg.Go(func() { t.cpu.Add(int64(onThread(t.work))) })
	}
	return t
}

// work cuts strands, one after the other.
func (t *strands) work() {
	for {
		select {
		case t.room <- struct{}{}:
		case <-t.quit:
			return
		}
		n := int(t.next.Add(1)) - 1
		if n >= len(t.all) {
			return
		}
		t.cut(&t.all[n])
		close(t.all[n].done)
	}
}

// cut finds the elements that begin in a strand.
func (t *strands) cut(d *strand) {
	d.reader = t.s.d.readers.Get().(*recipe.ElementReader)
	at := recipe.Position{Offset: d.start}
	if d.start == t.s.at.Offset {
		at = t.s.at.Position
	}
	d.reader.Open(t.src, t.size, at)
	d.reader.Expect(t.s.d.cfg.Follows)
	for d.end = at; d.err == nil && d.end.Offset < d.stop; d.end = d.reader.Position() {
		var e element
		e.off = d.end.Offset
		if e.ref, e.data, d.err = d.reader.Next(d.stop); d.err == nil {
			d.elements = append(d.elements, e)
		}
	}
}

// join deals with the elements of all strands, in order. Where a strand began inside an element, that is cut anew
// by own.
func (t *strands) join(own *recipe.ElementReader, deal func(element) (bool, error)) (recipe.Position, error) {
	at := t.s.at.Position
	for i := range t.all {
		d := &t.all[i]
		<-d.done
		more, err := t.joinOne(d, &at, own, deal)
		t.free(d)
		<-t.room
		if err != nil || !more {
			return at, err
		}
	}
	return at, nil
}

// joinStep is how much is cut at a time where strands join.
const joinStep = 128 << 10

// joinOne deals with the elements from at on that begin in a strand.
func (t *strands) joinOne(d *strand, at *recipe.Position, own *recipe.ElementReader, deal func(element) (bool, error)) (more bool, err error) {
	rest := d.elements
	for opened := false; at.Offset < d.stop; {
		for len(rest) > 0 && rest[0].off < at.Offset {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].off == at.Offset && (!at.InHole || rest[0].ref.Hole || at.Offset == t.s.at.Offset) {
			return t.dealAll(d, rest, at, deal)
		}
		if !opened {
			own.Open(t.src, t.size, *at)
			own.Expect(t.s.d.cfg.Follows)
			opened = true
		}
		e := element{off: at.Offset}
		if e.ref, e.data, err = own.Next(min(d.stop, at.Offset+joinStep)); err != nil {
			return false, err
		}
		*at = own.Position()
		if more, err = deal(e); err != nil || !more {
			return more, err
		}
	}
	return true, nil
}

// dealAll deals with the rest of a strand, all of which are elements of the file.
func (t *strands) dealAll(d *strand, rest []element, at *recipe.Position, deal func(element) (bool, error)) (bool, error) {
	for i, e := range rest {
		*at = d.end
		if i+1 < len(rest) {
			*at = recipe.Position{Offset: rest[i+1].off}
		}
		if more, err := deal(e); err != nil || !more {
			return more, err
		}
	}
	return true, d.err
}

// free gives a strand's reader back.
func (t *strands) free(d *strand) {
	if d.reader != nil {
		d.reader.Open(nil, 0, recipe.Position{})
		t.s.d.readers.Put(d.reader)
	}
	d.reader, d.elements = nil, nil
}

// stop ends the goroutines, and tells what they took of the processor.
func (t *strands) stop() time.Duration {
	close(t.quit)
	t.wg.Wait()
	for i := range t.all {
		t.free(&t.all[i])
	}
	return time.Duration(t.cpu.Load())
}
