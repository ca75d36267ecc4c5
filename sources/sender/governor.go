package sender

import (
	"math"
	"time"

	"dfetch/sources/wire"
)

// AutoCongestion as a name of a congestion control means BBR where the kernel has it, held by a governor.
const AutoCongestion = "auto"

// Names of congestion controls to the kernel.
const (
	bbr   = "bbr"
	cubic = "cubic"
)

const (
	searchGain = 2.0 // BBR sends at this many times the rate or more only while it looks for the most that a path takes
	rise       = 1.2 // times the rate before is a rise
	flatRounds = 2   // round trips without a rise, after which BBR is held
	heldRounds = 8   // round trips for which it is held at most

	queued = 1.25 // times the shortest round trip: with more there is a queue
	// full is how many times what the path holds without a queue are on their way at least, if the path is what limits
	// and the socket has nothing more to send just now.
	full = 1.5
)

// governor holds BBR to the rate that it has found, where it does not notice that it has. BBR begins by sending at three
// times the rate that arrives, until it has seen for three round trips that there is enough to send and no more
// arrives. Where the socket runs dry at such a pace, it can't see that: it goes on for as long as the connection
// lasts, and loses packets all the time. So it is held once its rate does not rise any more and a queue has formed. At that
// pace the socket does not run dry, and BBR sees what there is to see.
//
// What was seen while the path was not kept full says nothing about it. The governor is pure.
type governor struct {
	best    float64       // the rate at the last rise; 0: measuring has not begun
	flat    time.Time     // when that was
	arrived uint32        // packets that had arrived then
	rtt     time.Duration // the longest since then
	held    uint64        // the pace to which BBR is held; 0: it is not
}

// look takes in what the kernel and BBR know, and says how many bytes a second TCP may send at most; 0: as it likes.
func (g *governor) look(now time.Time, info wire.TCPInfo, b wire.BBRInfo) uint64 {
	if b.Gain < searchGain || idles(info, b) {
		*g = governor{}
		return 0
	}
	since := now.Sub(g.flat)
	if rate := float64(b.Rate); rate >= rise*g.best || since > heldRounds*g.rtt {
		*g = governor{best: rate, flat: now, arrived: info.Arrived, rtt: info.RTT}
		return 0
	}
	g.rtt = max(g.rtt, info.RTT)
	flat := since >= flatRounds*info.RTT && float64(g.rtt) > queued*float64(info.MinRTT)
	if g.held == 0 && flat && info.Unsent > 0 {
		mean := float64(info.Arrived-g.arrived) * float64(info.Segment) / since.Seconds()
		g.held = max(uint64(mean), min(b.Rate, info.Rate))
	}
	return g.held
}

// idles says whether the path could take more than it is given.
func idles(info wire.TCPInfo, b wire.BBRInfo) bool {
	return info.Unsent == 0 && float64(info.Flying) < full*holds(float64(b.Rate), info.MinRTT, info.Segment)
}

// holds is how many packets are on a path that is full and has no queue.
func holds(rate float64, rtt time.Duration, segment uint32) float64 {
	return rate * rtt.Seconds() / math.Max(1, float64(segment))
}
