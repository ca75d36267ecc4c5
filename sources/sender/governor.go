package sender

import (
	"math"
	"time"

	"dfetch/sources/wire"
)

// AutoCongestion as a name of a congestion control means BBR where the kernel has it, and cubic where that keeps a path busier.
const AutoCongestion = "auto"

// Names of congestion controls to the kernel.
const (
	bbr   = "bbr"
	cubic = "cubic"
)

const (
	// bbrLeast is how many packets BBR leaves on their way for 200 ms every 10 s, to see the shortest round trip.
	// A path that holds more than this is idle meanwhile.
	bbrLeast = 4
	// spare is how much more than the path holds cubic's window has to be: what is above it waits in the path's queue, and
	// is what goes on while the window is small after a loss.
	spare = 1.25
	// betweenLosses times the square of the packets that a path holds is how many packets go by between two losses if
	// a window of twice what it holds is kept up: Reno's window is the root of 1.5 times that number.
	betweenLosses = 4 / 1.5
	narrowFor     = 500 * time.Millisecond // too small a window lasts at least that long before BBR is back, and narrowRounds
	narrowRounds  = 4                      // round trips
	moreCaution   = 4                      // times the packets without loss that are asked for, after each return to BBR

	// Cubic fills any queue. So that what is asked for can still be canceled, others' packets get through, and nothing is
	// lost by it, the queue is kept about this long, by sending a little less than the path's rate or a little more.
	queueTime = 100 * time.Millisecond
	noQueue   = 20 * time.Millisecond // the path may have become faster: it is for cubic to say by how much
	rateSpan  = time.Second           // over which the path's rate is measured

	searchGain = 2.0 // BBR sends at more than this many times the rate only while it looks for the most that a path takes
	rise       = 1.2 // times the rate before is a rise
	flatRounds = 2   // round trips without a rise, after which BBR is held
	heldRounds = 8   // round trips for which it is held at most
)

// governor decides how TCP sends on one path: by BBR, or by cubic where that keeps the path busier, and how fast BBR may
// look for the path's rate. It is pure. In steps:
//
//  1. BBR begins, as it makes its way on long paths and bears losses.
//  2. If its rate does not rise any more and a queue has formed, but it goes on at three times the rate, it is held to
//     what arrives. It stops of itself when it has seen for three round trips that there is enough to send and
//     no more arrives. Where the socket runs dry at such a pace, it can't see that, and loses packets all the time.
//  3. On a slow path that loses nothing cubic follows, once as many packets have gone by as it needs between two losses to
//     keep the path full. BBR would leave the path idle for a part of the 200 ms in which it measures the round trip, and
//     has a queue in it that any delay of sender or receiver uses up.
//  4. When cubic's window stays smaller than what the path holds, BBR is back; the next time more has to go by.
type governor struct {
	cubic   bool
	caution float64 // times what cubic needs between two losses

	resent uint32 // as of the last look
	since  uint32 // packets that had been sent when one was last lost
	holds  float64
	narrow time.Time // since when cubic's window is too small; zero: it is not
	span   time.Time // the start of the present span of measuring the rate
	before uint32    // packets that had arrived then
	most   float64   // bytes a second that arrived in the best span under cubic and the last one before

	best    float64       // the rate at the last rise
	flat    time.Time     // when that was
	arrived uint32        // packets that had arrived then
	rtt     time.Duration // the longest since then
	held    uint64        // the pace to which BBR is held; 0: it is not
}

// course is what the governor decides.
type course struct {
	cubic bool
	pace  uint64 // bytes a second that TCP may send at most; 0: as it likes
}

func (c course) congestion() string {
	if c.cubic {
		return cubic
	}
	return bbr
}

// look takes in what the kernel knows, and of BBR if that is in force.
func (g *governor) look(now time.Time, info wire.TCPInfo, b wire.BBRInfo) course {
	if info.Resent != g.resent {
		g.resent, g.since = info.Resent, info.Sent
	}
	g.measure(now, info)
	if g.cubic {
		g.watch(now, info)
		return course{cubic: g.cubic, pace: g.calm(info)}
	}
	if b.Gain >= searchGain {
		return course{pace: g.hold(now, info, b)}
	}
	if g.suitsCubic(info, b) {
		g.cubic, g.narrow = true, time.Time{}
	}
	return course{cubic: g.cubic}
}

// watch goes back to BBR when cubic's window leaves the path idle.
func (g *governor) watch(now time.Time, info wire.TCPInfo) {
	g.holds = max(g.holds, holds(g.most, info.MinRTT, info.Segment))
	switch {
	case info.Unsent == 0 || float64(info.Window) >= spare*g.holds:
		g.narrow = time.Time{}
	case g.narrow.IsZero():
		g.narrow = now
	case now.Sub(g.narrow) >= max(narrowFor, narrowRounds*info.RTT):
		g.cubic, g.since = false, info.Sent
		g.caution = moreCaution * max(1, g.caution)
		g.best = 0
	}
}

// measure finds the rate of the path.
func (g *governor) measure(now time.Time, info wire.TCPInfo) {
	took := now.Sub(g.span)
	if took < rateSpan {
		return
	}
	rate := float64(info.Arrived-g.before) * float64(info.Segment) / took.Seconds()
	if !g.span.IsZero() && (rate > g.most || !g.cubic) {
		g.most = rate
	}
	g.span, g.before = now, info.Arrived
}

// calm is the pace that keeps the path's queue at its length; 0 while there is none. It is a share of the best rate, not
// of the present one: where others fill the queue, the present rate falls.
func (g *governor) calm(info wire.TCPInfo) uint64 {
	queue := info.RTT - info.MinRTT
	if !g.cubic || queue < noQueue {
		return 0
	}
	return uint64(g.most * max(0.5, 1+(queueTime-queue).Seconds()))
}

// hold is the pace to which BBR is held while it looks for the path's rate; 0 while it finds more.
func (g *governor) hold(now time.Time, info wire.TCPInfo, b wire.BBRInfo) uint64 {
	since := now.Sub(g.flat)
	if rate := float64(b.Rate); rate >= rise*g.best || since > heldRounds*g.rtt {
		g.best, g.flat, g.arrived, g.rtt, g.held = rate, now, info.Arrived, info.RTT, 0
		return 0
	}
	g.rtt = max(g.rtt, info.RTT)
	queued := float64(g.rtt) > spare*float64(info.MinRTT)
	if g.held == 0 && queued && since >= flatRounds*info.RTT {
		mean := float64(info.Arrived-g.arrived) * float64(info.Segment) / since.Seconds()
		g.held = max(uint64(mean), min(b.Rate, info.Rate))
	}
	return g.held
}

// suitsCubic says whether cubic would keep the path full, and BBR would not.
func (g *governor) suitsCubic(info wire.TCPInfo, b wire.BBRInfo) bool {
	g.holds = holds(float64(b.Rate), b.MinRTT, info.Segment)
	if b.Gain == 0 || b.Rate >= slowRate || g.holds <= bbrLeast || float64(info.Window) < spare*g.holds || g.most == 0 {
		return false
	}
	return float64(info.Sent-g.since) >= max(1, g.caution)*betweenLosses*g.holds*g.holds
}

// thirsty says whether a path under cubic would soon run dry.
func (g *governor) thirsty(info wire.TCPInfo) bool {
	return info.Unsent == 0 && float64(info.Flying) < 2*g.holds
}

// holds is how many packets are on a path that is full.
func holds(rate float64, rtt time.Duration, segment uint32) float64 {
	return rate * rtt.Seconds() / math.Max(1, float64(segment))
}
