package lsm

import (
	"bytes"
	"sort"
)

// node is a block above the rows: the first key of each block below it, and where that lies.
type node struct {
	keys  []byte // all keys, one behind the other
	ends  []int  // where each ends
	spans []span
	buf   []byte
}

func (n *node) key(i int) []byte {
	from := 0
	if i > 0 {
		from = n.ends[i-1]
	}
	return n.keys[from:n.ends[i]]
}

// child is the one of the blocks below that holds a key if any does.
func (n *node) child(key []byte) int {
	return max(0, sort.Search(len(n.ends), func(i int) bool { return bytes.Compare(n.key(i), key) > 0 })-1)
}

// readNode reads a block above the rows.
func (t *table) readNode(n *node, s span) error {
	rows, err := t.readBlock(&n.buf, s)
	if err != nil {
		return err
	}
	n.keys, n.ends, n.spans = n.keys[:0], n.ends[:0], n.spans[:0]
	var b blockReader
	for b.reset(rows); b.next(); {
		s, err := decodeSpan(b.row.value, t.end.filter)
		if err != nil {
			return err
		}
		n.keys = append(n.keys, b.row.key...)
		n.ends, n.spans = append(n.ends, len(n.keys)), append(n.spans, s)
	}
	if b.err == nil && len(n.ends) == 0 {
		return ErrDamaged
	}
	return b.err
}

// cursor is a place in a table. It goes forward cheaply and back as well.
type cursor struct {
	t    *table
	path []step // from the root to the block above the rows
	rows blockReader
	held []byte // the rows of the block that path leads to
	buf  []byte // in which they lie
	in   bool   // held is that block
	at   bool   // rows stands at a row
	went int64  // blocks, since the last seek
	off  uint64 // of the last block of rows that was gone on to since then; they lie one behind the other

	sought []byte // key of the last seek, if rows stands at what it found
	found  bool
}

// step is a node on the way, and which of the blocks below it the way goes through.
type step struct {
	node  *node
	child int
	high  []byte // first key behind the node's; nil: none is
}

func (t *table) cursor() *cursor {
	c := &cursor{t: t, path: make([]step, t.end.depth)}
	c.path[0].node = &t.root
	for i := 1; i < len(c.path); i++ {
		c.path[i].node = &node{}
	}
	return c
}

// seek goes to the first row at or behind a key; false if there is none. An error counts as none.
func (c *cursor) seek(key []byte) (bool, error) {
	if c.found && bytes.Compare(c.sought, key) <= 0 && bytes.Compare(key, c.rows.row.key) <= 0 {
		return true, nil
	}
	c.went, c.off = 0, 0
	if !c.in || !c.covers(key) {
		if err := c.descend(key); err != nil {
			return false, err
		}
	} else if !c.at || bytes.Compare(c.rows.row.key, key) > 0 {
		c.rows.reset(c.held)
		c.at = false
	}
	for !c.at || bytes.Compare(c.rows.row.key, key) < 0 {
		if ok, err := c.next(); !ok {
			return false, err
		}
	}
	c.sought, c.found = append(c.sought[:0], key...), true
	return true, nil
}

// covers says whether a key, if it is there, is in the block that is held.
func (c *cursor) covers(key []byte) bool {
	s := &c.path[len(c.path)-1]
	return bytes.Compare(key, s.node.key(s.child)) >= 0 && below(key, c.bound(len(c.path)-1))
}

// bound is the first key behind what the way goes through on a level; nil: none.
func (c *cursor) bound(level int) []byte {
	s := &c.path[level]
	if s.child+1 < len(s.node.ends) {
		return s.node.key(s.child + 1)
	}
	return s.high
}

func below(key, bound []byte) bool { return bound == nil || bytes.Compare(key, bound) < 0 }

// descend goes to the block that a key may be in, by way of the nodes that it holds as far as they lead there.
func (c *cursor) descend(key []byte) error {
	level := len(c.path) - 1
	for ; level > 0; level-- {
		if n := c.path[level].node; c.in && bytes.Compare(key, n.key(0)) >= 0 && below(key, c.path[level].high) {
			break
		}
	}
	c.in = false
	for c.path[level].child = c.path[level].node.child(key); level+1 < len(c.path); level++ {
		if err := c.enter(level); err != nil {
			return err
		}
		c.path[level+1].child = c.path[level+1].node.child(key)
	}
	return c.load()
}

// enter reads the node that the way goes to below a level.
func (c *cursor) enter(level int) error {
	s, next := &c.path[level], &c.path[level+1]
	next.high, next.child = bytes.Clone(c.bound(level)), 0
	err := c.t.readNode(next.node, s.node.spans[s.child])
	if err != nil { // what lies below is passed over
		for _, s := range c.path[level+1:] {
			s.node.ends = s.node.ends[:0]
		}
	}
	return err
}

// load reads the rows that the way leads to.
func (c *cursor) load() error {
	s := &c.path[len(c.path)-1]
	c.in, c.at, c.found = false, false, false
	var err error
	if c.held, err = c.t.readBlock(&c.buf, s.node.spans[s.child]); err != nil {
		return err
	}
	c.rows.reset(c.held)
	c.in = true
	return nil
}

// next goes on to the next row; false at the end of the table, or with an error.
func (c *cursor) next() (bool, error) {
	c.found = false
	for {
		if c.at = c.rows.next(); c.at {
			return true, nil
		}
		if c.rows.err != nil {
			return false, c.rows.err
		}
		if ok, err := c.forward(); !ok {
			return false, err
		}
	}
}

// forward goes on to the next block of rows; false if there is none.
func (c *cursor) forward() (bool, error) {
	if c.went++; c.went > c.most() {
		return false, ErrDamaged // its blocks are named again and again
	}
	level := len(c.path) - 1
	for level >= 0 && c.path[level].child+1 >= len(c.path[level].node.ends) {
		level--
	}
	if level < 0 {
		return false, nil
	}
	c.path[level].child++
	c.in = false
	for ; level+1 < len(c.path); level++ {
		if err := c.enter(level); err != nil {
			return false, err
		}
	}
	last := &c.path[level]
	off := last.node.spans[last.child].off
	if off <= c.off && c.off > 0 {
		return false, ErrDamaged
	}
	c.off = off
	err := c.load()
	return err == nil, err
}

// most is how many blocks a table has at most.
func (c *cursor) most() int64 { return c.t.size/sumSize/8 + 1 }

// skip goes on to the first row behind a damaged block; false if there is none.
func (c *cursor) skip() bool {
	for c.went <= c.most() {
		ok, err := c.forward()
		if ok {
			ok, err = c.next()
		}
		if err == nil {
			return ok
		}
	}
	return false
}
