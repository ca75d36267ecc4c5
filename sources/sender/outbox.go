package sender

import (
	"fmt"
	"sync"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// outbox is what the client has to say. Control goes out at once; GETs wait for credit, so that the
// server's queue stays short. Its size is bounded by the wants that are outstanding.
type outbox struct {
	ready chan struct{} // something may be to be sent

	mu      sync.Mutex
	control []byte
	gets    []sources.Range
	ahead   uint32 // GETs that were sent and not taken
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

// say queues a control frame.
func (o *outbox) say(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.control = append(o.control, p...)
	signal(o.ready)
}

// get queues ranges.
func (o *outbox) get(ranges []sources.Range) {
	if len(ranges) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets = append(o.gets, ranges...)
	signal(o.ready)
}

// unget takes ranges back: those that wait here silently, those that were sent by CANCEL.
func (o *outbox) unget(ranges []sources.Range) {
	if len(ranges) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets = sources.Subtract(o.gets, ranges)
	if o.ahead > 0 {
		for len(ranges) > 0 {
			n := min(len(ranges), wire.MaxRanges)
			o.control = wire.AppendMessage(o.control, wire.TypeCancel, wire.Ordinals{Ranges: flatten(ranges[:n])})
			ranges = ranges[n:]
		}
	}
	signal(o.ready)
}

// taken gives credit back.
func (o *outbox) taken(n uint32) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n > o.ahead {
		return fmt.Errorf("%d GETs taken of %d: %w", n, o.ahead, wire.ErrFrame)
	}
	o.ahead -= n
	signal(o.ready)
	return nil
}

// take is what may be sent now, whole frames.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.control
	o.control = nil
	for len(o.gets) > 0 && o.ahead < wire.MaxGets {
		n := min(len(o.gets), wire.MaxRanges)
		p = wire.AppendMessage(p, wire.TypeGet, wire.Ordinals{Ranges: flatten(o.gets[:n])})
		o.gets = o.gets[n:]
		o.ahead++
	}
	return p
}
