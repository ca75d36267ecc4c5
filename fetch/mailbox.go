package fetch

import "sync"

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
