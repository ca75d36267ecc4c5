package sourcetest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// linkBuffer is how many bytes are on the way in one direction before a writer waits.
const linkBuffer = 4 << 20

// Link is a connection in memory: two ends, delay one way, rate in bytes a second each way (zero is
// without limit). It keeps the order and loses nothing. It works on virtual time.
func Link(delay time.Duration, rate float64) (a, b net.Conn) {
	x, y := newLane(delay, rate), newLane(delay, rate)
	return &linkEnd{in: x, out: y}, &linkEnd{in: y, out: x}
}

// lane is one direction.
type lane struct {
	delay time.Duration
	rate  float64

	mu     sync.Mutex
	change chan struct{} // closed and replaced at every change
	parts  []part
	size   int
	free   time.Time // when the last byte has left the sender
	closed bool
}

type part struct {
	due  time.Time
	data []byte
}

func newLane(delay time.Duration, rate float64) *lane {
	return &lane{delay: delay, rate: rate, change: make(chan struct{})}
}

// changed wakes those who wait. The lock is held.
func (l *lane) changed() {
	close(l.change)
	l.change = make(chan struct{})
}

// put sends p or says what to wait for.
func (l *lane) put(p []byte) (ok bool, wait <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, nil, io.ErrClosedPipe
	}
	if l.size > linkBuffer {
		return false, l.change, nil
	}
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	if l.rate > 0 {
		l.free = l.free.Add(time.Duration(float64(len(p)) / l.rate * float64(time.Second)))
	}
	l.parts = append(l.parts, part{due: l.free.Add(l.delay), data: append([]byte(nil), p...)})
	l.size += len(p)
	l.changed()
	return true, nil, nil
}

// get fills p with what has arrived, or says what to wait for and until when.
func (l *lane) get(p []byte) (n int, wait <-chan struct{}, due time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.parts) == 0 && l.closed:
		return 0, nil, due, io.EOF
	case len(l.parts) == 0:
		return 0, l.change, due, nil
	case time.Now().Before(l.parts[0].due):
		return 0, l.change, l.parts[0].due, nil
	}
	n = copy(p, l.parts[0].data)
	l.parts[0].data = l.parts[0].data[n:]
	if len(l.parts[0].data) == 0 {
		l.parts = l.parts[1:]
	}
	l.size -= n
	l.changed()
	return n, nil, due, nil
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.changed()
	}
}

// linkEnd is one end of a link.
type linkEnd struct {
	in, out *lane

	mu          sync.Mutex
	readBefore  time.Time
	writeBefore time.Time
	closed      bool
}

func (e *linkEnd) state(deadline *time.Time) (time.Time, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return time.Time{}, net.ErrClosed
	case !deadline.IsZero() && !time.Now().Before(*deadline):
		return time.Time{}, os.ErrDeadlineExceeded
	}
	return *deadline, nil
}

func (e *linkEnd) Read(p []byte) (int, error) {
	for {
		deadline, err := e.state(&e.readBefore)
		if err != nil {
			return 0, err
		}
		n, wait, due, err := e.in.get(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		sleep(wait, due, deadline)
	}
}

func (e *linkEnd) Write(p []byte) (int, error) {
	for {
		deadline, err := e.state(&e.writeBefore)
		if err != nil {
			return 0, err
		}
		ok, wait, err := e.out.put(p)
		if err != nil {
			return 0, err
		}
		if ok {
			return len(p), nil
		}
		sleep(wait, deadline)
	}
}

// sleep waits for a channel or the earliest of some times; zero times don't count.
func sleep(wait <-chan struct{}, until ...time.Time) {
	var first time.Time
	for _, t := range until {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if first.IsZero() {
		<-wait
		return
	}
	timer := time.NewTimer(time.Until(first))
	defer timer.Stop()
	select {
	case <-wait:
	case <-timer.C:
	}
}

// Close closes both directions. What is on the way to the other end still arrives there.
func (e *linkEnd) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.in.close()
	e.out.close()
	return nil
}

func (e *linkEnd) SetDeadline(t time.Time) error {
	_ = e.SetReadDeadline(t)
	return e.SetWriteDeadline(t)
}

func (e *linkEnd) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	e.readBefore = t
	e.mu.Unlock()
	e.in.wake()
	return nil
}

func (e *linkEnd) SetWriteDeadline(t time.Time) error {
	e.mu.Lock()
	e.writeBefore = t
	e.mu.Unlock()
	e.out.wake()
	return nil
}

func (l *lane) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changed()
}

func (e *linkEnd) LocalAddr() net.Addr  { return linkAddr{} }
func (e *linkEnd) RemoteAddr() net.Addr { return linkAddr{} }

type linkAddr struct{}

func (linkAddr) Network() string { return "link" }
func (linkAddr) String() string  { return "link:0" }
