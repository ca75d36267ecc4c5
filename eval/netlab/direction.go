package netlab

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// batch is how many packets are read, or written, before the other has its turn.
const batch = 128

// direction moves packets from one TUN device to another as its link says. One
// engine alone calls fill and drain.
type direction struct {
	in, out int // descriptors
	clock   func() time.Duration
	dead    bool // in can't be read any more

	mu       sync.Mutex // guards what follows
	link     *Link
	pool     pool
	due      []Packet
	refused  int64
	lateSum  time.Duration
	lateMax  time.Duration
	released int64
}

func newDirection(in, out, mtu int, clock func() time.Duration, l *Link) *direction {
	return &direction{
		in: in, out: out, clock: clock, link: l,
		// A packet longer than the MTU can't come out of the device.
		pool: pool{mtu: max(mtu, smallBuffer+1)},
		due:  make([]Packet, 0, batch),
	}
}

// fill takes packets from the device until it has none, or a batch is full. late
// is how much later this is than it was to be: for so long a packet may have
// waited unseen. Where the link holds others, their due times tell the same.
func (d *direction) fill(late time.Duration) (worked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	idle := d.link.Idle()
	for range batch {
		b := d.pool.read()
		n, errno := rawRead(d.in, b)
		if errno != 0 || n == 0 {
			d.pool.free(b)
			d.dead = errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR
			return worked
		}
		worked = true
		if staysLocal(b[:n]) {
			d.pool.free(b)
			continue
		}
		if idle {
			d.lateMax = max(d.lateMax, late)
		}
		data := d.pool.keep(b[:n])
		if !d.link.Push(d.clock(), data) {
			d.pool.free(data)
		}
	}
	return worked
}

// staysLocal tells multicast of link scope, with which the kernel announces its
// addresses: nobody at the other end asked, and it would blur the counters.
func staysLocal(ip []byte) bool {
	switch {
	case len(ip) >= 40 && ip[0]>>4 == 6:
		return ip[24] == 0xff && ip[25] == 0x02
	case len(ip) >= 20 && ip[0]>>4 == 4:
		return ip[16] == 224 && ip[17] == 0 && ip[18] == 0
	}
	return false
}

// drain delivers a batch of due packets and tells when the next is due.
func (d *direction) drain() (worked bool, wake time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock()
	d.due, wake = d.link.Pop(now, d.due[:0])
	for i := range d.due {
		d.deliver(now, &d.due[i])
	}
	return len(d.due) > 0, wake
}

func (d *direction) deliver(now time.Duration, p *Packet) {
	if !p.Lost {
		late := now - p.Due
		d.lateSum += late
		d.lateMax = max(d.lateMax, late)
		d.released++
		if rawWrite(d.out, p.Data) != 0 {
			d.refused++
		}
	}
	d.pool.free(p.Data)
}

func (d *direction) counters() Counters {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.link.Counters()
	c.DeliveryRefused = d.refused
	c.LateMax = d.lateMax
	if d.released > 0 {
		c.LateMean = d.lateSum / time.Duration(d.released)
	}
	return c
}

func (d *direction) set(s Shape) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link.Set(d.clock(), s)
}

// play schedules the shapes from now on, instead of what was scheduled before.
func (d *direction) play(start time.Duration, steps []linkStep) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.link.Set(start, d.link.shape)
	for _, s := range steps {
		d.link.Schedule(start+s.at, s.shape)
	}
}
