package fetch

import (
	"time"

	"dfetch/costmodel"
)

// A disk that does not answer keeps an operation for as long as the shell waits for it. The others go on meanwhile: an operation
// that takes far longer than it should counts on its own device alone. What is done about a device on which
// operations are abandoned is the planner's to say.

// An operation is late when it takes so much longer than holdSlow times what it should: then nothing is left to a disk that is
// trusted either. After mostLate it is in any case.
const (
	lateAfter = trustPause
	mostLate  = time.Minute
)

// watch finds the operations that are late. It says when the next one would be.
func (s *search) watch(now time.Time) (next time.Time) {
	for i := range s.running {
		r := &s.running[i]
		if r.late {
			continue
		}
		at := r.since.Add(lateAfter + time.Duration(min(holdSlow*r.op.Cost, mostLate.Seconds())*float64(time.Second)))
		if now.Before(at) {
			next = earlier(next, at)
			continue
		}
		s.disk.SearchLate()
		s.batchLate(r.batch)
	}
	return next
}

// batchLate notes that all of a batch is late.
func (s *search) batchLate(batch uint32) {
	for i := range s.running {
		if r := &s.running[i]; r.batch == batch {
			r.late = true
			s.planner.Late(r.op)
		}
	}
}

// wentOn notes that an operation of a batch has ended, so that the next one begins.
func (s *search) wentOn(now time.Time, batch uint32) {
	for i := range s.running {
		if r := &s.running[i]; r.batch == batch {
			r.since = now
		}
	}
}

// unmeasured is how many operations run at once on a device that was not measured.
const unmeasured = 2

// measured takes in what reading from a device costs.
func (s *search) measured(ev Event) {
	dev := costmodel.Device(ev.Device)
	if s.depths == nil {
		s.depths = map[costmodel.Device]int{}
	}
	s.depths[dev] = max(1, ev.Speed.Depth)
	s.planner.Measured(dev, ev.Speed.Seek, ev.Speed.PerByte)
}

// depth is how many operations may run at once on a device. All together have a limit besides.
func (s *search) depth(dev costmodel.Device) int {
	if n := s.depths[dev]; n > 0 {
		return n
	}
	return unmeasured
}

// markFull tells the planner the devices on which as many operations are under way as may be.
func (s *search) markFull() {
	for _, dev := range s.full {
		s.planner.SetFull(dev, false)
	}
	s.full = s.full[:0]
	last := uint32(0)
	for i := range s.running {
		r := &s.running[i]
		if r.batch == last || r.op.Kind == costmodel.OpCheck {
			continue
		}
		if last = r.batch; s.underWay(r.op.Dev) >= s.depth(r.op.Dev) {
			s.planner.SetFull(r.op.Dev, true)
			s.full = append(s.full, r.op.Dev)
		}
	}
}

// underWay is how many operations are under way on a device, those of a batch as one.
func (s *search) underWay(dev costmodel.Device) (n int) {
	last := uint32(0)
	for i := range s.running {
		if r := &s.running[i]; r.op.Dev == dev && r.op.Kind != costmodel.OpCheck && r.batch != last {
			n, last = n+1, r.batch
		}
	}
	return n
}

// active is how many operations are under way that are not late.
func (s *search) active() (n int) {
	for i := range s.running {
		if !s.running[i].late {
			n++
		}
	}
	return n
}
