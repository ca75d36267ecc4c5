package watch

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// QueueConfig says how patient a Queue is. The zero value is what Run has if nothing else is said.
type QueueConfig struct {
	// Quiet is how long a directory must not have changed; zero is 3 s, as files are young for 2 s.
	Quiet time.Duration
	// MaxQuiet bounds what Quiet grows to for a directory that changes again and again, and how long one that never is
	// quiet waits; zero is 10 minutes.
	MaxQuiet time.Duration
	// Every is the time between two listings of everything; zero is an hour.
	Every time.Duration
}

// patience is how many times its quiet a directory that keeps changing waits at most, and how soon after it was read a
// change counts as one more of the same.
const patience = 10

// sweepShare is how many times as long as a listing of everything took there is none, but not for longer than Every.
const sweepShare = 10

// maxDirty bounds the directories that are known to have changed. With more, everything is listed.
const maxDirty = 1 << 16

// Queue holds the directories that changed. It reads no clock; it is not safe for concurrent use.
type Queue struct {
	cfg   QueueConfig
	dirty map[string]change
	read  map[string]reading // directories that were read, for as long as that matters
	taken []string           // the last that were, which are read now
	swept time.Time          // when the last listing of everything ended
	sweep time.Time          // when the next is due
	rest  time.Duration      // how long after the last it may begin
	lost  bool               // changes since the listing of everything began
}

// change is a directory that is to be read.
type change struct {
	first, last time.Time
	quiet       time.Duration
	most        time.Duration // how long it waits if it never is quiet
}

// reading is when a directory was read last, and how quiet it had to be.
type reading struct {
	at    time.Time
	quiet time.Duration
}

// NewQueue makes a queue. Everything is due at once.
func NewQueue(cfg QueueConfig) *Queue {
	cfg.Quiet = cmp.Or(cfg.Quiet, 3*time.Second)
	cfg.MaxQuiet = max(cfg.Quiet, cmp.Or(cfg.MaxQuiet, 10*time.Minute))
	cfg.Every = cmp.Or(cfg.Every, time.Hour)
	return &Queue{cfg: cfg, dirty: map[string]change{}, read: map[string]reading{}}
}

// Note says that something in a directory changed.
func (q *Queue) Note(dir string, now time.Time) {
	c, ok := q.dirty[dir]
	if !ok {
		quiet := q.quietOf(dir, now)
		c = change{first: now, quiet: quiet, most: min(patience*quiet, q.cfg.MaxQuiet)}
	}
	c.last = now
	q.dirty[dir] = c
	if len(q.dirty) > maxDirty {
		clear(q.dirty)
		q.NoteAll(now)
	}
}

// quietOf is how quiet a directory must have been that begins to change now.
func (q *Queue) quietOf(dir string, now time.Time) time.Duration {
	if last, ok := q.read[dir]; ok && now.Sub(last.at) < patience*last.quiet {
		return min(2*last.quiet, q.cfg.MaxQuiet)
	}
	return q.cfg.Quiet
}

// NoteAll says that it is not known what else changed: everything is listed as soon as the last time allows it.
func (q *Queue) NoteAll(now time.Time) {
	q.lost = true
	if soon := now.Add(q.cfg.Quiet); soon.Before(q.sweep) {
		q.sweep = later(soon, q.swept.Add(q.rest))
	}
}

// due is when a directory is to be read.
func (c change) due() time.Time {
	return earlier(c.last.Add(c.quiet), c.first.Add(c.most))
}

// SweepDue says whether everything is to be listed now.
func (q *Queue) SweepDue(now time.Time) bool { return !now.Before(q.sweep) }

// BeginSweep takes what changed so far as part of a listing of everything that begins now.
func (q *Queue) BeginSweep() {
	clear(q.dirty)
	q.lost = false
}

// EndSweep says that everything was listed, and how long that took.
func (q *Queue) EndSweep(now time.Time, took time.Duration) {
	q.rest = min(sweepShare*took, q.cfg.Every)
	q.swept, q.sweep = now, now.Add(q.cfg.Every)
	if q.lost {
		q.NoteAll(now)
	}
}

// NextSweep is when everything is to be listed next.
func (q *Queue) NextSweep() time.Time { return q.sweep }

// Take takes at most n directories that are due, the longest due first.
func (q *Queue) Take(now time.Time, n int) []string {
	maps.DeleteFunc(q.read, func(_ string, r reading) bool { return now.Sub(r.at) >= patience*r.quiet })
	var dirs []string
	for dir, c := range q.dirty {
		if !now.Before(c.due()) {
			dirs = append(dirs, dir)
		}
	}
	slices.SortFunc(dirs, func(a, b string) int {
		return cmp.Or(q.dirty[a].due().Compare(q.dirty[b].due()), cmp.Compare(a, b))
	})
	dirs = dirs[:min(n, len(dirs))]
	for _, dir := range dirs {
		q.read[dir] = reading{now, q.dirty[dir].quiet}
		delete(q.dirty, dir)
	}
	q.taken = dirs
	return dirs
}

// EndRead says that what was taken last has been read now.
func (q *Queue) EndRead(now time.Time) {
	for _, dir := range q.taken {
		if r, ok := q.read[dir]; ok {
			q.read[dir] = reading{now, r.quiet}
		}
	}
	q.taken = nil
}

// Idle says whether no directory is known to have changed.
func (q *Queue) Idle() bool { return len(q.dirty) == 0 }

// Next is when something is due, which may have passed.
func (q *Queue) Next() time.Time {
	next := q.sweep
	for _, c := range q.dirty {
		next = earlier(next, c.due())
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
