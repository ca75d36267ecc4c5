package recipe

import (
	"container/list"
	"sync"
)

// rawCacheSize is how many bytes of raw nodes a File or NodeCache keeps at hand.
const rawCacheSize = 8 << 20

// rawCache keeps the raw nodes that were used last, up to a number of bytes. The zero rawCache
// keeps nothing. It may be used from several goroutines.
type rawCache struct {
	max int

	mu    sync.Mutex
	size  int
	order list.List // of rawNode, the last used in front
	byID  map[ID]*list.Element
}

type rawNode struct {
	id  ID
	raw []byte
}

func newRawCache(max int) *rawCache { return &rawCache{max: max, byID: map[ID]*list.Element{}} }

func (c *rawCache) get(id ID) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(rawNode).raw, true
}

func (c *rawCache) add(id ID, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[id]; ok || len(raw) > c.max {
		return
	}
	c.byID[id] = c.order.PushFront(rawNode{id, raw})
	for c.size += len(raw); c.size > c.max; {
		last := c.order.Back()
		old := c.order.Remove(last).(rawNode)
		delete(c.byID, old.id)
		c.size -= len(old.raw)
	}
}
