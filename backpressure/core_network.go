package backpressure

import "time"

// Path is what is known of the path to a source. Zero values are unknown.
type Path struct {
	Rate   float64       // bytes a second that arrive
	MinRTT time.Duration // shortest round trip
	Cwnd   int64         // the sender's window, segments
	MSS    int64         // bytes of a segment
	Unsent int64         // bytes the sender holds that it could not send yet
}

// firstWindow is asked of a source of which nothing is known.
const firstWindow = 128 << 10

// Want is how many bytes should be outstanding on a path: twice what it holds, but at least two
// chunks and at most twice the sender's window.
func (p Path) Want(chunk int64) int64 {
	low := 2 * chunk
	if p.Rate <= 0 || p.MinRTT <= 0 {
		return max(low, firstWindow)
	}
	want := int64(2 * p.Rate * p.MinRTT.Seconds())
	if p.Cwnd > 0 && p.MSS > 0 {
		want = min(want, 2*p.Cwnd*p.MSS)
	}
	return max(low, want)
}

// Allow says whether a source may be asked for more. chunk is the length of a usual chunk.
func (p Path) Allow(now time.Time, outstanding, chunk int64) Verdict {
	over := outstanding + p.Unsent - p.Want(chunk)
	if outstanding < 2*chunk || over < 0 {
		return allowed
	}
	wait := p.MinRTT / 4
	if p.Rate > 0 {
		wait = seconds(float64(over+1) / p.Rate)
	}
	return refuse(now, ReasonWindow, wait)
}
