package recipe

import "context"

// Chunks calls fn with each chunk and hole of a file's content, in file order, and where it starts.
// Files that lie in their entry, and entries that are not files, have none. It holds one list
// node of each level in memory. fn never sees bytes or chunks beyond what the entry declares.
func Chunks(ctx context.Context, nodes Nodes, e *Entry, fn func(off int64, ref Ref) error) error {
	if e.Type != TypeFile {
		return nil
	}
	w := listWalk{ctx: ctx, nodes: nodes, fn: fn}
	return locate(w.list(e.Content), e.Name)
}

// listWalk goes through the leaf references of a list.
type listWalk struct {
	ctx   context.Context
	nodes Nodes
	fn    func(off int64, ref Ref) error
	off   int64 // of the next one
}

func (w *listWalk) list(l List) error {
	for i := range l.Refs {
		if err := w.ref(l.Level, &l.Refs[i]); err != nil {
			return err
		}
	}
	return nil
}

// ref handles one reference and moves on behind it.
func (w *listWalk) ref(level uint8, ref *Ref) error {
	if level > 0 {
		return w.node(level, ref)
	}
	if err := w.fn(w.off, *ref); err != nil {
		return err
	}
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
