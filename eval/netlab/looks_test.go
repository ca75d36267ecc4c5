package netlab

import (
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLooks: pauses that were meant are not late, longer ones are by the rest.
func TestLooks(t *testing.T) {
	l := newLooks()
	for i, tt := range []struct {
		at, late   time.Duration
		worked     bool
		wait, take time.Duration
	}{
		{10 * ms, 0, false, Never, Never}, // nothing flowed yet
		{4000 * ms, 0, true, Never, nap},
		{4000*ms + nap, 0, true, nap / 2, nap / 2},
		{4030*ms + nap + nap/2, 30 * ms, false, Never, lookAgain},
		{4033 * ms, 0, false, ms, ms}, // a packet came, or the bell rang
		{4033 * ms, 0, false, -ms, 0},
		{4041 * ms, 8 * ms, false, Never, lookAgain},
		{5100 * ms, 1054 * ms, false, Never, Never}, // nothing has flowed for a second
		{9000 * ms, 0, false, ms, ms},
	} {
		if late := l.look(tt.at); late != tt.late {
			t.Errorf("look %d: late by %v, want %v", i, late, tt.late)
		}
		if take := l.plan(tt.worked, tt.wait); take != tt.take {
			t.Errorf("look %d: pauses for %v, want %v", i, take, tt.take)
		}
	}
}

// device is a TUN device's stand-in: what is written to one end is read at the other.
func device(t *testing.T) (outer, inner int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func ipv4() []byte {
	b := packet(100)
	b[0], b[16] = 0x45, 10
	return b
}

// TestLateReadingCountsForAnIdleLink: what the due times of other packets tell is not counted twice.
func TestLateReadingCountsForAnIdleLink(t *testing.T) {
	now := time.Duration(0)
	for _, tt := range []struct {
		shape Shape
		want  time.Duration
	}{{Shape{}, 30 * ms}, {Shape{Delay: 50 * ms}, 30 * ms}} {
		from, in := device(t)
		out, _ := device(t)
		d := newDirection(in, out, 1500, func() time.Duration { return now }, NewLink(tt.shape, 1))
		if d.fill(90 * ms); d.counters().LateMax != 0 {
			t.Error("a stall without packets counts")
		}
		for _, late := range []time.Duration{30 * ms, 80 * ms} {
			if _, err := unix.Write(from, ipv4()); err != nil {
				t.Fatal(err)
			}
			if d.fill(late); d.counters().LateMax != tt.want {
				t.Errorf("delay %v, read late by %v: counted %v, want %v", tt.shape.Delay, late, d.counters().LateMax, tt.want)
			}
			if tt.shape.Delay == 0 {
				break // the link does not hold it for long
			}
		}
	}
}

// TestEngineCountsAStallWithoutDelay: an engine that stands still for 50 ms while a packet comes to a link without
// delay says so. The clock jumps in its place.
func TestEngineCountsAStallWithoutDelay(t *testing.T) {
	from, in := device(t)
	out, to := device(t)
	begun := time.Now()
	var stall atomic.Bool
	var jumped atomic.Int64
	clock := func() time.Duration {
		if stall.CompareAndSwap(true, false) {
			jumped.Add(int64(50 * ms))
			_, _ = unix.Write(from, ipv4()) // if it fails, it does not arrive
		}
		return time.Since(begun) + time.Duration(jumped.Load())
	}
	e, err := startEngine(clock, false)
	if err != nil {
		t.Fatal(err)
	}
	reserveProcs(slotsPerEngine)
	defer releaseProcs(slotsPerEngine)
	d := newDirection(in, out, 1500, clock, NewLink(Shape{}, 1))
	e.add(d)
	late := time.Duration(0)
	for try := 0; try < 10 && late < 40*ms; try++ { // once more where this test itself stood still for a second
		if _, err := unix.Write(from, ipv4()); err != nil {
			t.Fatal(err)
		}
		arrives(t, to)
		stall.Store(true)
		e.ring()
		arrives(t, to)
		late = d.counters().LateMax
	}
	if err := e.stop(); err != nil || late < 40*ms {
		t.Errorf("late by %v, want 50 ms or so; %v", late, err)
	}
}

// arrives waits for a packet.
func arrives(t *testing.T, fd int) {
	t.Helper()
	for until := time.Now().Add(10 * time.Second); time.Now().Before(until); {
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); err == nil && n == 1 {
			_, _ = unix.Read(fd, packet(1500)) // it is there
			return
		}
	}
	t.Fatal("the packet does not arrive")
}
