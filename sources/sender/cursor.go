package sender

import (
	"context"
	"fmt"
	"path"

	"dfetch/recipe"
)

// piece is one chunk where it lies.
type piece struct {
	file *target
	off  int64
	size uint32
	id   recipe.ID
}

// target is a file as the recipe has it.
type target struct {
	dir   string // slash path of its directory below the root; "" for the root
	name  string
	size  int64
	mtime int64
}

func (t *target) path() string { return path.Join(t.dir, t.name) }

// cursor finds chunks by ordinal. The recipe's own nodes are the index: each says how many chunks
// lie below it. The cursor keeps the way down to the last chunk, so that its neighbours are found at
// once and the rest by climbing as far as needed. It is used by one goroutine.
type cursor struct {
	nodes recipe.Nodes
	mask  recipe.Mask
	top   recipe.Entry
	way   []level
}

// level is one decoded node, or the top entry, on the way down. One of refs, entries and list holds
// its items.
type level struct {
	refs    []recipe.NodeRef
	entries []recipe.Entry
	list    recipe.List
	file    *target // whose list this is
	dir     string  // directory of entries and refs

	base  uint64 // ordinal of its first chunk
	end   uint64 // ordinal after its last chunk
	start int64  // list: offset of its first item in the file

	i     int    // item that was used last
	first uint64 // ordinal of the first chunk of item i
	off   int64  // list: offset of item i
}

func newCursor(n recipe.Nodes, root *recipe.Root) *cursor {
	return &cursor{nodes: n, mask: root.Mask, top: root.Top}
}

// at finds the chunk of an ordinal.
func (c *cursor) at(ctx context.Context, ordinal uint64) (piece, error) {
	for len(c.way) > 0 && !c.last().covers(ordinal) {
		c.way = c.way[:len(c.way)-1]
	}
	if len(c.way) == 0 {
		c.way = append(c.way, c.topLevel())
	}
	for {
		l := c.last()
		if !l.seek(ordinal) {
			return piece{}, fmt.Errorf("recipe has no chunk %d", ordinal)
		}
		if l.file != nil && l.list.Level == 0 {
			ref := &l.list.Refs[l.i]
			return piece{file: l.file, off: l.off, size: uint32(ref.Bytes), id: ref.ID}, nil
		}
		below, err := c.below(ctx, l)
		if err != nil {
			return piece{}, fmt.Errorf("chunk %d: %w", ordinal, err)
		}
		c.way = append(c.way, below)
	}
}

func (c *cursor) last() *level { return &c.way[len(c.way)-1] }

func (c *cursor) topLevel() level {
	l := level{entries: []recipe.Entry{c.top}}
	l.close()
	return l
}

// below is the level that item i of l refers to.
func (c *cursor) below(ctx context.Context, l *level) (level, error) {
	b := level{base: l.first, first: l.first, dir: l.dir}
	var err error
	switch {
	case l.refs != nil:
		err = c.loadDir(ctx, &b, l.refs[l.i].ID)
	case l.entries != nil:
		err = c.enter(ctx, &b, &l.entries[l.i])
	default:
		b.file, b.start, b.off = l.file, l.off, l.off
		b.list, err = c.loadList(ctx, l.list.Refs[l.i].ID)
	}
	b.close()
	return b, err
}

func (c *cursor) enter(ctx context.Context, b *level, e *recipe.Entry) error {
	if e.Type == recipe.TypeDir {
		b.dir = path.Join(b.dir, e.Name)
		return c.loadDir(ctx, b, e.Dir.ID)
	}
	b.file = &target{dir: b.dir, name: e.Name, size: e.Size, mtime: e.MTime}
	b.list = e.Content
	return nil
}

func (c *cursor) loadDir(ctx context.Context, b *level, id recipe.ID) error {
	raw, err := c.nodes.Node(ctx, recipe.KindDir, id)
	if err != nil {
		return err
	}
	if len(raw) > 1 && raw[1] > 0 {
		b.refs, err = recipe.DecodeNodeRefs(raw)
	} else {
		b.entries, err = recipe.DecodeEntries(raw, c.mask)
	}
	return err
}

func (c *cursor) loadList(ctx context.Context, id recipe.ID) (recipe.List, error) {
	raw, err := c.nodes.Node(ctx, recipe.KindList, id)
	if err != nil {
		return recipe.List{}, err
	}
	return recipe.DecodeList(raw)
}

// close computes where the level ends.
func (l *level) close() {
	l.end = l.base
	for i := range l.items() {
		l.end += l.chunks(i)
	}
}

func (l *level) items() int { return len(l.refs) + len(l.entries) + len(l.list.Refs) }

// chunks counts the chunks of item i.
func (l *level) chunks(i int) uint64 {
	switch {
	case l.refs != nil:
		return l.refs[i].Chunks
	case l.entries != nil && l.entries[i].Type == recipe.TypeDir:
		return l.entries[i].Dir.Chunks
	case l.entries != nil:
		return l.entries[i].Chunks()
	}
	return l.list.Refs[i].Chunks
}

func (l *level) covers(ordinal uint64) bool { return ordinal >= l.base && ordinal < l.end }

// seek moves to the item that has the ordinal.
func (l *level) seek(ordinal uint64) bool {
	if ordinal < l.first {
		l.i, l.first, l.off = 0, l.base, l.start
	}
	for ; l.i < l.items(); l.i++ {
		n := l.chunks(l.i)
		if ordinal-l.first < n {
			return true
		}
		l.first += n
		if l.file != nil {
			l.off += l.list.Refs[l.i].Bytes
		}
	}
	l.i, l.first, l.off = 0, l.base, l.start
	return false
}
