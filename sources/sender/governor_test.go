package sender

import (
	"testing"
	"time"

	"dfetch/sources/wire"
)

// drive is a connection as the kernel would tell of it: full packets arrive at a rate, and the governor looks every 20 ms.
// What is on its way is what arrives in a round trip.
type drive struct {
	gov  governor
	now  time.Time
	rate float64 // bytes a second
	info wire.TCPInfo
	bbr  wire.BBRInfo
	part float64 // of a packet
}

const (
	driveStep   = 20 * time.Millisecond
	driveRate   = 12e6
	driveRTT    = 100 * time.Millisecond
	drivePacket = 1448
)

// newDrive is a path that is kept full and has a queue of a round trip, while BBR looks for its rate.
func newDrive() *drive {
	return &drive{
		now: time.Unix(1e9, 0), rate: driveRate,
		info: wire.TCPInfo{Segment: drivePacket, Unsent: 1, Rate: driveRate, RTT: 2 * driveRTT, MinRTT: driveRTT},
		bbr:  wire.BBRInfo{Rate: driveRate, Gain: 2.89},
	}
}

// run goes on for d and returns the last pace.
func (d *drive) run(t time.Duration) (pace uint64) {
	for end := d.now.Add(t); d.now.Before(end); d.now = d.now.Add(driveStep) {
		d.part += d.rate * driveStep.Seconds() / drivePacket
		n := uint32(d.part)
		d.part -= float64(n)
		d.info.Arrived += n
		d.info.Flying = uint32(d.rate * d.info.RTT.Seconds() / drivePacket)
		pace = d.gov.look(d.now, d.info, d.bbr)
	}
	return pace
}

// heldLooks counts the looks of a time in which BBR is held.
func (d *drive) heldLooks(t time.Duration) (n int) {
	for range t / driveStep {
		if d.run(driveStep) > 0 {
			n++
		}
	}
	return n
}

func TestBBRIsHeldWhereNothingMoreArrives(t *testing.T) {
	d := newDrive()
	if pace := d.run(flatRounds*2*driveRTT - driveStep); pace != 0 {
		t.Errorf("held to %d before it was clear", pace)
	}
	if got := float64(d.run(2*driveRTT)) / driveRate; got < 0.95 || got > 1.05 {
		t.Errorf("held to %.2f of the rate", got)
	}
	d.info.RTT = driveRTT // the queue goes
	if pace := d.run(driveRTT); pace == 0 {
		t.Error("let go when the queue went, before BBR has seen anything")
	}
	d.bbr.Rate = 15e6
	if pace := d.run(driveStep); pace != 0 {
		t.Errorf("held to %d when more arrived", pace)
	}
	d = newDrive()
	d.run(time.Second)
	d.bbr.Gain = 0.35
	if pace := d.run(driveStep); pace != 0 {
		t.Errorf("held to %d when BBR had seen it", pace)
	}
}

// The queue forms when no more arrives, and may be gone again when that is clear.
func TestBBRIsHeldWhereAQueueWas(t *testing.T) {
	d := newDrive()
	for _, rtt := range []time.Duration{driveRTT, 2 * driveRTT} {
		d.info.RTT = rtt
		if pace := d.run(flatRounds * driveRTT / 2); pace != 0 {
			t.Errorf("held to %d before it was clear", pace)
		}
	}
	d.info.RTT = driveRTT
	if pace := d.run(driveRTT); pace == 0 {
		t.Error("not held")
	}
}

// A lost packet held the rest back for a while: the path is as fast as it was seen to be.
func TestBBRIsNotHeldToAMeanWithAGap(t *testing.T) {
	d := newDrive()
	d.rate = 0
	d.run(2 * driveRTT)
	d.rate = driveRate
	if got := float64(d.run(flatRounds*2*driveRTT)) / driveRate; got < 0.99 || got > 1.01 {
		t.Errorf("held to %.2f of the rate after a gap", got)
	}
}

// The socket runs dry between two frames, as BBR sends faster than they are made; all that the client asks for is on its way.
func TestBBRIsHeldWhereTheSocketRunsDry(t *testing.T) {
	d := newDrive()
	held := false
	for i := range 50 {
		d.info.Unsent = uint32(i % 4 / 3 * 20_000) // in three of four looks
		held = held || d.run(driveStep) > 0
	}
	if !held {
		t.Error("not held")
	}
}

func TestBBRIsNotHeldForNothing(t *testing.T) {
	for name, change := range map[string]func(*drive){
		"no queue":            func(d *drive) { d.info.RTT = driveRTT },
		"not in its start-up": func(d *drive) { d.bbr.Gain = 1.25 },
		"nothing known":       func(d *drive) { d.bbr, d.info = wire.BBRInfo{}, wire.TCPInfo{} },
	} {
		d := newDrive()
		change(d)
		if n := d.heldLooks(5 * time.Second); n > 0 {
			t.Errorf("%s: held in %d looks", name, n)
		}
	}
	const long = heldRounds * 2 * driveRTT
	d := newDrive()
	d.run(time.Second)
	if n := d.heldLooks(long); n >= int(long/driveStep) {
		t.Error("held for ever")
	}
}

// trickle makes the drive one of an application that sends little, over a path whose round trips are of many lengths.
func (d *drive) trickle(rtt time.Duration) {
	const little = 80e3
	d.rate, d.info.Unsent, d.info.Rate, d.info.RTT = little, 0, little, rtt
	d.bbr.Rate = little
}

func TestBBRIsNotHeldToWhatIsAskedFor(t *testing.T) {
	for _, rtt := range []time.Duration{driveRTT * 11 / 10, driveRTT * 4 / 3, 2 * driveRTT, 4 * driveRTT} {
		d := newDrive()
		d.trickle(rtt)
		if n := d.heldLooks(10 * time.Second); n > 0 {
			t.Errorf("a trickle with round trips of %v is held in %d looks", rtt, n)
		}
	}
}

// A frame is larger than what the path holds at the rate of a trickle, so that now and then some of it waits.
func TestBBRIsNotHeldToAPause(t *testing.T) {
	d := newDrive()
	d.trickle(driveRTT * 4 / 3)
	for i := range 500 {
		d.info.Unsent = uint32(i % 3 / 2 * 10_000)
		if pace := d.run(driveStep); pace != 0 {
			t.Fatalf("a trickle is held to %d after %d looks", pace, i)
		}
	}
	// Much is to be sent now. At first as much arrives as before.
	d.info.Unsent = 1 << 20
	if pace := d.run(flatRounds * d.info.RTT); pace != 0 {
		t.Errorf("held to %d by what was seen before there was much to send", pace)
	}
}

// The last look of a pause lets go, and the time of the pause is in no mean.
func TestMeasuringBeginsAnewAfterAPause(t *testing.T) {
	d := newDrive()
	if d.run(time.Second) == 0 {
		t.Fatal("not held")
	}
	d.now = d.now.Add(time.Second) // without a look: nothing is asked for
	flying, unsent := d.rate, d.info.Unsent
	d.rate, d.info.Unsent = 0, 0
	if pace := d.run(driveStep); pace != 0 {
		t.Errorf("held to %d in a pause", pace)
	}
	d.rate, d.info.Unsent = flying, unsent
	d.info.Rate = 0 // not known: the mean alone counts
	d.run(flatRounds*d.info.RTT + driveStep)
	if got := float64(d.run(driveStep)) / driveRate; got < 0.95 || got > 1.05 {
		t.Errorf("held to %.2f of the rate after a pause", got)
	}
}
