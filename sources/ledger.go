package sources

import (
	"fmt"
	"sync"
	"time"

	"dfetch/recipe"
)

// LedgerConfig is what a ledger is made from.
type LedgerConfig struct {
	Hash recipe.Hash      // makes the chunks' ids; zero is recipe.BLAKE3
	Sink Sink             // gets what comes; required
	Now  func() time.Time // nil is time.Now

	// MaxParts is how many bytes of one chunk's parts the source can fetch. A patch of more is dropped;
	// zero drops all: the source fetches whole chunks only.
	MaxParts int64
}

// Ledger is the outstanding wants of one source. It keeps the contract's promises for the source:
// each want is settled once, and what reaches the sink was hashed. In steps:
//
//  1. Ask notes wants. Those that are outstanding already are left alone.
//  2. Arrive takes the wants that a run of bytes claims to be off the books, hashes the bytes, and
//     delivers or fails them. ArriveParts does so for parts of chunks, which it puts together first.
//  3. Cancel and Fail take wants off the books and fail them.
//  4. End fails the rest, waits for every Arrive that is under way, and reports Down.
//
// A want is taken off the books under the lock: two runs with the same chunk settle it once. All methods may be called from several goroutines.
type Ledger struct {
	hash     recipe.Hash
	sink     Sink
	now      func() time.Time
	maxParts int64

	mu      sync.Mutex
	idle    sync.Cond // active is 0
	book    book
	active  int // runs between enter and leave
	ended   bool
	rate    rateMeter
	stats   Stats // Rate and Outstanding are filled in by Stats
	pending int64 // bytes taken off the books and not settled yet
	strays  int64 // bytes of unasked chunks
}

// Run is consecutive chunks as they come from the network, not checked yet.
type Run struct {
	First uint64   // ordinal of the first chunk
	Lens  []uint32 // bytes of each chunk; their sum must be len(Buf.Data)
	Buf   *Buffer  // the chunks' bytes, one after the other; the ledger releases it

	Starved bool // as Batch has it
}

// NewLedger returns an empty ledger.
func NewLedger(cfg LedgerConfig) *Ledger {
	if cfg.Hash == 0 {
		cfg.Hash = recipe.BLAKE3
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Ledger{hash: cfg.Hash, sink: cfg.Sink, now: cfg.Now, maxParts: cfg.MaxParts, book: newBook()}
	l.idle.L = &l.mu
	return l
}

// Ask notes wants as outstanding. It returns those that were not outstanding before, in the order of
// wants: the ordinals of whole chunks, and the wants of which parts are to come. After End it fails with
// ErrClosed, for a want of no bytes or with a bad patch with another error; it then notes nothing.
func (l *Ledger) Ask(wants []Want) (whole []Range, parts []Want, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, nil, ErrClosed
	}
	for i := range wants {
		if err := wants[i].check(); err != nil {
			return nil, nil, err
		}
	}
	if l.book.bytes == 0 {
		l.rate.restart(l.now())
	}
	for _, w := range wants {
		if w.Patch != nil && w.Bytes() > l.maxParts {
			w.Patch = nil
		}
		switch {
		case !l.book.put(w):
		case w.Patch == nil:
			whole = AppendOrdinal(whole, w.Ordinal)
		default:
			parts = append(parts, w)
		}
	}
	return whole, parts, nil
}

// Cancel fails those of wants that are outstanding with ErrCanceled and returns their ordinals.
func (l *Ledger) Cancel(wants []Want) []Range {
	l.mu.Lock()
	var gone []Want
	for i := range wants {
		if w, ok := l.book.take(wants[i].Ordinal); ok {
			gone = append(gone, w)
		}
	}
	if l.enterLocked(len(gone) > 0) {
		l.mu.Unlock()
		l.sink.Fail(gone, ErrCanceled)
		l.leave()
	} else {
		l.mu.Unlock()
	}
	return Ranges(gone)
}

// Fail fails those of the ranges' wants that are outstanding.
func (l *Ledger) Fail(ranges []Range, err error) {
	l.mu.Lock()
	var gone []Want
	for _, r := range ranges {
		gone = l.book.takeRange(gone, r)
	}
	if !l.enterLocked(len(gone) > 0) {
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	l.sink.Fail(gone, err)
	l.leave()
}

// Arrive settles the wants that a run claims to be and releases its buffer. It blocks while the
// sink does.
func (l *Ledger) Arrive(run Run) {
	if l.enter() {
		l.settle(run)
		l.leave()
	}
	run.Buf.Release()
}

// End fails what is outstanding with err, waits until no run is under way, and calls Down(err).
// It does so once; later calls wait for nothing and do nothing.
func (l *Ledger) End(err error) {
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.ended = true
	gone := l.book.takeAll()
	for l.active > 0 {
		l.idle.Wait()
	}
	l.mu.Unlock()
	if len(gone) > 0 {
		l.sink.Fail(gone, err)
	}
	l.sink.Down(err)
}

// Stats says how the source does. Wire counts and round trips are the source's to add.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.book.bytes > 0 {
		l.rate.fold(l.now())
	}
	s := l.stats
	s.Rate = l.rate.rate
	s.Outstanding = l.book.bytes + l.pending
	return s
}

// Strays is how many bytes came that nobody waited for. A source bounds them.
func (l *Ledger) Strays() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.strays
}

// enter says that a run is under way; false after End.
func (l *Ledger) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enterLocked(true)
}

func (l *Ledger) enterLocked(wanted bool) bool {
	if !wanted || l.ended {
		return false
	}
	l.active++
	return true
}

func (l *Ledger) leave() {
	l.mu.Lock()
	l.active--
	if l.active == 0 {
		l.idle.Broadcast()
	}
	l.mu.Unlock()
}

// settle delivers the good chunks of a run, as few batches as it can, and fails the bad ones.
func (l *Ledger) settle(run Run) {
	wants := l.takeRun(run)
	ids := l.hashRun(run)
	var bad []Want
	for start, offset := 0, 0; start < len(wants); {
		end, size := goodFrom(wants, run.Lens, ids, start)
		if end > start {
			l.deliver(wants[start:end:end], run, offset, size)
			start, offset = end, offset+size
			continue
		}
		if wants[start].Len > 0 {
			bad = append(bad, wants[start])
		}
		offset += int(run.Lens[start])
		start++
	}
	if len(bad) > 0 {
		l.reject(bad)
	}
}

// takeRun takes a run's wants off the books. What was not asked for is a want of zero length.
func (l *Ledger) takeRun(run Run) []Want {
	wants := make([]Want, len(run.Lens))
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range wants {
		w, ok := l.book.take(run.First + uint64(i))
		if !ok {
			l.stats.Unasked++
			l.strays += int64(run.Lens[i])
			continue
		}
		l.pending += w.Bytes()
		wants[i] = w
	}
	return wants
}

// hashRun computes the ids of a run's chunks.
func (l *Ledger) hashRun(run Run) []recipe.ID {
	ids := make([]recipe.ID, len(run.Lens))
	l.hash.Chunks(ids, run.Buf.Data, run.Lens)
	return ids
}

// goodFrom finds how many wants from start on have the right length and id, and their bytes.
func goodFrom(wants []Want, lens []uint32, ids []recipe.ID, start int) (end, size int) {
	for end = start; end < len(wants) && right(wants[end], lens[end]) && ids[end] == wants[end].ID; end++ {
		size += int(lens[end])
	}
	return end, size
}

// right says whether n bytes can be what is wanted; a want of no bytes is none.
func right(w Want, n uint32) bool { return w.Len > 0 && w.Len == n }

func (l *Ledger) deliver(wants []Want, run Run, offset, size int) {
	l.came(wants, int64(size))
	run.Buf.Retain()
	data := run.Buf.Data[offset : offset+size : offset+size]
	l.sink.Deliver(&Batch{Wants: wants, Data: data, Free: run.Buf.Release, Starved: run.Starved})
}

// came notes that good bytes came for wants that were taken off the books.
func (l *Ledger) came(wants []Want, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.settled(wants)
	l.rate.add(now, bytes)
	l.stats.Progress = now
}

// settled is called with mu held.
func (l *Ledger) settled(wants []Want) {
	for i := range wants {
		l.pending -= wants[i].Bytes()
	}
}

func (l *Ledger) reject(bad []Want) {
	l.mu.Lock()
	l.settled(bad)
	l.stats.Rejected += int64(len(bad))
	l.mu.Unlock()
	l.sink.Fail(bad, fmt.Errorf("chunk %d (%v): %w", bad[0].Ordinal, bad[0].ID, ErrCorrupt))
}

// Wanted says whether any of n ordinals from first on is outstanding.
func (l *Ledger) Wanted(first, n uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range n {
		if l.book.has(first + i) {
			return true
		}
	}
	return false
}
