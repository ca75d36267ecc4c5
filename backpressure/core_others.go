package backpressure

import "time"

// DiskSample is what the kernel says about the disk; what is not known is negative.
type DiskSample struct {
	Stall  time.Duration // time in which something waited for the disk, ever
	Others int64         // bytes that other programs read and wrote, ever
	Wrote  int64         // those of them that they wrote; with 0 all count as read
}

// UnknownDisk is the sample when nothing is known.
var UnknownDisk = DiskSample{Stall: -1, Others: -1}

// sampleWindow is the shortest time over which a share is taken.
const sampleWindow = 100 * time.Millisecond

// busyOthers is how many bytes a second of other programs count as use of the disk: some dozens of
// small reads.
const busyOthers = 256 << 10

// duty is how many times as long as a search operation took the disk is left to others after it.
const duty = 2

// others watches whether other programs need the disk. Waiting that the search itself causes does
// not count: either what the others moved is known, or it is only looked at while no search runs.
// Who reads waits for each read, and is left most of the time. Who only writes mostly has the kernel
// write later: the search then does what a single reader would.
type others struct {
	last    DiskSample
	at      time.Time
	own     bool // a search ran since last
	pressed bool
	writing bool      // they write, and read next to nothing
	ended   time.Time // last search
	rest    time.Duration
}

func (o *others) searchStarted() { o.own = true }

func (o *others) searchEnded(now time.Time, took time.Duration) {
	o.ended, o.rest = now, duty*max(took, minWait)
}

// sample compares with the sample before. Pressure begins at the given share of waiting, and ends at
// half of it.
func (o *others) sample(now time.Time, s DiskSample, stall float64, searching int) {
	if s.Stall < 0 {
		o.pressed, o.at = false, time.Time{}
		return
	}
	if o.at.IsZero() {
		o.last, o.at, o.own = s, now, searching > 0
		return
	}
	wall := now.Sub(o.at)
	if wall < sampleWindow {
		return
	}
	if share, ok := o.share(s, wall); ok {
		if o.pressed {
			stall /= 2
		}
		o.pressed = share >= stall
		o.writing = s.Others >= 0 && o.last.Others >= 0 && !busy(o.last.read(), s.read(), wall)
	}
	o.last, o.at, o.own = s, now, searching > 0
}

// share is the part of the time in which others waited, if it can be told.
func (o *others) share(s DiskSample, wall time.Duration) (float64, bool) {
	waited := float64(s.Stall-o.last.Stall) / float64(wall)
	if !o.own {
		return waited, true
	}
	if s.Others < 0 || o.last.Others < 0 {
		return 0, false
	}
	if !busy(o.last.Others, s.Others, wall) {
		return 0, true
	}
	return waited, true
}

// busy says whether so many bytes more in that time count as use of the disk.
func busy(before, after int64, wall time.Duration) bool {
	return float64(after-before)/wall.Seconds() >= busyOthers
}

// read is the bytes that other programs read, ever.
func (s DiskSample) read() int64 { return s.Others - s.Wrote }

// turn lets one operation through at a time, and with a pause after it for a third of the time.
func (o *others) turn(now time.Time, searching int, pause bool) Verdict {
	if searching > 0 {
		return refuse(now, ReasonOthers, 10*time.Millisecond)
	}
	if next := o.ended.Add(o.rest); pause && !o.ended.IsZero() && now.Before(next) {
		return refuse(now, ReasonOthers, next.Sub(now))
	}
	return allowed
}
