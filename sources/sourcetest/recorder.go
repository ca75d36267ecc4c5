package sourcetest

import (
	"fmt"
	"maps"
	"sync"

	"dfetch/recipe"
	"dfetch/sources"
)

// Recorder is a sink that holds a source to the contract. It hashes what comes again.
type Recorder struct {
	// Block, if not nil, is called before each batch is taken.
	Block func()

	mu     sync.Mutex
	asked  map[uint64]sources.Want
	got    map[uint64]bool
	failed map[uint64]error
	zoomed map[uint64]error
	down   []error
	broken []string
}

// NewRecorder makes a sink that expects wants of these chunks.
func NewRecorder(c *Chunks) *Recorder {
	r := &Recorder{asked: map[uint64]sources.Want{}, got: map[uint64]bool{}, failed: map[uint64]error{}, zoomed: map[uint64]error{}}
	for _, w := range c.Wants {
		r.asked[w.Ordinal] = w
	}
	return r
}

// Deliver takes a batch.
func (r *Recorder) Deliver(b *sources.Batch) {
	if r.Block != nil {
		r.Block()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer b.Release()
	data := b.Data
	for _, w := range b.Wants {
		if len(data) < int(w.Len) {
			r.breach("chunk %d: batch is too short", w.Ordinal)
			return
		}
		if recipe.BLAKE3.Chunk(data[:w.Len]) != w.ID || r.asked[w.Ordinal].ID != w.ID {
			r.breach("chunk %d: delivered with wrong bytes", w.Ordinal)
		}
		data = data[w.Len:]
		r.settle(w.Ordinal)
		r.got[w.Ordinal] = true
	}
	if len(data) > 0 {
		r.breach("batch has %d bytes too many", len(data))
	}
}

// Fail takes failed wants.
func (r *Recorder) Fail(wants []sources.Want, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.breach("wants failed without a reason")
	}
	for _, w := range wants {
		r.settle(w.Ordinal)
		r.failed[w.Ordinal] = err
	}
}

// Again says that these wants are asked for once more.
func (r *Recorder) Again(wants []sources.Want) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range wants {
		delete(r.got, w.Ordinal)
		delete(r.failed, w.Ordinal)
	}
}

// Fine takes the answer to a Zoom.
func (r *Recorder) Fine(w sources.Want, fine recipe.FineList, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.down) > 0 {
		r.breach("chunk %d: fine list after Down", w.Ordinal)
	}
	if _, twice := r.zoomed[w.Ordinal]; twice {
		r.breach("chunk %d: zoom was answered twice", w.Ordinal)
	}
	n := fine.Bytes()
	if err == nil && n != int64(w.Len) || err != nil && n > 0 {
		r.breach("chunk %d: fine list of %d bytes for %d, %v", w.Ordinal, n, w.Len, err)
	}
	r.zoomed[w.Ordinal] = err
}

// Down takes the end.
func (r *Recorder) Down(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = append(r.down, err)
	if len(r.down) > 1 {
		r.breach("Down was called %d times", len(r.down))
	}
}

func (r *Recorder) settle(ordinal uint64) {
	if len(r.down) > 0 {
		r.breach("chunk %d: settled after Down", ordinal)
	}
	if r.got[ordinal] || r.failed[ordinal] != nil {
		r.breach("chunk %d: settled twice", ordinal)
	}
}

func (r *Recorder) breach(format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

// Summary is what a recorder saw.
type Summary struct {
	Got    int
	Failed map[uint64]error
	Zoomed map[uint64]error // answers to Zoom; nil is a list
	Down   []error          // at most one, if the source keeps the contract
	Broken []string         // breaches of the contract
}

// Summary says what came so far.
func (r *Recorder) Summary() Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Summary{Got: len(r.got), Failed: make(map[uint64]error, len(r.failed))}
	for ordinal, err := range r.failed {
		s.Failed[ordinal] = err
	}
	s.Zoomed = maps.Clone(r.zoomed)
	s.Down = append(s.Down, r.down...)
	s.Broken = append(s.Broken, r.broken...)
	return s
}
