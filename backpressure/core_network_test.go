package backpressure

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const chunk = 16 << 10

// steady plays a path that brings rate bytes a second, each chunk asked for when it is allowed, and
// counts the bytes that come within span after an opening.
func steady(p *Path, rate float64, rtt, opening, span time.Duration) (came int64) {
	var due []time.Time // when each outstanding chunk comes
	now, free := start, start
	for now.Before(start.Add(opening + span)) {
		for p.Allow(now, chunk).Allow {
			p.Asked(now, chunk)
			if at := now.Add(rtt); free.Before(at) {
				free = at
			}
			free = free.Add(time.Duration(chunk / rate * 1e9))
			due = append(due, free)
		}
		now = due[0]
		due = due[1:]
		p.Answered(chunk)
		p.Arrived(now, chunk)
		if now.After(start.Add(opening)) {
			came += chunk
		}
	}
	return came
}

// A path is kept full: asking whenever it is allowed finds its rate within a few round trips.
func TestPathIsKeptFull(t *testing.T) {
	for _, c := range []struct {
		rate float64
		rtt  time.Duration
	}{{50e6, 100 * time.Millisecond}, {193e3, 40 * time.Millisecond}, {1e9, 100 * time.Microsecond}, {1e5, time.Millisecond}} {
		p := NewPath(start, PathConfig{}, c.rtt)
		came := steady(&p, c.rate, c.rtt, max(12*c.rtt, 100*time.Millisecond), 2*time.Second)
		if got := float64(came) / 2; got < 0.85*c.rate {
			t.Errorf("rate %.0f, round trip %v: %.0f bytes a second", c.rate, c.rtt, got)
		}
		if p.Rate() < 0.9*c.rate || p.Rate() > 1.3*c.rate {
			t.Errorf("rate %.0f, round trip %v: measured %.0f", c.rate, c.rtt, p.Rate())
		}
	}
}

// Before anything is measured the window opens with what arrives, sixfold in a round trip.
func TestWindowOpensWithArrivals(t *testing.T) {
	p := NewPath(start, PathConfig{Min: 64 << 10}, farPath)
	for range 4 {
		p.Asked(start, chunk)
	}
	if v := p.Allow(start, chunk); v.Allow || v.Reason != ReasonWindow {
		t.Fatalf("a fifth chunk: %+v", v)
	}
	for range 4 {
		p.Answered(chunk)
		p.Arrived(start.Add(time.Millisecond), chunk)
	}
	if got := p.Want(); got != (64+openingRoom*64)<<10 {
		t.Errorf("after 64 KiB the window is %d", got)
	}
	if p := NewPath(start, PathConfig{Min: 64 << 10}, time.Second); p.Want() != 512<<10 {
		t.Errorf("a path of a second begins with a window of %d", p.Want())
	}
}

// lossy plays a path whose source sends in bursts, as after losses: what it was asked for comes together, once in
// stall. It tells how often it had nothing left to send, of n bursts.
func lossy(p *Path, rate float64, rtt, stall time.Duration, n int) (starved int) {
	per := int64(rate * stall.Seconds())
	now := start
	for range n {
		for p.Allow(now, chunk).Allow {
			p.Asked(now, chunk)
		}
		dry := p.Outstanding() < per
		if dry {
			starved++
			p.Starved()
		}
		now = now.Add(stall)
		for sent := min(per, p.Outstanding()); sent > 0; sent -= chunk {
			p.Answered(chunk)
			p.Arrived(now, chunk)
		}
	}
	return starved
}

// What comes in bursts far apart looks slow for its round trip. The source says that it starves, and the window
// opens until it does not.
func TestStarvedSourceOpensTheWindow(t *testing.T) {
	p := NewPath(start, PathConfig{}, 100*time.Millisecond)
	lossy(&p, 10e6, 100*time.Millisecond, 600*time.Millisecond, 50)
	if got := lossy(&p, 10e6, 100*time.Millisecond, 600*time.Millisecond, 100); got > 15 {
		t.Errorf("it starved in %d of 100 bursts", got)
	}
	if got := p.Want(); got > 4*6e6 {
		t.Errorf("the window is %d for bursts of 6 MB", got)
	}
	later := start.Add(time.Hour)
	p.Satisfied()
	for range 100 { // nothing more to ask for: no reason to open
		p.Starved()
		p.Asked(later, chunk)
		p.Answered(chunk)
		later = later.Add(time.Second)
		p.Arrived(later, chunk)
	}
	if p.boost > 1.1 {
		t.Errorf("boost %v after a hundred quiet spans", p.boost)
	}
}

// Until its first round trip has passed a path is quiet; then what has not come bounds its rate.
func TestBeforeTheFirstMeasurement(t *testing.T) {
	p := NewPath(start, PathConfig{}, 100*time.Millisecond)
	if got := p.Quiet(start); got != 100*time.Millisecond {
		t.Errorf("before asking: quiet for %v", got)
	}
	p.Asked(start, 1e6)
	later := start.Add(40 * time.Millisecond)
	if got := p.Quiet(later); got != 60*time.Millisecond {
		t.Errorf("40 ms later: quiet for %v", got)
	}
	if got := p.AtMost(later); !math.IsInf(got, 1) {
		t.Errorf("40 ms later: at most %v", got)
	}
	later = start.Add(1100 * time.Millisecond)
	if got := p.Quiet(later); got != 0 {
		t.Errorf("1.1 s later: quiet for %v", got)
	}
	if got := p.AtMost(later); got != 1e6 {
		t.Errorf("1.1 s later: at most %v", got)
	}
	p.Answered(1e6)
	p.Arrived(later, 1e6)
	if got := p.Quiet(later); got != 0 || p.Rate() == 0 {
		t.Errorf("measured %v and quiet for %v", p.Rate(), got)
	}
}

// Want keeps within its bounds, a refusal says when to ask again, and as much as Want may always be
// outstanding.
func TestPathVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	cfg := PathConfig{Min: 1 << 16, Max: 1 << 22}
	for range 200 {
		p := NewPath(start, cfg, time.Duration(rng.Int64N(1e9)))
		now := start
		for range 200 {
			now = now.Add(time.Duration(rng.Int64N(1e8)))
			switch n := rng.Int64N(1 << 18); rng.IntN(4) {
			case 0:
				p.Asked(now, n)
			case 1:
				p.Answered(n)
			case 2:
				p.Arrived(now, n)
			case 3:
				p.RoundTrip(time.Duration(rng.Int64N(1e9)))
			}
			n := rng.Int64N(1 << 20)
			v := p.Allow(now, n)
			checkVerdict(t, now, v)
			if want := p.Want(); want < cfg.Min || want > cfg.Max {
				t.Fatalf("window of %d", want)
			}
			if fits := p.Outstanding()+n <= p.Want(); fits != v.Allow {
				t.Fatalf("%d outstanding, %d more, window %d: %+v", p.Outstanding(), n, p.Want(), v)
			}
		}
	}
}

// Time in which nothing was outstanding does not count for the rate.
func TestIdleTimeIsNoRate(t *testing.T) {
	p := NewPath(start, PathConfig{}, time.Millisecond)
	now := start
	for range 100 {
		now = now.Add(time.Second)
		p.Asked(now, 1e5)
		now = now.Add(10 * time.Millisecond)
		p.Answered(1e5)
		p.Arrived(now, 1e5)
	}
	if p.Rate() < 0.99e7 || p.Rate() > 1.01e7 {
		t.Errorf("10 MB/s measured as %.0f", p.Rate())
	}
}

// What will come first is the shorter queue, the shorter round trip, the faster path.
func TestFinish(t *testing.T) {
	p := NewPath(start, PathConfig{}, 10*time.Millisecond)
	unknown := p.Finish(1 << 20)
	if unknown != time.Second+10*time.Millisecond {
		t.Errorf("nothing known: %v", unknown)
	}
	p.Asked(start, 1<<20)
	if got := p.Finish(1 << 20); got <= unknown {
		t.Errorf("with a queue of 1 MiB: %v", got)
	}
}

// What has piled up while the receiver stood still comes at once. It says nothing of the path.
func TestABunchAfterASilenceIsNoRise(t *testing.T) {
	const rate = 2.5e6
	rtt := 40 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	steady(&p, rate, rtt, time.Second, time.Second)
	now := p.mark
	for range 5 {
		piled := int64(rate / 2)
		p.Asked(now, piled)
		now = now.Add(500 * time.Millisecond)
		for n := int64(0); n < piled; n += chunk { // ten times as fast as it came
			now = now.Add(time.Duration(chunk / (10 * rate) * 1e9))
			p.Answered(chunk)
			p.Arrived(now, chunk)
		}
	}
	if p.Rate() > 1.5*rate {
		t.Errorf("measured %.0f bytes a second on a path of %.0f", p.Rate(), rate)
	}
}

// The first windows of TCP come in bunches too, each twice the one before: that is a rise.
func TestWindowsThatDoubleAreARise(t *testing.T) {
	rtt := 100 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	now := start
	for window := int64(chunk); window <= 64*chunk; window *= 2 {
		p.Asked(now, p.Want()-p.Outstanding())
		now = now.Add(rtt)
		for n := int64(0); n < window; n += chunk {
			if p.Outstanding() < chunk {
				t.Fatalf("a window of %d bytes was not asked for", window)
			}
			p.Answered(chunk)
			p.Arrived(now, chunk)
		}
	}
	if got, want := p.Rate(), 64*chunk/rtt.Seconds(); got < want/2 {
		t.Errorf("measured %.0f bytes a second after a round trip that brought %.0f", got, want)
	}
}

// The mean hardly moves with one span that brings more than the others, and is the rate where all bring the same.
func TestMeanRateOutlastsASpan(t *testing.T) {
	const rate = 2.5e6
	rtt := 40 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	if p.Mean() != 0 {
		t.Errorf("%.0f bytes a second before anything came", p.Mean())
	}
	steady(&p, rate, rtt, time.Second, time.Second)
	if p.Mean() < 0.9*rate || p.Mean() > p.Rate() {
		t.Errorf("mean %.0f bytes a second, rate %.0f, on a path of %.0f", p.Mean(), p.Rate(), rate)
	}
	now := p.mark
	for end := now.Add(rtt + rtt/2); now.Before(end); { // a span, packed four times as well
		p.Asked(now, chunk)
		now = now.Add(time.Duration(chunk / (4 * rate) * 1e9))
		p.Answered(chunk)
		p.Arrived(now, chunk)
	}
	if p.Rate() < 1.7*rate || p.Mean() > 1.5*rate {
		t.Errorf("mean %.0f bytes a second, rate %.0f, after one span of %.0f", p.Mean(), p.Rate(), 4*rate)
	}
}

// A careful path has less outstanding than it would while it opens, and sees all the same how fast it is. What is judged by its
// window is not changed by care.
func TestCarefulPathOpensSlowly(t *testing.T) {
	const rate = 50e6
	rtt := 100 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	p.Asked(start, 256<<10)
	p.Arrived(start.Add(rtt), 256<<10)
	p.Answered(256 << 10)
	bold := p.Limit()
	p.BeCareful(true)
	if got := p.Limit(); got > bold/2 || got < 2*256<<10 {
		t.Errorf("%d bytes may be outstanding, %d if nothing comes in vain", got, bold)
	}
	if p.Want() != bold {
		t.Errorf("care makes a window of %d one of %d", bold, p.Want())
	}
	careful := NewPath(start, PathConfig{}, rtt)
	careful.BeCareful(true)
	steady(&careful, rate, rtt, 15*rtt, time.Second)
	if careful.Rate() < 0.9*rate {
		t.Errorf("measured %.0f bytes a second on a path of %.0f", careful.Rate(), rate)
	}
}

// Where answers take much longer than a round trip, care is what limits a path, and the source says that it ran dry. Neither the
// rate nor the mean falls by that, and no boost is saved up for the time after it.
func TestCareIsNotTakenForASlowPath(t *testing.T) {
	const rate = 10e6
	rtt := 20 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	steady(&p, rate, rtt, time.Second, time.Second)
	before, mean, window := p.Rate(), p.Mean(), p.Want()
	p.BeCareful(true)
	now := p.mark
	for range 20 {
		n := p.Limit() / chunk * chunk
		p.Asked(now, n)
		now = now.Add(rtt + 200*time.Millisecond)
		p.Allow(now, chunk)
		p.Starved()
		p.Answered(n)
		p.Arrived(now, n)
	}
	if p.Rate() < 0.95*before || p.Mean() < 0.95*mean {
		t.Errorf("%.0f bytes a second, mean %.0f; %.0f and %.0f before", p.Rate(), p.Mean(), before, mean)
	}
	if p.BeCareful(false); p.Limit() > window {
		t.Errorf("%d bytes may be outstanding, %d before", p.Limit(), window)
	}
	p.BeCareful(true)
	for range 20 { // the path itself has become slow
		p.Asked(now, 8*chunk)
		now = now.Add(500 * time.Millisecond)
		p.Answered(8 * chunk)
		p.Arrived(now, 8*chunk)
	}
	if p.Rate() > before/2 {
		t.Errorf("%.0f bytes a second where %.0f come", p.Rate(), 8*chunk/0.5)
	}
}

// A span that care made short does not end the opening of a path's window: without care it goes on where it was.
func TestCareDoesNotSettleAnOpeningPath(t *testing.T) {
	const rtt = 100 * time.Millisecond
	p := NewPath(start, PathConfig{}, rtt)
	now := start
	span := func(n int64) {
		p.Asked(now, n)
		now = now.Add(rtt)
		p.Answered(n)
		p.Arrived(now, n)
	}
	for _, n := range []int64{30e3, 60e3, 120e3} {
		span(n)
	}
	p.BeCareful(true)
	p.Starved()
	span(130e3)
	p.BeCareful(false)
	if before := int64(openingRoom * 130e3); p.Want() < before {
		t.Errorf("a window of %d bytes after a short span, %d came in it", p.Want(), int64(130e3))
	}
	for range 3 {
		span(p.Want())
	}
	if p.Rate() < 50e6 {
		t.Errorf("measured %.0f bytes a second where all comes in a round trip", p.Rate())
	}
}

// Until a path first ceases to get faster, its mean is what it brought last.
func TestMeanOfAnOpeningPathIsItsRate(t *testing.T) {
	p := NewPath(start, PathConfig{}, 40*time.Millisecond)
	now := start
	for n := int64(chunk); n <= 16*chunk; n *= 2 {
		p.Asked(now, n)
		now = now.Add(40 * time.Millisecond)
		p.Answered(n)
		p.Arrived(now, n)
	}
	if !p.Opening() || p.Mean() < 0.9*p.Rate() {
		t.Errorf("opening %v, mean %.0f, rate %.0f", p.Opening(), p.Mean(), p.Rate())
	}
}
