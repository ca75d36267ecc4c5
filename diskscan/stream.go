package diskscan

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A long run of which the page cache has little is a stream: it is read from its start to its end while the kernel reads
// ahead, one stream at a time of each device. Two at once would have the disk go to and fro between them.

// minStream is how long a stream is at least.
const minStream = 1 << 20

// isStream says whether a run is long, and has few gaps.
func (r *Run) isStream() bool { return r.Len >= minStream && r.Bytes >= r.Len/8*7 }

// within is how many bytes of the run lie in some ranges.
func (r *Run) within(spans []span) int64 {
	return total(inside(spans, span{r.Offset, r.Offset + r.Len}))
}

// line is a device while a stream is read of it. A nil one is no line: everything may happen at once.
type line struct {
	reading sync.Mutex // held by the goroutine that reads
	once    sync.Once
	of      *lines
}

// lines gives a device to one stream after the other, in the order in which they ask.
type lines struct {
	mu      sync.Mutex
	taken   bool
	broken  bool         // one has waited in vain for the stream that is read: until that leaves, nobody waits
	waiting []chan *line // each gets one line, which may be nil
}

// enter waits until no stream of a device is read, but no longer than patience: the reader may be held up by those who take
// what it reads, or never come back. Then there is no line, for nobody who waits, or comes while that reader is there.
func (d *device) enter(o *operation, patience time.Duration) (*line, error) {
	o.waiting.Add(1)
	defer o.waiting.Add(-1)
	turn := d.lines.ask()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case l := <-turn:
		return l, nil
	case <-timer.C:
		d.lines.giveUp(turn)
		return <-turn, nil
	case <-o.ctx.Done():
		d.lines.quit(turn)
		return nil, context.Cause(o.ctx)
	}
}

func (q *lines) ask() chan *line {
	q.mu.Lock()
	defer q.mu.Unlock()
	turn := make(chan *line, 1)
	switch {
	case !q.taken:
		q.taken = true
		turn <- &line{of: q}
	case q.broken:
		turn <- nil
	default:
		q.waiting = append(q.waiting, turn)
	}
	return turn
}

// giveUp breaks the line, unless it was somebody's turn just now.
func (q *lines) giveUp(turn chan *line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(q.waiting, turn) {
		return
	}
	for _, w := range q.waiting {
		w <- nil
	}
	q.broken, q.waiting = true, nil
}

// quit takes somebody out of those who wait.
func (q *lines) quit(turn chan *line) {
	q.mu.Lock()
	i := slices.Index(q.waiting, turn)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 {
		(<-turn).leave()
	}
}

// next lets the next stream begin.
func (q *lines) next() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken, q.broken = len(q.waiting) > 0, false
	if q.taken {
		q.waiting[0] <- &line{of: q}
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
}

// turn waits until nobody else reads in the line. The function that it returns ends that.
func (l *line) turn() (end func()) {
	if l == nil {
		return func() {}
	}
	l.reading.Lock()
	return l.reading.Unlock
}

// leave lets the next stream of the device begin. It may be called twice.
func (l *line) leave() {
	if l != nil {
		l.once.Do(l.of.next)
	}
}

// aheadMost is how far the kernel may read ahead of a stream: some systems are set to many megabytes.
const aheadMost = 32 << 20

// largestFolio is how many bytes the kernel keeps together at most. It does not drop those that lie in a range in part alone:
// what two streams share is dropped with the second one.
const largestFolio = 2 << 20

// Bounds of what is remembered of reading ahead.
const (
	maxAhead      = 64   // files
	maxAheadSpans = 4096 // ranges of a file
)

// ahead knows which pages were not cached before the kernel read them ahead of a stream: those that follow in the file find
// them there.
type ahead struct {
	mu    sync.Mutex
	files map[stamp]lookout
}

// lookout is the ranges of a file that were looked for in the page cache, and what of them was not there.
type lookout struct{ looked, cold []span }

// look lists the ranges of a run, and of what lies right before it, that were not in the page cache before they were read, or
// read ahead.
func (a *ahead) look(fd int, r *Run) []span {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.files[r.stamp]
	end := r.Offset + r.Len
	fresh := []span{{r.Offset, min(end+aheadMost, r.stamp.size)}}
	for _, s := range l.looked {
		fresh = without(fresh, s)
	}
	for _, s := range fresh {
		l.looked, l.cold = append(l.looked, s), append(l.cold, cold(fd, s.off, s.end)...)
	}
	a.keep(r.stamp, l)
	return inside(l.cold, span{r.Offset - largestFolio, end})
}

func (a *ahead) keep(of stamp, l lookout) {
	if a.files == nil || len(a.files) >= maxAhead {
		a.files = map[stamp]lookout{}
	}
	if len(l.looked)+len(l.cold) > maxAheadSpans {
		l = lookout{}
	}
	a.files[of] = l
}

// without are the parts of spans outside of another one.
func without(spans []span, cut span) (out []span) {
	for _, s := range spans {
		for _, rest := range [2]span{{s.off, min(s.end, cut.off)}, {max(s.off, cut.end), s.end}} {
			if rest.off < rest.end {
				out = append(out, rest)
			}
		}
	}
	return out
}

// inside are the parts of spans inside of another one.
func inside(spans []span, in span) (out []span) {
	for _, s := range spans {
		if s = (span{max(s.off, in.off), min(s.end, in.end)}); s.off < s.end {
			out = append(out, s)
		}
	}
	return out
}
