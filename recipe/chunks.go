package recipe

import (
	"context"
	"math"
)

// Chunks calls fn with each chunk and hole of a file's content, in file order, and where it starts.
// Files that lie in their entry, and entries that are not files, have none. It holds one list
// node of each level in memory. fn never sees bytes or chunks beyond what the entry declares.
func Chunks(ctx context.Context, nodes Nodes, e *Entry, fn func(off int64, ref Ref) error) error {
	if e.Type != TypeFile {
		return nil
	}
	w := listWalk{ctx: ctx, nodes: nodes, end: math.MaxUint64, fn: func(_ uint64, off int64, ref Ref) error { return fn(off, ref) }}
	return locate(w.list(e.Content), e.Name)
}

// ChunksRange calls fn with the chunks first … first+n-1 of a file, counted within the file. It
// reads only the list nodes that hold them. Holes are left out.
func ChunksRange(ctx context.Context, nodes Nodes, e *Entry, first, n uint64, fn func(index uint64, off int64, ref Ref) error) error {
	end := first + n
	if end < first {
		end = math.MaxUint64
	}
	if e.Type != TypeFile || n == 0 {
		return nil
	}
	w := listWalk{ctx: ctx, nodes: nodes, first: first, end: end, ranged: true, fn: fn}
	return locate(w.list(e.Content), e.Name)
}

// WalkChunks calls fn with the chunk references whose ordinals in the whole tree are first …
// first+n-1, and the files that they belong to. It reads only the nodes on the way to them.
func WalkChunks(ctx context.Context, nodes Nodes, root *Root, first, n uint64, fn func(it Item, ordinal uint64, off int64, ref Ref) error) error {
	end := min(first+n, root.Counts.Chunks)
	if first+n < first {
		end = root.Counts.Chunks
	}
	if first >= end {
		return nil
	}
	w := &rangeWalk{reader: reader{ctx, nodes, root.Mask}, first: first, end: end, fn: fn}
	top := root.Top
	return w.visit(Item{Path: top.Name, Entry: &top}, 0)
}

// rangeWalk goes through those parts of a tree that hold the chunks first … end-1.
type rangeWalk struct {
	reader
	first, end uint64
	fn         func(Item, uint64, int64, Ref) error
}

func (w *rangeWalk) visit(it Item, depth int) error {
	switch it.Entry.Type {
	case TypeFile:
		return w.file(it)
	case TypeDir:
		if depth > MaxDepth {
			return over("depth", it.Path, MaxDepth, depth)
		}
		return w.directory(it, depth)
	}
	return nil
}

func (w *rangeWalk) file(it Item) error {
	from := max(w.first, it.Ordinal) - it.Ordinal
	return ChunksRange(w.ctx, w.nodes, it.Entry, from, w.end-it.Ordinal-from, func(index uint64, off int64, ref Ref) error {
		return w.fn(it, it.Ordinal+index, off, ref)
	})
}

func (w *rangeWalk) directory(it Item, depth int) error {
	c := newCursor(&w.reader, it.Path, it.Entry.Dir)
	number, ordinal := it.Number+1, it.Ordinal
	for ordinal < w.end {
		if ref, ok := c.segment(); ok {
			if ordinal+ref.Chunks <= w.first {
				number, ordinal = number+ref.Entries, ordinal+ref.Chunks
				c.skip()
			} else if err := c.open(ref); err != nil {
				return err
			}
			continue
		}
		ok, err := c.next()
		if err != nil || !ok {
			return err
		}
		s := c.entry.sums()
		if ordinal+s.chunks > w.first {
			child := Item{Path: join(it.Path, c.entry.Name), Entry: &c.entry, Number: number, Ordinal: ordinal}
			if err := w.visit(child, depth+1); err != nil {
				return err
			}
		}
		number, ordinal = number+s.entries, ordinal+s.chunks
	}
	return nil
}

// listWalk goes through the leaf references of a list.
type listWalk struct {
	ctx        context.Context
	nodes      Nodes
	first, end uint64 // the chunks that fn is called with
	ranged     bool   // leave holes out
	fn         func(index uint64, off int64, ref Ref) error

	index uint64
	off   int64
}

func (w *listWalk) list(l List) error {
	for i := range l.Refs {
		ref := &l.Refs[i]
		if w.index >= w.end {
			return nil
		}
		if err := w.ref(l.Level, ref); err != nil {
			return err
		}
	}
	return nil
}

// ref handles one reference and moves on behind it.
func (w *listWalk) ref(level uint8, ref *Ref) error {
	wanted := w.index+ref.Chunks > w.first || !w.ranged
	switch {
	case level == 0 && wanted && !(w.ranged && ref.Hole):
		if err := w.fn(w.index, w.off, *ref); err != nil {
			return err
		}
	case level > 0 && wanted:
		return w.node(level, ref)
	}
	w.index += ref.Chunks
	w.off += ref.Bytes
	return nil
}

func (w *listWalk) node(level uint8, ref *Ref) error {
	raw, err := w.nodes.Node(w.ctx, KindList, ref.ID)
	if err != nil {
		return err
	}
	l, err := DecodeList(raw)
	if err != nil {
		return err
	}
	if l.Level != level-1 {
		return bad("", "list node %s is of level %d, not %d", ref.ID, l.Level, level-1)
	}
	if s, ok := l.sums(); !ok || s.bytes != uint64(ref.Bytes) || s.chunks != ref.Chunks {
		return bad("", "list node %s does not hold the bytes and chunks declared", ref.ID)
	}
	if l.Level > 0 {
		prefetch(w.nodes, KindList, raw, MaskFull)
	}
	return w.list(l)
}
