package costmodel

import "time"

// sweepStep bounds the files, and the directories, that one call of Next compares anew.
const sweepStep = 256

// sweepPause is the shortest time between two steps. A step takes one or two milliseconds.
const sweepPause = 50 * time.Millisecond

// sweep compares the disk's known files and directories again with what is wanted, after more of it
// has become known. It goes round in small steps.
type sweep struct {
	dir, file   uint32 // next
	dirs, files int    // still to look at
	at          time.Time
}

func (s *sweep) restart(p *Planner) { s.dirs, s.files = p.dirs.n, p.files.n }

func (s *sweep) step(p *Planner, now time.Time) {
	if s.dirs == 0 && s.files == 0 || !s.at.IsZero() && now.Before(s.at) {
		return
	}
	s.at = now.Add(sweepPause)
	for range min(s.dirs, sweepStep) {
		p.reviewDir(s.dir)
		s.dir = (s.dir + 1) % uint32(p.dirs.n)
		s.dirs--
	}
	for range min(s.files, sweepStep) {
		p.reviewFile(s.file)
		s.file = (s.file + 1) % uint32(p.files.n)
		s.files--
	}
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
// hashed. False if neither is so.
func (p *Planner) Again() (time.Time, bool) {
	at, more := p.sweep.at, p.sweep.dirs > 0 || p.sweep.files > 0
	if !p.awaited() {
		return at, more
	}
	if late := p.firstLate(); !more || late.Before(at) {
		at = late
	}
	return at, true
}
