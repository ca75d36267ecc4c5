package netlab

import (
	"math"
	"math/rand/v2"
	"time"
)

// Never is the wake time of a link with nothing to deliver.
const Never = time.Duration(math.MaxInt64)

// maxPackets bounds what one direction holds, waiting and in flight together:
// a second of full-size packets at 1.5 Gbit/s.
const maxPackets = 1 << 17

// Packet is an IP packet that a Link carries.
type Packet struct {
	Data []byte
	// Arrived is when it was pushed, Due when it is to be delivered.
	Arrived, Due time.Duration
	// Lost marks a packet that must not be delivered: it comes out of Pop only
	// to give its buffer back.
	Lost bool
}

// Counters tell what a direction has done since it was made.
type Counters struct {
	InPackets, InBytes           int64 // handed to the link
	OutPackets, OutBytes         int64 // delivered
	QueueDrops, QueueDropBytes   int64 // refused, the queue was full
	Lost, LostBytes              int64 // lost on the wire
	Reordered                    int64 // held back
	QueueBytes, PeakQueueBytes   int64 // waiting now, and the most there was
	FirstOut, LastOut            time.Duration
	DeviceDrops, DeliveryRefused int64         // packets the kernel dropped at either end: not by any setting
	LateMean, LateMax            time.Duration // delivery after the due time; the most is also of reading for an idle link
}

// Link decides when each packet of one direction leaves, and which are lost. It
// has no clock and does no I/O: every method takes the time, counted from any
// fixed moment; a time before an earlier one counts as that one. It is not safe
// for concurrent use.
//
// A packet (1) takes its place in the queue or is dropped, (2) is on the wire
// for its length at the rate in force, one packet after the other, (3) is lost
// or not, (4) is due after the delay. Equal seeds and equal calls give equal
// results; the n-th packet's loss depends on the seed and n alone while the
// loss settings stay the same.
type Link struct {
	shape  Shape
	steps  []linkStep
	loss   gilbert
	luck   *rand.Rand // losses
	timing *rand.Rand // jitter and reordering

	now     time.Duration
	waiting fifo
	serving Packet
	busy    bool
	finish  time.Duration // when serving leaves the wire
	frac    int64         // what finish rounded off, in 1/Rate ns

	ordered, held        fifo // in flight, each by ascending Due
	lastDue, lastHeldDue time.Duration
	count                Counters
}

type linkStep struct {
	at    time.Duration
	shape Shape
}

// NewLink makes a link. The shape is used as it is: a zero Queue lets nothing wait.
func NewLink(s Shape, seed uint64) *Link {
	return &Link{
		shape:  s,
		loss:   newGilbert(s),
		luck:   rand.New(rand.NewPCG(seed, 1)),
		timing: rand.New(rand.NewPCG(seed, 2)),
	}
}

// Schedule changes the shape at a later time. Changes must be scheduled in the
// order of their times. A packet on the wire then goes on at the new rate;
// packets that left it keep their due times, and none that follows overtakes them.
func (l *Link) Schedule(at time.Duration, s Shape) {
	l.steps = append(l.steps, linkStep{at, s})
}

// Set changes the shape now and cancels what was scheduled.
func (l *Link) Set(now time.Duration, s Shape) {
	l.advance(now)
	l.steps = l.steps[:0]
	l.apply(l.now, s)
	l.advance(l.now)
}

// Push hands a packet to the link, which owns its bytes from then on. It returns
// false when the packet was dropped; the bytes are the caller's again.
func (l *Link) Push(now time.Duration, data []byte) bool {
	l.advance(now)
	size := int64(len(data))
	l.count.InPackets++
	l.count.InBytes += size
	if l.full(size) {
		l.count.QueueDrops++
		l.count.QueueDropBytes += size
		return false
	}
	p := Packet{Data: data, Arrived: l.now}
	if l.busy {
		l.enqueue(p)
		return true
	}
	l.frac = 0
	l.serve(l.now, p)
	l.advance(l.now)
	return true
}

func (l *Link) full(size int64) bool {
	held := l.waiting.n + l.ordered.n + l.held.n
	return held >= maxPackets || l.busy && l.count.QueueBytes+size > l.shape.Queue
}

func (l *Link) enqueue(p Packet) {
	l.waiting.push(p)
	l.count.QueueBytes += int64(len(p.Data))
	l.count.PeakQueueBytes = max(l.count.PeakQueueBytes, l.count.QueueBytes)
}

// Pop appends to dst, up to its capacity, the packets due by now in the order of
// their due times. The link needs no other call before wake, unless a packet
// comes; wake is not after now if dst was too small.
func (l *Link) Pop(now time.Duration, dst []Packet) (pkts []Packet, wake time.Duration) {
	l.advance(now)
	for len(dst) < cap(dst) {
		q := l.nextFlight()
		if q == nil || q.peek().Due > l.now {
			break
		}
		p := q.pop()
		l.countOut(&p)
		dst = append(dst, p)
	}
	return dst, l.wake()
}

func (l *Link) countOut(p *Packet) {
	if p.Lost {
		return
	}
	if l.count.OutPackets == 0 {
		l.count.FirstOut = l.now
	}
	l.count.LastOut = l.now
	l.count.OutPackets++
	l.count.OutBytes += int64(len(p.Data))
}

// Counters returns the counts as of the last call.
func (l *Link) Counters() Counters { return l.count }

// Idle tells whether the link held no packet after the last call.
func (l *Link) Idle() bool { return !l.busy && l.nextFlight() == nil }

// nextFlight is the queue with the earliest due packet, nil if nothing flies.
func (l *Link) nextFlight() *fifo {
	switch {
	case l.held.n == 0 && l.ordered.n == 0:
		return nil
	case l.held.n == 0 || l.ordered.n > 0 && l.ordered.peek().Due <= l.held.peek().Due:
		return &l.ordered
	default:
		return &l.held
	}
}

func (l *Link) wake() time.Duration {
	wake := Never
	if q := l.nextFlight(); q != nil {
		wake = q.peek().Due
	}
	if l.busy {
		wake = min(wake, l.finish+l.shape.Delay)
		if len(l.steps) > 0 {
			wake = min(wake, l.steps[0].at)
		}
	}
	return wake
}

// advance brings the link to now: changes of shape and ends of service in the
// order of their times.
func (l *Link) advance(now time.Duration) {
	l.now = max(l.now, now)
	for {
		event := l.now
		if l.busy {
			event = min(event, l.finish)
		}
		if len(l.steps) > 0 && l.steps[0].at <= event {
			step := l.steps[0]
			l.steps = l.steps[1:]
			l.apply(step.at, step.shape)
			continue
		}
		if !l.busy || l.finish > l.now {
			return
		}
		l.complete()
	}
}

// complete ends the service of a packet and starts the next one's.
func (l *Link) complete() {
	l.launch(l.serving)
	l.serving, l.busy = Packet{}, false
	if l.waiting.n > 0 {
		p := l.waiting.pop()
		l.count.QueueBytes -= int64(len(p.Data))
		l.serve(l.finish, p)
	}
}

// serve puts a packet on the wire. Whole packets add up exactly: what one
// finish time rounds off is carried to the next.
func (l *Link) serve(start time.Duration, p Packet) {
	l.serving, l.busy, l.finish = p, true, start
	if l.shape.Rate > 0 {
		work := int64(len(p.Data))*8*int64(time.Second) + l.frac
		l.finish += time.Duration(work / l.shape.Rate)
		l.frac = work % l.shape.Rate
	}
}

// launch sends a packet that left the wire towards the far end, or loses it.
func (l *Link) launch(p Packet) {
	p.Due = l.finish + l.shape.Delay
	if l.shape.Jitter > 0 {
		p.Due += time.Duration(l.timing.Float64() * float64(l.shape.Jitter))
	}
	if l.loss.lose(l.luck) {
		p.Lost = true
		l.count.Lost++
		l.count.LostBytes += int64(len(p.Data))
	}
	if l.shape.Reorder > 0 && l.timing.Float64() < l.shape.Reorder {
		l.count.Reordered++
		p.Due = max(p.Due+l.shape.Hold, l.lastHeldDue)
		l.lastHeldDue = p.Due
		l.held.push(p)
		return
	}
	p.Due = max(p.Due, l.lastDue)
	l.lastDue = p.Due
	l.ordered.push(p)
}

// apply changes the shape at a time when the link stands at it.
func (l *Link) apply(at time.Duration, s Shape) {
	if l.busy && l.finish > at {
		left := float64(l.finish-at) * float64(l.shape.Rate)
		l.finish, l.frac = at, 0
		if s.Rate > 0 {
			l.finish += time.Duration(math.Round(left / float64(s.Rate)))
		}
	}
	if s.Rate != l.shape.Rate {
		l.frac = 0
	}
	if s.Loss != l.shape.Loss || s.Burst != l.shape.Burst || s.BadLoss != l.shape.BadLoss || s.GoodLoss != l.shape.GoodLoss {
		bad := l.loss.bad
		l.loss = newGilbert(s)
		l.loss.bad = bad && l.loss.toBad > 0
	}
	l.shape = s
}
