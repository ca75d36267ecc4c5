package backpressure

import "time"

// Verdict is the answer to "may this go ahead?".
type Verdict struct {
	Allow  bool
	Reason string    // why not; empty if Allow
	Again  time.Time // when to ask again, after now; zero if Allow
}

// Reasons of refusals.
const (
	ReasonBacklog  = "received data waits to be written"
	ReasonStuck    = "writing does not get on"
	ReasonInflight = "as much is on its way as the disk can take"
	ReasonDepth    = "enough disk operations are under way"
	ReasonOthers   = "other programs wait for the disk"
	ReasonWindow   = "the source has enough to do"
	ReasonBudget   = "planning has had its share of time"
	ReasonNetwork  = "the network is faster"
	ReasonBusy     = "the processor is busy"
)

var allowed = Verdict{Allow: true}

// minWait and maxWait bound the time until to ask again.
const (
	minWait = time.Millisecond
	maxWait = time.Second
)

func refuse(now time.Time, reason string, wait time.Duration) Verdict {
	return Verdict{Reason: reason, Again: now.Add(min(max(wait, minWait), maxWait))}
}

// seconds is a duration of so many seconds, at most maxWait.
func seconds(s float64) time.Duration {
	if !(s < maxWait.Seconds()) {
		return maxWait
	}
	return time.Duration(s * float64(time.Second))
}

// alpha is the weight of a new measurement in an average.
const alpha = 0.2

// average is an exponentially weighted one; the first value counts in full.
type average struct {
	value float64
	known bool
}

func (a *average) add(v float64) {
	if !a.known {
		a.value, a.known = v, true
		return
	}
	a.value += alpha * (v - a.value)
}
