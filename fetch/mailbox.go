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

// flushAfter is how long the loop is not told of what an operation has come to, at most.
const flushAfter = 10 * time.Millisecond

// outbox collects what one operation tells the loop, which decides anew each time that it is told something. Safe for
// concurrent use.
type outbox struct {
	mail *mailbox

	mu     sync.Mutex
	events []Event
	flush  *time.Timer // nil while there are no events
}

// note keeps events for the loop, and sees to it that it is told of them.
func (o *outbox) note(evs ...Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, evs...)
	if o.flush == nil && len(o.events) > 0 {
		o.flush = time.AfterFunc(flushAfter, o.tell)
	}
}

// tell tells the loop of all events now.
func (o *outbox) tell() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flush == nil {
		return
	}
	o.flush.Stop()
	o.mail.post(o.events...)
	o.events, o.flush = o.events[:0], nil
}
