package tree

import (
	"container/list"
	"sync"

	"golang.org/x/sys/unix"
)

// handle is a descriptor that may be closed between uses. Its fields belong to its handles.
type handle struct {
	fd   int // -1 while closed
	pins int
	elem *list.Element // nil while closed, and for a handle that stays open
}

// handles keeps at most a number of descriptors open beside those in use. Safe from many goroutines.
type handles struct {
	mu   sync.Mutex
	most int
	open *list.List // of *handle, most recently used first
}

func newHandles(most int) *handles { return &handles{most: most, open: list.New()} }

// pin gives the descriptor if it is open. Each pin and adopt is paired with an unpin.
func (c *handles) pin(h *handle) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.fd < 0 {
		return -1, false
	}
	h.pins++
	if h.elem != nil {
		c.open.MoveToFront(h.elem)
	}
	return h.fd, true
}

// adopt gives h its descriptor and pins it. If another goroutine was faster, fd is closed.
func (c *handles) adopt(h *handle, fd int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	h.pins++
	if h.fd >= 0 {
		unix.Close(fd)
		return h.fd
	}
	h.fd = fd
	h.elem = c.open.PushFront(h)
	c.shrink()
	return fd
}

// shrink closes what was not used for longest.
func (c *handles) shrink() {
	for e := c.open.Back(); e != nil && c.open.Len() > c.most; {
		prev := e.Prev()
		if h := e.Value.(*handle); h.pins == 0 {
			c.drop(h)
		}
		e = prev
	}
}

func (c *handles) drop(h *handle) {
	c.open.Remove(h.elem)
	unix.Close(h.fd)
	h.fd, h.elem = -1, nil
}

func (c *handles) unpin(h *handle) {
	c.mu.Lock()
	h.pins--
	c.mu.Unlock()
}

// shut closes h now, unless it is in use.
func (c *handles) shut(h *handle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.elem != nil && h.pins == 0 {
		c.drop(h)
	}
}

func (c *handles) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.open.Front(); e != nil; e = c.open.Front() {
		c.drop(e.Value.(*handle))
	}
}
