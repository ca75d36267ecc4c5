package netlab

import (
	"math"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// drainAll pops everything a link holds, each packet at the wake time the link
// itself asked for, and returns when each came out.
func drainAll(t *testing.T, l *Link, from time.Duration) (pkts []Packet, at []time.Duration) {
	t.Helper()
	buf := make([]Packet, 0, 16)
	for now, calls := from, 0; now != Never; calls++ {
		if calls > 1<<20 {
			t.Fatal("the link asks to be called again without end")
		}
		got, wake := l.Pop(now, buf)
		for _, p := range got {
			pkts, at = append(pkts, p), append(at, now)
		}
		now = max(wake, now)
		if wake == Never {
			break
		}
	}
	return pkts, at
}

func packet(n int) []byte { return make([]byte, n) }

func numbered(n, size int) []byte {
	b := packet(size)
	b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16)
	return b
}

func number(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

func TestLinkRateIsExact(t *testing.T) {
	// 1500 B at 7 Mbit/s take 1714285.71… ns: the fractions must add up.
	const n, size, rate = 7000, 1500, 7_000_000
	l := NewLink(Shape{Rate: rate, Queue: n * size}, 1)
	for range n {
		if !l.Push(0, packet(size)) {
			t.Fatal("dropped with room in the queue")
		}
	}
	pkts, at := drainAll(t, l, 0)
	if len(pkts) != n {
		t.Fatalf("%d of %d packets came out", len(pkts), n)
	}
	for i := range at {
		want := time.Duration(int64(i+1) * size * 8 * 1e9 / rate)
		if at[i] != want || pkts[i].Due != want {
			t.Fatalf("packet %d came at %v (due %v), want %v", i, at[i], pkts[i].Due, want)
		}
	}
}

func TestLinkIdleGivesNoCredit(t *testing.T) {
	l := NewLink(Shape{Rate: 8_000_000, Queue: 10_000}, 1) // 1000 B: 1 ms
	l.Push(0, packet(1000))
	l.Push(time.Second, packet(1000))
	l.Push(time.Second, packet(1000))
	_, at := drainAll(t, l, 0)
	want := []time.Duration{time.Second, 1001 * ms, 1002 * ms}
	if !slices.Equal(at[1:], want[1:]) {
		t.Fatalf("came at %v, want %v", at, want)
	}
}

func TestLinkDelayIsExact(t *testing.T) {
	l := NewLink(Shape{Delay: 50 * ms}, 1)
	for i := range 40 {
		l.Push(time.Duration(i)*ms, packet(100))
	}
	pkts, at := drainAll(t, l, 40*ms)
	if len(at) != 40 {
		t.Fatalf("%d packets came out", len(at))
	}
	for i, a := range at {
		if want := time.Duration(i)*ms + 50*ms; a != want || pkts[i].Due != want {
			t.Fatalf("packet %d came at %v (due %v), want %v", i, a, pkts[i].Due, want)
		}
	}
}

func TestLinkQueueIsDropTail(t *testing.T) {
	l := NewLink(Shape{Rate: 8_000_000, Queue: 5000}, 1)
	accepted := 0
	for range 20 {
		if l.Push(0, packet(1000)) {
			accepted++
		}
	}
	c := l.Counters()
	if accepted != 6 || c.QueueDrops != 14 || c.PeakQueueBytes != 5000 || c.QueueDropBytes != 14000 {
		t.Fatalf("accepted %d, counters %+v; want one on the wire, 5 waiting, 14 dropped", accepted, c)
	}
	if l.Push(ms-1, packet(1000)) {
		t.Fatal("accepted before the first packet left the wire")
	}
	if !l.Push(ms, packet(1000)) {
		t.Fatal("refused though a place was free")
	}
}

func TestLinkJitterKeepsOrderAndBounds(t *testing.T) {
	const n, jitter = 20000, 10 * ms
	l := NewLink(Shape{Delay: 20 * ms, Jitter: jitter}, 3)
	var sum time.Duration
	last := time.Duration(0)
	for i := range n {
		now := time.Duration(i) * 5 * jitter // far apart: each draw shows
		l.Push(now, packet(100))
		p := drainOne(t, l, now)
		extra := p.Due - now - 20*ms
		if extra < 0 || extra >= jitter {
			t.Fatalf("packet %d has jitter %v", i, extra)
		}
		sum += extra
	}
	if mean := sum / n; math.Abs(float64(mean-jitter/2)) > 0.02*float64(jitter/2) {
		t.Errorf("mean jitter %v, want %v", mean, jitter/2)
	}
	base := time.Duration(n) * 5 * jitter
	for i := range 1000 { // close together: none overtakes
		l.Push(base+time.Duration(i)*ms/10, numbered(i, 100))
	}
	pkts, _ := drainAll(t, l, base)
	for i, p := range pkts {
		if number(p.Data) != i || p.Due < last {
			t.Fatalf("place %d has packet %d, due %v after %v", i, number(p.Data), p.Due, last)
		}
		last = p.Due
	}
}

func drainOne(t *testing.T, l *Link, now time.Duration) Packet {
	t.Helper()
	pkts, _ := drainAll(t, l, now)
	if len(pkts) != 1 {
		t.Fatalf("%d packets came out, want one", len(pkts))
	}
	return pkts[0]
}

func TestLinkReorders(t *testing.T) {
	const n = 50000
	l := NewLink(Shape{Delay: 5 * ms, Reorder: 0.1, Hold: 3 * ms}, 4)
	for i := range n {
		l.Push(time.Duration(i)*ms, numbered(i, 100))
	}
	pkts, _ := drainAll(t, l, 0)
	heldBack, overtaken := 0, 0
	for i, p := range pkts {
		if d := p.Due - p.Arrived; d == 8*ms {
			heldBack++
		} else if d != 5*ms {
			t.Fatalf("packet %d took %v", i, d)
		}
		if i > 0 && number(p.Data) < number(pkts[i-1].Data) {
			overtaken++
		}
	}
	share := float64(heldBack) / n
	if math.Abs(share-0.1) > 0.005 || int64(heldBack) != l.Counters().Reordered || overtaken == 0 {
		t.Errorf("held back %.4f (counted %d), overtaken %d; want 0.1", share, l.Counters().Reordered, overtaken)
	}
}

// losses pushes n packets through a link and tells which were lost.
func losses(s Shape, seed uint64, n int) []bool {
	l := NewLink(s, seed)
	buf := make([]Packet, 0, 4)
	lost := make([]bool, n)
	for i := range lost {
		l.Push(time.Duration(i), packet(8))
		pkts, _ := l.Pop(time.Duration(i), buf)
		lost[i] = pkts[0].Lost
	}
	return lost
}

func TestLinkLossShareAndBursts(t *testing.T) {
	const n = 2_000_000
	for _, c := range []struct {
		name  string
		shape Shape
		burst float64 // mean run of losses
	}{
		{"independent", Shape{Loss: 0.05}, 1 / 0.95},
		{"bursts", Shape{Loss: 0.05, Burst: 8}, 8},
		{"half-lost bursts", Shape{Loss: 0.02, Burst: 20, BadLoss: 0.5, GoodLoss: 0.001}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			count, runs, before := 0, 0, false
			for _, lost := range losses(c.shape, 7, n) {
				if lost {
					count++
					if !before {
						runs++
					}
				}
				before = lost
			}
			if got := float64(count) / n; math.Abs(got/c.shape.Loss-1) > 0.02 {
				t.Errorf("lost %.5f, want %.5f", got, c.shape.Loss)
			}
			if got := float64(count) / float64(runs); c.burst > 0 && math.Abs(got/c.burst-1) > 0.02 {
				t.Errorf("mean run %.3f, want %.3f", got, c.burst)
			}
		})
	}
}

func TestLinkSeedRepeatsAndJitterLeavesLossAlone(t *testing.T) {
	a := losses(Shape{Loss: 0.1}, 5, 10000)
	if !slices.Equal(a, losses(Shape{Loss: 0.1}, 5, 10000)) {
		t.Error("one seed, two loss patterns")
	}
	if slices.Equal(a, losses(Shape{Loss: 0.1}, 6, 10000)) {
		t.Error("two seeds, one loss pattern")
	}
	l := NewLink(Shape{Loss: 0.1, Jitter: ms, Reorder: 0.5, Hold: ms}, 5)
	for i := range a {
		l.Push(time.Duration(i), numbered(i, 8))
	}
	pkts, _ := drainAll(t, l, 0)
	for _, p := range pkts {
		if p.Lost != a[number(p.Data)] {
			t.Fatalf("packet %d: lost %v without jitter, %v with", number(p.Data), a[number(p.Data)], p.Lost)
		}
	}
}

func TestLinkLossTakesItsTimeOnTheWire(t *testing.T) {
	l := NewLink(Shape{Rate: 8_000_000, Queue: 1e6, Loss: 0.5}, 9)
	for range 100 {
		l.Push(0, packet(1000))
	}
	pkts, _ := drainAll(t, l, 0)
	if last := pkts[len(pkts)-1].Due; len(pkts) != 100 || last != 100*ms {
		t.Fatalf("%d packets, the last due at %v; want 100, 100ms", len(pkts), last)
	}
	c := l.Counters()
	if c.Lost == 0 || c.Lost+c.OutPackets != 100 || c.LostBytes != 1000*c.Lost || c.OutBytes != 1000*c.OutPackets {
		t.Fatalf("counters %+v don't add up to 100 packets of 1000 B", c)
	}
}

func TestLinkChangesOnTheWire(t *testing.T) {
	slow := Shape{Rate: 8_000_000, Queue: 1e6} // 1000 B: 1 ms
	fast, free := slow, slow
	fast.Rate, free.Rate = 80_000_000, 0
	l := NewLink(slow, 1)
	l.Schedule(1500*time.Microsecond, fast)
	l.Schedule(1800*time.Microsecond, free)
	for range 6 {
		l.Push(0, packet(1000))
	}
	_, at := drainAll(t, l, 0)
	us := time.Microsecond
	// The second packet has half its time left at 1.5 ms: a tenth of that. Then
	// 100 µs each; at 1.8 ms nothing limits.
	want := []time.Duration{1000 * us, 1550 * us, 1650 * us, 1750 * us, 1800 * us, 1800 * us}
	if !slices.Equal(at, want) {
		t.Fatalf("came at %v, want %v", at, want)
	}
}

func TestLinkShorterDelayDoesNotReorder(t *testing.T) {
	l := NewLink(Shape{Delay: 100 * ms}, 1)
	l.Push(0, numbered(0, 100))
	l.Set(10*ms, Shape{Delay: 20 * ms})
	l.Push(10*ms, numbered(1, 100))
	l.Push(90*ms, numbered(2, 100))
	pkts, at := drainAll(t, l, 90*ms)
	if number(pkts[0].Data) != 0 || !slices.Equal(at, []time.Duration{100 * ms, 100 * ms, 110 * ms}) {
		t.Fatalf("came at %v, first is packet %d", at, number(pkts[0].Data))
	}
}

func TestLinkHoldsAreBounded(t *testing.T) {
	l := NewLink(Shape{Delay: time.Minute}, 1)
	for range maxPackets {
		if !l.Push(0, nil) {
			t.Fatal("dropped below the bound")
		}
	}
	if l.Push(0, nil) || l.Counters().QueueDrops != 1 {
		t.Fatal("accepted beyond the bound")
	}
}

func TestLinkPopStopsAtCapacity(t *testing.T) {
	l := NewLink(Shape{}, 1)
	for range 5 {
		l.Push(ms, packet(10))
	}
	pkts, wake := l.Pop(ms, make([]Packet, 0, 3))
	if len(pkts) != 3 || wake > ms {
		t.Fatalf("%d packets, wake %v; want 3 and at once", len(pkts), wake)
	}
	if pkts, wake = l.Pop(ms, pkts[:0]); len(pkts) != 2 || wake != Never {
		t.Fatalf("%d packets, wake %v; want 2 and never", len(pkts), wake)
	}
}

func TestLinkTimeNeverGoesBack(t *testing.T) {
	l := NewLink(Shape{Delay: ms}, 1)
	l.Push(10*ms, packet(10))
	l.Push(5*ms, packet(10))
	_, at := drainAll(t, l, 0)
	if !slices.Equal(at, []time.Duration{11 * ms, 11 * ms}) {
		t.Fatalf("came at %v", at)
	}
}

func BenchmarkLink(b *testing.B) {
	l := NewLink(Shape{Rate: 1e9, Delay: 10 * ms, Jitter: ms, Loss: 0.01, Queue: 1 << 20}, 1)
	data, buf := packet(1500), make([]Packet, 0, 64)
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now += 12 * time.Microsecond
		l.Push(now, data)
		l.Pop(now, buf)
	}
}
