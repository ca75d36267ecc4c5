package sender

import (
	"container/list"
	"sync"

	"dfetch/recipe"
)

// fineLists are the fine lists that were used last, by their chunk, up to a number of bytes. All clients
// of a server share them.
type fineLists struct {
	max int

	mu    sync.Mutex
	size  int
	order list.List // of fineItem, the last used in front
	byID  map[recipe.ID]*list.Element
}

type fineItem struct {
	id   recipe.ID
	list []recipe.FineEntry
}

// What an item takes in memory: each entry, and about so much beside them.
const (
	entryCost = 10
	itemCost  = 200
)

func (i *fineItem) size() int { return itemCost + len(i.list)*entryCost }

func newFineLists(max int) *fineLists {
	return &fineLists{max: max, byID: make(map[recipe.ID]*list.Element)}
}

func (c *fineLists) get(id recipe.ID) ([]recipe.FineEntry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.byID[id]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*fineItem).list, true
}

func (c *fineLists) put(id recipe.ID, entries []recipe.FineEntry) {
	item := &fineItem{id: id, list: entries}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byID[id]; ok || item.size() > c.max {
		return
	}
	c.byID[id] = c.order.PushFront(item)
	for c.size += item.size(); c.size > c.max; {
		old := c.order.Remove(c.order.Back()).(*fineItem)
		delete(c.byID, old.id)
		c.size -= old.size()
	}
}
