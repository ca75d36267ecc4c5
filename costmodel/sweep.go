package costmodel

import "time"

// sweepStep bounds the files, and the directories, that one call of Next compares anew.
const sweepStep = 256

// sweepPause is the shortest time between two steps. A step takes one or two milliseconds.
const sweepPause = 50 * time.Millisecond

// sweep compares the disk's known files and directories again with what is wanted, after more of it
// has become known. It goes round in small steps. What is found later is compared when it is found.
type sweep struct {
	dirs, files round
	at          time.Time
}

// round goes once over what there was when it began, from where the one before it was.
type round struct {
	next uint32
	of   int // how many there were
	left int // still to look at
}

func (r *round) begin(n int) { r.of, r.left = n, n }

// step calls review for some.
func (r *round) step(review func(id uint32)) {
	for range min(r.left, sweepStep) {
		if int(r.next) >= r.of {
			r.next = 0
		}
		review(r.next)
		r.next++
		r.left--
	}
}

func (s *sweep) restart(p *Planner) {
	s.dirs.begin(p.dirs.n)
	s.files.begin(p.files.n)
}

// waits says whether something is still to be looked at.
func (s *sweep) waits() bool { return s.dirs.left > 0 || s.files.left > 0 }

func (s *sweep) step(p *Planner, now time.Time) {
	if !s.waits() || !s.at.IsZero() && now.Before(s.at) {
		return
	}
	s.at = now.Add(sweepPause)
	s.dirs.step(p.reviewDir)
	s.files.step(p.reviewFile)
}

func (p *Planner) reviewDir(id uint32) {
	d := p.dirs.at(id)
	if d.state != queued && d.state != idle {
		return
	}
	d.of = 0
	p.refresh(id, d)
	p.remove(OpStat, id, idle)
	p.enqueueDir(id)
}

func (p *Planner) reviewFile(id uint32) {
	f := p.files.at(id)
	if f.state != queued && f.state != idle {
		return
	}
	p.remove(OpHash, id, idle)
	p.compare(f)
	p.enqueueFile(id)
}

// compare notes what a file is likeliest to have by what is wanted now.
func (p *Planner) compare(f *file) {
	n := partsOf(p.names.get(f.name))
	p.match(f, &n)
	p.keepPairs(f)
}

// Again says when Next may know more than now, though nothing happens until then: files and directories wait to
// be compared with what has been wanted since they were seen, or a run or sweep will be late because of which nothing is listed and
// hashed, or a device that did not answer is to be tried again. False if none is so.
func (p *Planner) Again() (at time.Time, more bool) {
	sooner := func(t time.Time) {
		if !more || t.Before(at) {
			at, more = t, true
		}
	}
	if p.sweep.waits() {
		sooner(p.sweep.at)
	}
	if p.awaited() {
		sooner(p.firstLate())
	}
	if try, ok := p.nextTry(); ok {
		sooner(try)
	}
	return at, more
}
