package sender

import (
	"fmt"
	"slices"
	"sync"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// outbox is what the client has to say. Control goes out at once; requests for chunks, parts and fine
// lists wait for credit, so that the server's queue stays short. Its size is bounded by the wants
// that are outstanding.
type outbox struct {
	ready chan struct{} // something may be to be sent

	mu      sync.Mutex
	control []byte
	gets    []sources.Range
	parts   []wire.Part
	zooms   []sources.Range
	ahead   uint32 // requests that were sent and not taken
}

func newOutbox() *outbox { return &outbox{ready: make(chan struct{}, 1)} }

// say queues a control frame.
func (o *outbox) say(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.control = append(o.control, p...)
	signal(o.ready)
}

// get queues whole chunks and parts of chunks.
func (o *outbox) get(whole []sources.Range, parts []wire.Part) {
	if len(whole)+len(parts) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gets = append(o.gets, whole...)
	o.parts = append(o.parts, parts...)
	signal(o.ready)
}

// zoom queues fine lists.
func (o *outbox) zoom(ranges []sources.Range) {
	if len(ranges) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.zooms = append(o.zooms, ranges...)
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
	o.parts = withoutParts(o.parts, ranges)
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
		return fmt.Errorf("%d requests taken of %d: %w", n, o.ahead, wire.ErrFrame)
	}
	o.ahead -= n
	signal(o.ready)
	return nil
}

// take is what may be sent now, whole frames. What is small and much waited for goes first.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.control
	o.control = nil
	for ; o.ahead < wire.MaxGets; o.ahead++ {
		switch {
		case len(o.zooms) > 0:
			p = o.takeZoom(p)
		case len(o.parts) > 0:
			p = o.takeParts(p)
		case len(o.gets) > 0:
			n := min(len(o.gets), wire.MaxRanges)
			p = wire.AppendMessage(p, wire.TypeGet, wire.Ordinals{Ranges: flatten(o.gets[:n])})
			o.gets = o.gets[n:]
		default:
			return p
		}
	}
	return p
}

// takeZoom appends a ZOOM of as many chunks as one may have.
func (o *outbox) takeZoom(p []byte) []byte {
	var now []sources.Range
	for left := uint64(wire.MaxZoom); left > 0 && len(o.zooms) > 0 && len(now) < wire.MaxRanges; {
		r := &o.zooms[0]
		n := min(left, r.Count)
		now = append(now, sources.Range{First: r.First, Count: n})
		r.First, r.Count, left = r.First+n, r.Count-n, left-n
		if r.Count == 0 {
			o.zooms = o.zooms[1:]
		}
	}
	return wire.AppendMessage(p, wire.TypeZoom, wire.Ordinals{Ranges: flatten(now)})
}

// takeParts appends a GET_PARTS of as many parts as one may have.
func (o *outbox) takeParts(p []byte) []byte {
	var table []byte
	n := 0
	for ; n < min(len(o.parts), wire.MaxPartChunks); n++ {
		longer := wire.AppendPart(table, o.parts[n])
		if len(longer) > wire.MaxPartsTable {
			break
		}
		table = longer
	}
	o.parts = o.parts[n:]
	return wire.AppendFrame(p, wire.TypeGetParts, table)
}

// withoutParts is parts without those of chunks in ranges.
func withoutParts(parts []wire.Part, ranges []sources.Range) []wire.Part {
	return slices.DeleteFunc(parts, func(p wire.Part) bool {
		return slices.ContainsFunc(ranges, func(r sources.Range) bool { return p.Ordinal-r.First < r.Count })
	})
}
