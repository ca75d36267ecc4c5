package sender

import (
	"testing"
	"time"

	"dfetch/sources/wire"
)

// drive is a connection as the kernel would tell of it: full packets arrive at a rate, and the governor looks every 20 ms.
type drive struct {
	gov  governor
	now  time.Time
	rate float64 // bytes a second
	info wire.TCPInfo
	bbr  wire.BBRInfo
	part float64 // of a packet
}

const driveStep = 20 * time.Millisecond

// newDrive is a path of which BBR knows rate and round trip.
func newDrive(rate float64, rtt time.Duration) *drive {
	return &drive{
		now: time.Unix(1e9, 0), rate: rate,
		info: wire.TCPInfo{Segment: 1448, Window: uint32(2 * rate * rtt.Seconds() / 1448), Unsent: 1, RTT: rtt, MinRTT: rtt},
		bbr:  wire.BBRInfo{Rate: uint64(rate), MinRTT: rtt, Gain: 1},
	}
}

// run goes on for d; each nth packet is sent twice, if n is not 0.
func (d *drive) run(t time.Duration, n uint32) (c course) {
	for end := d.now.Add(t); d.now.Before(end); d.now = d.now.Add(driveStep) {
		d.part += d.rate * driveStep.Seconds() / float64(d.info.Segment)
		for ; d.part >= 1; d.part-- {
			d.info.Sent++
			d.info.Arrived++
			if n > 0 && d.info.Sent%n == 0 {
				d.info.Sent++
				d.info.Resent++
			}
		}
		c = d.gov.look(d.now, d.info, d.bbr)
	}
	return c
}

// until is how long it takes until the governor takes cubic or leaves it.
func (d *drive) until(cubic bool, most time.Duration, n uint32) (time.Duration, bool) {
	for begin := d.now; d.now.Sub(begin) < most; {
		if d.run(driveStep, n).cubic == cubic {
			return d.now.Sub(begin), true
		}
	}
	return most, false
}

func TestCubicOnASlowPathThatLosesNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  float64
		rtt   time.Duration
		lost  uint32        // one packet of so many
		by    time.Duration // cubic is to follow; 0: never
		after time.Duration
	}{
		{"T1", 193e3, 47 * time.Millisecond, 0, 3 * time.Second, 500 * time.Millisecond},
		{"T1, seldom lossy", 193e3, 47 * time.Millisecond, 1000, 3 * time.Second, 500 * time.Millisecond},
		{"T1, lossy", 193e3, 47 * time.Millisecond, 50, 0, 0},
		{"20 Mbit/s, 40 ms", 2.4e6, 40 * time.Millisecond, 0, 10 * time.Second, 5 * time.Second},
		{"20 Mbit/s, 40 ms, lossy", 2.4e6, 40 * time.Millisecond, 1000, 0, 0},
		{"100 Mbit/s, 100 ms", 12e6, 100 * time.Millisecond, 0, 0, 0},
		{"slow and near: four packets fill it", 193e3, 20 * time.Millisecond, 0, 0, 0},
		{"fast and near", 120e6, time.Millisecond, 0, 0, 0},
	} {
		d := newDrive(c.rate, c.rtt)
		got, took := d.until(true, time.Minute, c.lost)
		if took != (c.by > 0) || took && (got > c.by || got < c.after) {
			t.Errorf("%s: cubic after %v (%v), want %v to %v", c.name, got, took, c.after, c.by)
		}
	}
}

func TestNoCubicWhileBBRSeeksOrMeasures(t *testing.T) {
	seeks := newDrive(193e3, 47*time.Millisecond)
	seeks.bbr.Gain = 2.89
	unknown := newDrive(193e3, 47*time.Millisecond)
	unknown.bbr = wire.BBRInfo{}
	measures := newDrive(193e3, 47*time.Millisecond)
	measures.info.Window = bbrLeast
	for name, d := range map[string]*drive{"seeks": seeks, "unknown": unknown, "measures": measures} {
		if _, took := d.until(true, time.Minute, 0); took {
			t.Errorf("%s: cubic", name)
		}
	}
}

func TestBBRIsBackWhereCubicLeavesThePathIdle(t *testing.T) {
	d := newDrive(193e3, 47*time.Millisecond)
	first, took := d.until(true, time.Minute, 0)
	if !took {
		t.Fatal("no cubic")
	}
	wide := d.info.Window
	d.info.Window = 4
	d.run(narrowFor/2, 0)
	d.info.Window = wide
	if c := d.run(time.Minute, 0); !c.cubic {
		t.Error("BBR after a moment in which cubic's window was small")
	}
	d.info.Window = 4
	if got, back := d.until(false, time.Minute, 0); !back || got > 2*narrowFor {
		t.Errorf("BBR after %v (%v) of a small window", got, back)
	}
	d.info.Window = wide
	if got, took := d.until(true, time.Minute, 0); !took || got < 2*first {
		t.Errorf("cubic again after %v (%v), the first time it was %v", got, took, first)
	}
}

// What asks for little has a small window, which says nothing.
func TestCubicStaysWhileLittleIsToBeSent(t *testing.T) {
	d := newDrive(193e3, 47*time.Millisecond)
	d.until(true, time.Minute, 0)
	d.info.Window, d.info.Unsent = 4, 0
	if c := d.run(time.Minute, 0); !c.cubic {
		t.Error("BBR")
	}
}

func TestCubicsQueueIsKeptShort(t *testing.T) {
	const rate = 193e3
	d := newDrive(rate, 47*time.Millisecond)
	if _, took := d.until(true, time.Minute, 0); !took {
		t.Fatal("no cubic")
	}
	d.run(3*time.Second, 0)
	pace := func(queue time.Duration) float64 {
		d.info.RTT = d.info.MinRTT + queue
		return float64(d.gov.look(d.now, d.info, d.bbr).pace) / rate
	}
	for _, c := range []struct {
		queue      time.Duration
		least, end float64
	}{
		{0, 0, 0}, {40 * time.Millisecond, 1.03, 1.1}, {queueTime, 0.98, 1.02},
		{2 * queueTime, 0.85, 0.93}, {3 * time.Second, 0.45, 0.55},
	} {
		if got := pace(c.queue); got < c.least || got > c.end {
			t.Errorf("with %v in the queue the pace is %.2f of the rate, want %.2f to %.2f", c.queue, got, c.least, c.end)
		}
	}
	// Others take half: what is left is not halved again and again.
	d.rate /= 2
	d.info.RTT = d.info.MinRTT + 300*time.Millisecond
	if got := float64(d.run(time.Minute, 0).pace) / rate; got < 0.7 {
		t.Errorf("beside others the pace is %.2f of the path's rate", got)
	}
}

func TestBBRIsHeldWhereNothingMoreArrives(t *testing.T) {
	const rate, rtt = 12e6, 100 * time.Millisecond
	full := func() *drive {
		d := newDrive(rate, rtt)
		d.bbr.Gain, d.info.RTT = 2.89, 2*rtt
		return d
	}
	d := full()
	if c := d.run(flatRounds*2*rtt-driveStep, 0); c.pace != 0 {
		t.Errorf("held to %d before it was clear", c.pace)
	}
	if got := float64(d.run(2*rtt, 0).pace) / rate; got < 0.95 || got > 1.05 {
		t.Errorf("held to %.2f of the rate", got)
	}
	d.info.RTT = rtt // the queue goes
	if c := d.run(rtt, 0); c.pace == 0 {
		t.Error("let go when the queue went, before BBR has seen anything")
	}
	d.bbr.Rate = 15e6
	if c := d.run(driveStep, 0); c.pace != 0 {
		t.Errorf("held to %d when more arrived", c.pace)
	}
	d = full()
	d.run(time.Second, 0)
	d.bbr.Gain = 0.35
	if c := d.run(driveStep, 0); c.pace != 0 {
		t.Errorf("held to %d when BBR had seen it", c.pace)
	}

	// A lost packet held the rest back for a while: the path is as fast as it was seen to be.
	gap := full()
	gap.info.Rate = uint64(rate)
	gap.rate = 0
	gap.run(2*rtt, 0)
	gap.rate = rate
	if got := float64(gap.run(flatRounds*2*rtt, 0).pace) / rate; got < 0.99 || got > 1.01 {
		t.Errorf("held to %.2f of the rate after a gap", got)
	}

	empty := full()
	empty.info.RTT = rtt
	if c := empty.run(2*time.Second, 0); c.pace != 0 {
		t.Errorf("held to %d on a path with nothing in its queue", c.pace)
	}
	idle := full()
	idle.run(time.Second, 0)
	idle.rate = 0
	if c := idle.run(heldRounds*2*rtt, 0); c.pace != 0 {
		t.Errorf("held to %d for ever", c.pace)
	}
}

// A pacer without a kernel below it asks for nothing that it can't have.
func TestPacerWithoutCubic(t *testing.T) {
	d := newDrive(193e3, 47*time.Millisecond)
	p := &pacer{governed: true, gov: d.gov}
	p.gov.cubic = true
	p.steer(d.now, d.info)
	if p.governed || p.course != (course{}) {
		t.Errorf("governed %v, course %+v after the kernel refused", p.governed, p.course)
	}
}
