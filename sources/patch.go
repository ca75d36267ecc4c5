package sources

import "fmt"

// Span is a stretch of a chunk.
type Span struct {
	Off, Len uint32 // bytes
}

// end is where the span ends. It does not overflow.
func (s Span) end() uint64 { return uint64(s.Off) + uint64(s.Len) }

// MaxSpans is how many spans a patch has at most.
const MaxSpans = 64

// Patch makes a want cheaper: the source fetches what is missing, and Fill adds the rest.
type Patch struct {
	// Missing is what is to be fetched: 1 to MaxSpans spans, ascending, not empty, not overlapping, within
	// the chunk. It is not modified.
	Missing []Span
	// Fill writes all that is not missing into a buffer of the chunk's length; what it writes into missing
	// spans is overwritten. It is called at most once for each time that the want is asked, from any
	// goroutine, and may block for the disk. If it fails, or what comes out is not the chunk, the
	// want fails with ErrPatch.
	Fill func(chunk []byte) error
}

// Bytes is how much is missing.
func (p *Patch) Bytes() int64 { return spanBytes(p.Missing) }

func spanBytes(spans []Span) (n int64) {
	for _, s := range spans {
		n += int64(s.Len)
	}
	return n
}

// check says what is wrong with a patch of a chunk of n bytes.
func (p *Patch) check(n uint32) error {
	if len(p.Missing) == 0 || len(p.Missing) > MaxSpans || p.Fill == nil {
		return fmt.Errorf("patch of %d spans, want 1 to %d and Fill", len(p.Missing), MaxSpans)
	}
	at := uint64(0)
	for _, s := range p.Missing {
		if s.Len == 0 || uint64(s.Off) < at || s.end() > uint64(n) {
			return fmt.Errorf("patch asks for bytes %d+%d of %d after byte %d", s.Off, s.Len, n, at)
		}
		at = s.end()
	}
	return nil
}

// Bytes is how much has to come for the want: the chunk, or what is missing of it.
func (w *Want) Bytes() int64 {
	if w.Patch == nil {
		return int64(w.Len)
	}
	return w.Patch.Bytes()
}

// check refuses wants that no source can bring.
func (w *Want) check() error {
	if w.Len == 0 {
		return fmt.Errorf("want of chunk %d: a chunk has at least one byte", w.Ordinal)
	}
	if w.Patch != nil {
		if err := w.Patch.check(w.Len); err != nil {
			return fmt.Errorf("want of chunk %d: %w", w.Ordinal, err)
		}
	}
	return nil
}
