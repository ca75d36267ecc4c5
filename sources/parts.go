package sources

import (
	"fmt"
	"slices"
)

// Parts is parts of chunks as they come from the network, not checked yet.
type Parts struct {
	Chunks []Part
	Buf    *Buffer // their bytes, one after the other; the ledger releases it
}

// Part says which stretches of a chunk came.
type Part struct {
	Ordinal uint64
	Spans   []Span // their bytes sum up to the part's share of Buf
}

func (p *Part) bytes() int { return int(spanBytes(p.Spans)) }

// ArriveParts settles the wants whose parts came and releases the buffer. If a want lacks other parts than
// those that came, it fails: the source has answered it. Parts of chunks that are not outstanding, or
// are asked for whole, are dropped and counted. It blocks while the sink or a patch's Fill does.
func (l *Ledger) ArriveParts(p Parts) {
	if l.enter() {
		l.settleParts(p)
		l.leave()
	}
	p.Buf.Release()
}

// settleParts puts chunks together, one at a time, and delivers or fails them.
func (l *Ledger) settleParts(p Parts) {
	data := p.Buf.Data
	for i := range p.Chunks {
		part := &p.Chunks[i]
		n := part.bytes()
		if w, ok := l.takePart(part.Ordinal, n); ok {
			l.settlePart(w, part, data[:n])
		}
		data = data[n:]
	}
}

// takePart takes the want of a part off the books.
func (l *Ledger) takePart(ordinal uint64, n int) (Want, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w, ok := l.book.look(ordinal); !ok || w.Patch == nil {
		l.stats.Unasked++
		l.strays += int64(n)
		return Want{}, false
	}
	w, _ := l.book.take(ordinal)
	l.pending += w.Bytes()
	return w, true
}

// settlePart delivers or fails a want of which a part came.
func (l *Ledger) settlePart(w Want, part *Part, came []byte) {
	buf := NewBuffer(int(w.Len))
	wants := []Want{w}
	if err := l.assemble(buf.Data, w, part, came); err != nil {
		buf.Release()
		l.mu.Lock()
		l.settled(wants)
		l.mu.Unlock()
		l.sink.Fail(wants, fmt.Errorf("chunk %d (%v): %w", w.Ordinal, w.ID, err))
		return
	}
	l.came(wants, int64(len(came)))
	l.sink.Deliver(&Batch{Wants: wants, Data: buf.Data, Free: buf.Release})
}

// assemble makes a chunk of what the patch has and what came.
func (l *Ledger) assemble(chunk []byte, w Want, part *Part, came []byte) error {
	if !slices.Equal(w.Patch.Missing, part.Spans) {
		return fmt.Errorf("other parts came than were asked for: %w", ErrPatch)
	}
	if err := w.Patch.Fill(chunk); err != nil {
		return fmt.Errorf("%w: %w", ErrPatch, err)
	}
	for _, s := range part.Spans {
		came = came[copy(chunk[s.Off:s.end()], came):]
	}
	if l.hash.Chunk(chunk) != w.ID {
		return ErrPatch
	}
	return nil
}
