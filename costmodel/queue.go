package costmodel

import "slices"

// state of a directory, file or run.
type state uint8

const (
	idle    state = iota // not worth an operation now
	queued               // waits in a queue
	running              // its operation is under way
	ended                // nothing more to do
	counted              // waits in a queue that is being compacted, and has an item there
)

// item is an entry of a queue. It is out of date when its owner has another key or is not queued.
type item struct {
	key float32
	id  uint32
}

func (a item) before(b item) bool {
	if a.key != b.key {
		return a.key < b.key
	}
	return a.id < b.id
}

// queue is a heap with the lowest key on top; ties go to the lower id.
type queue struct{ items []item }

func (q *queue) push(it item) {
	if len(q.items) == cap(q.items) {
		q.items = slices.Grow(q.items, len(q.items)+1) // append makes more copies on the way to a long queue
	}
	q.items = append(q.items, it)
	i := len(q.items) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !it.before(q.items[up]) {
			break
		}
		q.items[i] = q.items[up]
		i = up
	}
	q.items[i] = it
}

// pop takes the top off, with those that equal it: an operation that was taken out and came back as it was has several.
func (q *queue) pop() item {
	top := q.items[0]
	for len(q.items) > 0 && q.items[0] == top {
		last := len(q.items) - 1
		q.items[0] = q.items[last]
		q.items = q.items[:last]
		q.sink(0)
	}
	return top
}

func (q *queue) sink(i int) {
	for {
		down := 2*i + 1
		if down >= len(q.items) {
			return
		}
		if down+1 < len(q.items) && q.items[down+1].before(q.items[down]) {
			down++
		}
		if !q.items[down].before(q.items[i]) {
			return
		}
		q.items[i], q.items[down] = q.items[down], q.items[i]
		i = down
	}
}

// keep drops what f says no to.
func (q *queue) keep(f func(item) bool) {
	n := 0
	for _, it := range q.items {
		if f(it) {
			q.items[n] = it
			n++
		}
	}
	q.items = q.items[:n]
	q.sort()
}

// sort makes the heap one again after keys were changed.
func (q *queue) sort() {
	for i := len(q.items)/2 - 1; i >= 0; i-- {
		q.sink(i)
	}
}
