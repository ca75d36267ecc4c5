package backpressure

import (
	"math"
	"time"
)

// PathConfig sets what may be outstanding on a path. Zero values mean the defaults.
type PathConfig struct {
	Min   int64         // bytes that may always be outstanding; 0 = 64 KiB
	Max   int64         // bytes that may be outstanding at most; 0 = 32 MiB
	Grace time.Duration // queueing that is allowed for beside the round trip; 0 = 25 ms
}

func (c PathConfig) withDefaults() PathConfig {
	if c.Min <= 0 {
		c.Min = 64 << 10
	}
	if c.Max <= 0 {
		c.Max = 32 << 20
	}
	if c.Grace <= 0 {
		c.Grace = 25 * time.Millisecond
	}
	return c
}

// Constants of a path's measurement and window.
const (
	shortestSpan = 20 * time.Millisecond  // over which a rate is measured
	firstSpan    = 5 * time.Millisecond   // the same for the first one
	steadyGain   = 2.0                    // times what the path holds that may be outstanding
	openingGain  = 4.0                    // the same while the rate still rises
	openingRoom  = 5                      // bytes that may be asked for at first, for each that came
	rising       = 1.25                   // a measurement so many times the rate before counts as a rise
	mostRise     = 2.0                    // times the rate before that a measurement counts at most, once one was no rise
	priorPath    = 1 << 20                // bytes a second of a path of which nothing is known
	starvedGain  = 2.0                    // on the window, after a span in which it starved the source
	maxBoost     = 16.0                   // of all such gains
	boostDecay   = 0.97                   // on them, after any other span
	farPath      = 40 * time.Millisecond  // of a round trip for which Min is enough to begin with
	maxFar       = 8                      // times Min to begin with on a longer one
	meanKeeps    = 0.875                  // of the spans before, each span in the mean
	maxSilence   = 250 * time.Millisecond // that is made up for by what comes after it
)

// Path measures the path to a source and decides how much may be outstanding on it. Make it with
// NewPath. It is not safe for concurrent use.
//
// The rate is that of spans of a round trip, 20 ms at least, in which something was outstanding: idle
// time says nothing about the path. It follows a rise at once, so that the window opens as fast as the
// path does, and a fall slowly.
//
// What comes in a bunch after a silence, since a packet was lost or the processor had no time, did not come
// faster: it is counted as if it had come at the known rate, until the silence is used up (maxSilence of it).
//
// On a path that loses packets what comes after a lost one waits for it, so that the rate seems lower, and
// more has to be outstanding, than the path would need. The source knows best whether it has enough to send:
// see Starved.
type Path struct {
	cfg         PathConfig
	rtt         time.Duration // the shortest; 0 = unknown
	rate        float64       // bytes a second; 0 before the first measurement
	all         worked        // what came in the spans so far, and how long it took
	opening     bool          // the last measurement was a rise
	opened      bool          // one was not
	settled     bool          // one was not, although the source had enough to send
	outstanding int64
	mark        time.Time     // up to when busy and silence have been counted
	busy        time.Duration // time with something outstanding, in the present span
	silence     time.Duration // the same that is not in busy, as what came took less at the known rate
	bytes       int64         // that arrived in the present span
	before      [2]int64      // the same of the two spans before
	boost       float64       // times what the rate says that may be outstanding
	refused     bool          // more is to be asked for than may be outstanding
	dry         bool          // the source ran out of requests in the span
	starved     bool          // and more was to be asked for than may be outstanding
	gained      bool          // the boost rose after the span before
	careful     bool          // what is asked for probably comes in vain
}

// NewPath makes a path of which the round trip is known, or 0.
func NewPath(now time.Time, cfg PathConfig, rtt time.Duration) Path {
	return Path{cfg: cfg.withDefaults(), rtt: rtt, mark: now, boost: 1}
}

// RoundTrip takes in a measured round trip; the shortest counts.
func (p *Path) RoundTrip(rtt time.Duration) {
	if rtt > 0 && (p.rtt == 0 || rtt < p.rtt) {
		p.rtt = rtt
	}
}

// MinRTT is the shortest round trip; 0 if none is known.
func (p *Path) MinRTT() time.Duration { return p.rtt }

// Rate is the bytes a second that the path brings while it is used; 0 if that is unknown.
func (p *Path) Rate() float64 { return p.rate }

// Mean is the bytes a second that came in the last spans together, at most Rate; before the rate first ceases to rise of itself,
// in the last one. What it says of the time that much will take does not hang on a single span: one may hold what waited for a
// busy receiver, or what happened to be packed well.
func (p *Path) Mean() float64 {
	if p.all.seconds == 0 {
		return p.rate
	}
	return min(p.rate, p.all.bytes/p.all.seconds)
}

// worked is bytes and the time that they took; what is longer ago counts less.
type worked struct{ bytes, seconds float64 }

func (w *worked) add(bytes int64, took time.Duration) {
	w.bytes = meanKeeps*w.bytes + float64(bytes)
	w.seconds = meanKeeps*w.seconds + took.Seconds()
}

// Opening says whether the rate has been measured and has never ceased to rise: the path may be faster.
func (p *Path) Opening() bool { return p.rate > 0 && !p.opened }

// Outstanding is the bytes that were asked for and not answered.
func (p *Path) Outstanding() int64 { return p.outstanding }

// Asked tells of n bytes that were asked for.
func (p *Path) Asked(now time.Time, n int64) {
	if p.outstanding == 0 {
		p.mark, p.silence = now, 0
	}
	p.outstanding += n
}

// Answered tells that n bytes are no longer outstanding, whether they came or will not come.
func (p *Path) Answered(n int64) { p.outstanding = max(0, p.outstanding-n) }

// Starved tells that the source had run out of requests, while its network would have taken more. If it was
// the window that kept requests back, the window grows; if it was care, what comes says nothing of the path.
func (p *Path) Starved() {
	p.dry = true
	p.starved = p.starved || p.refused && !p.careful
}

// Satisfied tells that the window keeps nothing back at present, whatever Allow refused before.
func (p *Path) Satisfied() { p.refused = false }

// took is the time that n bytes that come now took.
func (p *Path) took(now time.Time, n int64) time.Duration {
	since := p.silence + now.Sub(p.mark)
	p.mark, p.silence = now, 0
	if p.rate == 0 {
		return since
	}
	took := max(min(since, seconds(float64(n)/p.rate)), since-maxSilence)
	p.silence = since - took
	return took
}

// Arrived tells of n bytes that came.
func (p *Path) Arrived(now time.Time, n int64) {
	p.bytes += n
	p.busy += p.took(now, n)
	if p.busy < p.span() {
		return
	}
	sample := float64(p.bytes) / p.busy.Seconds()
	if !p.opened {
		p.all = worked{}
	}
	short := p.careful && p.dry // of requests, by choice
	spared := short && sample < p.rate
	if !spared {
		p.all.add(p.bytes, p.busy)
	}
	if p.settled {
		sample = min(sample, mostRise*p.rate)
	}
	p.opening = sample > rising*p.rate
	p.opened = p.opened || !p.opening
	p.settled = p.settled || !p.opening && !p.starved && !short
	if sample > p.rate {
		p.boost = max(1, p.boost*p.rate/sample)
		p.rate = sample
	} else if !spared {
		p.rate += alpha * (sample - p.rate)
	}
	p.adapt()
	p.before = [2]int64{p.bytes, p.before[0]}
	p.busy, p.bytes, p.dry, p.starved = 0, 0, false, false
}

// span is the time over which the rate is measured next.
func (p *Path) span() time.Duration {
	if p.rate == 0 {
		return max(p.rtt, firstSpan)
	}
	return max(p.rtt, shortestSpan)
}

// adapt sets the boost at the end of a span. Unless the rate rises, one span is waited for after a gain: what
// comes in it was asked for before.
func (p *Path) adapt() {
	switch {
	case p.gained:
		p.gained = false
	case p.starved:
		p.boost, p.gained = min(p.boost*starvedGain, maxBoost), !p.opening
	default:
		p.boost = max(p.boost*boostDecay, 1)
	}
}

// Want is how many bytes may be outstanding: twice what the path and the allowed queue hold. While the
// rate still rises it is four times that, since what is measured then is what was asked for. And until
// the rate first ceases to rise of itself, each byte that came in this span and the two before makes room for five
// more: measurements are too late for a path that opens as TCP does, unless it is so short that TCP opens within one.
func (p *Path) Want() int64 {
	gain := steadyGain * p.boost
	if p.opening {
		gain = max(gain, openingGain)
	}
	want := int64(gain * p.rate * (p.rtt + p.cfg.Grace).Seconds())
	if !p.settled && (p.rate == 0 || p.rtt >= firstSpan) {
		first := min(maxFar, max(1, p.rtt.Seconds()/farPath.Seconds()))
		want = max(want, int64(first*float64(p.cfg.Min))+openingRoom*(p.bytes+p.before[0]+p.before[1]))
	}
	return min(max(want, p.cfg.Min), p.cfg.Max)
}

// Limit is how many bytes may be outstanding now: Want, and while the path is to be careful no more than twice what it
// holds by its rate. That is enough to see it open, in more round trips.
func (p *Path) Limit() int64 {
	if !p.careful {
		return p.Want()
	}
	return min(p.Want(), max(p.cfg.Min, int64(steadyGain*p.rate*(p.rtt+p.cfg.Grace).Seconds())))
}

// BeCareful says whether most of what is asked for will probably come in vain.
func (p *Path) BeCareful(careful bool) { p.careful = careful }

// Quiet is how long nothing can come yet, as the round trip of the first request has not passed.
func (p *Path) Quiet(now time.Time) time.Duration {
	if p.rate > 0 || p.bytes > 0 {
		return 0
	}
	if p.outstanding == 0 {
		return p.rtt
	}
	return max(0, p.mark.Add(p.rtt).Sub(now))
}

// AtMost is a bound, in bytes a second, of a rate that has not been measured yet: what was asked for
// would have come in the time since then if the path were faster. It is infinite while nothing is known.
func (p *Path) AtMost(now time.Time) float64 {
	since := p.busy - p.rtt
	if p.outstanding > 0 {
		since += now.Sub(p.mark)
	}
	if since <= 0 {
		return math.Inf(1)
	}
	return float64(p.outstanding+p.bytes) / since.Seconds()
}

// Allow says whether n more bytes may be asked for.
func (p *Path) Allow(now time.Time, n int64) Verdict {
	over := p.outstanding + n - p.Limit()
	if over <= 0 {
		return allowed
	}
	p.refused = true
	wait := p.rtt / 4
	if p.rate > 0 {
		wait = seconds(float64(over) / p.rate)
	}
	return refuse(now, ReasonWindow, wait)
}

// Finish is when n more bytes would have come if they were asked for now: after the round trip and
// what is outstanding. A path of which nothing is known is neither preferred to a fast one nor left
// unused.
func (p *Path) Finish(n int64) time.Duration {
	rate := p.rate
	if rate == 0 {
		rate = priorPath
	}
	return p.rtt + time.Duration(float64(p.outstanding+n)/rate*float64(time.Second))
}
