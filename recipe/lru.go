package recipe

import (
	"container/list"
	"sync"
)

// rawCacheSize is how many bytes of raw nodes a File or NodeCache keeps at hand.
const rawCacheSize = 8 << 20

// Recent keeps the values that were used last, by the id of what they belong to, up to a number of bytes. The zero
// Recent keeps nothing. It may be used from several goroutines.
type Recent[V any] struct {
	max int

	mu    sync.Mutex
	size  int
	order list.List // of *recent[V], the last used in front
	byID  map[ID]*list.Element
}

type recent[V any] struct {
	id    ID
	value V
	size  int
}

// NewRecent makes a Recent of max bytes.
func NewRecent[V any](max int) *Recent[V] {
	return &Recent[V]{max: max, byID: map[ID]*list.Element{}}
}

// Get gives the value of an id, if it is kept.
func (c *Recent[V]) Get(id ID) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*recent[V]).value, true
}

// Add keeps a value that counts as size bytes, unless that is more than all may have or the id has one already.
func (c *Recent[V]) Add(id ID, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[id]; ok || c.byID == nil || size > c.max {
		return
	}
	c.byID[id] = c.order.PushFront(&recent[V]{id, value, size})
	for c.size += size; c.size > c.max; {
		old := c.order.Remove(c.order.Back()).(*recent[V])
		delete(c.byID, old.id)
		c.size -= old.size
	}
}
