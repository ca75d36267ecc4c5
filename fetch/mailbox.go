package fetch

import (
	"sync"
	"time"
)

// mailbox carries events to the loop. Posting never blocks, since the loop itself may cause events
// while it carries out an action. Its length is bounded by what can be outstanding: one event at most
// for each chunk that was asked for, and the planner waits for its window.
type mailbox struct {
	mu   sync.Mutex
	in   []Event
	wake chan struct{} // gets a token when there is mail
}

func newMailbox() *mailbox {
	return &mailbox{wake: make(chan struct{}, 1)}
}

func (m *mailbox) post(evs ...Event) {
	m.mu.Lock()
	m.in = append(m.in, evs...)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take empties the mailbox into buf, whose old contents are dropped.
func (m *mailbox) take(buf []Event) []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.in
	m.in = buf[:0]
	return out
}

// flushAfter is after how long the loop is told of what an operation has come to, though it goes on.
const flushAfter = 10 * time.Millisecond

// outbox collects what one operation tells the loop: each time that it is told, it decides anew.
type outbox struct {
	mail   *mailbox
	events []Event
	told   time.Time
}

func newOutbox(m *mailbox) outbox { return outbox{mail: m, told: time.Now()} }

// note keeps events for the loop, and tells it when it is time.
func (o *outbox) note(evs ...Event) {
	o.events = append(o.events, evs...)
	if time.Since(o.told) >= flushAfter {
		o.tell()
	}
}

func (o *outbox) tell() {
	if len(o.events) > 0 {
		o.mail.post(o.events...)
	}
	o.events, o.told = o.events[:0], time.Now()
}
