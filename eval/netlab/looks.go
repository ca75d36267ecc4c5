package netlab

import "time"

const (
	// lookAgain is how long an engine waits for packets at most after some flowed: a
	// wait that takes longer was a stall.
	lookAgain = 5 * time.Millisecond
	// quiet is how long after the last packet an engine waits without a limit.
	quiet = time.Second
)

// looks tells how much later than it was to an engine looks for packets. It has no
// clock: look and plan are called in turn.
type looks struct {
	last   time.Duration // when the engine looked
	meant  time.Duration // when it was to look again at the latest
	flowed time.Duration // when it last moved a packet
}

func newLooks() *looks { return &looks{meant: Never, flowed: -quiet} }

// look takes in a look at a time and returns how late it is.
func (l *looks) look(now time.Duration) (late time.Duration) {
	l.last = now
	return max(0, now-l.meant)
}

// plan returns for how long to pause after a look, wait at most, and remembers
// when the next look is to be.
func (l *looks) plan(worked bool, wait time.Duration) time.Duration {
	wait = max(0, wait)
	switch {
	case worked:
		l.flowed = l.last
		wait = min(wait, nap)
	case l.last-l.flowed < quiet:
		wait = min(wait, lookAgain)
	default:
		l.meant = Never
		return wait
	}
	l.meant = l.last + wait
	return wait
}
