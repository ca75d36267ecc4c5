package fetch

import "time"

// abreast is how many operations the disk does at a time, on the average: what each took, over the time in which some
// were under way. What waits is through sooner by that than the sum of what its operations take.
type abreast struct {
	mark    time.Time // up to when busy has been counted
	busy    float64   // seconds with an operation under way, in the present span
	seconds float64   // that those took which ended in it
	most    int       // that were under way at once in it
	mean    float64   // of the spans so far; 0 before the first
}

// Constants of a pace.
const (
	abreastSpan   = 20e-3 // seconds of disk operations over which abreast is measured
	abreastWeight = 0.2   // of a span in the mean
	crowdDecay    = 0.98  // what the sums of crowd keep at each operation
	leastNeeded   = 0.25  // what an operation is thought to need of its time at least
)

// began notes that an operation begins while no other is under way.
func (o *abreast) began(now time.Time) { o.mark = now }

// ended takes in the end of an operation that took so many seconds, beside so many others that are still under way. A long one
// has taken most of its time in spans before this one, so no more count than there were.
func (o *abreast) ended(now time.Time, seconds float64, others int) {
	o.busy += now.Sub(o.mark).Seconds()
	o.mark = now
	o.most = max(o.most, others+1)
	if o.seconds += seconds; o.busy < abreastSpan {
		return
	}
	sample := min(o.seconds/o.busy, float64(o.most))
	if o.mean == 0 {
		o.mean = sample
	}
	o.mean += abreastWeight * (sample - o.mean)
	o.busy, o.seconds, o.most = 0, 0, 0
}

// times is by how much what waits is through sooner.
func (o *abreast) times() float64 { return max(1, o.mean) }

// crowd is how much of its time the reading and hashing has the processor, while the network brings nothing and while it
// does. What it waits longer in the second case, it does not wait once the network is asked for no more.
type crowd struct {
	quiet, busy worked
}

// worked is time that operations took, and what they needed of it; what is longer ago counts less.
type worked struct {
	seconds, needed float64
}

func (w *worked) add(seconds, needed float64) {
	w.seconds = w.seconds*crowdDecay + seconds
	w.needed = w.needed*crowdDecay + min(needed, seconds)
}

// ended takes in the end of an operation. What does not lie in memory needs all its time.
func (w *crowd) ended(ev Event, busy bool) {
	of, needed := &w.quiet, ev.Seconds
	if busy {
		of = &w.busy
	}
	if ev.Cached && ev.Spent > 0 {
		needed = ev.Spent
	}
	of.add(ev.Seconds, needed)
}

// alone is what an operation beside the network would take without it, as a part of what it takes. What it waited for otherwise can't be
// told apart from waiting for the processor where a part of it was in memory, so the part is bounded.
func (w *crowd) alone() float64 {
	q, b := w.quiet, w.busy
	if q.needed == 0 || b.seconds == 0 {
		return 1
	}
	return min(1, max(leastNeeded, b.needed/b.seconds*q.seconds/q.needed))
}
