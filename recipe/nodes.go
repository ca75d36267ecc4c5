package recipe

import (
	"context"
	"fmt"
	"slices"
)

// Nodes is where nodes come from: a file, a cache, a network.
type Nodes interface {
	// Node returns the raw bytes of a node, checked against its id. They must not be modified.
	// If the node is not there the error is ErrNotFound.
	Node(ctx context.Context, kind Kind, id ID) ([]byte, error)
}

// Prefetcher is a Nodes that likes to know early what will be asked of it.
type Prefetcher interface {
	// Prefetch says that these nodes are likely to be asked for, in this order. It does not wait,
	// and may do nothing. ids belongs to the caller again when it returns.
	Prefetch(kind Kind, ids []ID)
}

// MemNodes are nodes in memory. They don't check ids: Put makes them.
type MemNodes map[ID][]byte

// Put is a Put that keeps a copy of each node under its id by h.
func (m MemNodes) Put(h Hash) Put {
	return func(kind Kind, raw []byte) (ID, error) {
		id := h.Node(kind, raw)
		m[id] = slices.Clone(raw)
		return id, nil
	}
}

// Node returns a node, or ErrNotFound.
func (m MemNodes) Node(_ context.Context, kind Kind, id ID) ([]byte, error) {
	raw, ok := m[id]
	if !ok {
		return nil, fmt.Errorf("%s node %s: %w", kind, id, ErrNotFound)
	}
	return raw, nil
}

// Xattrs reads the extended attributes of an entry; none if it has none.
func Xattrs(ctx context.Context, nodes Nodes, e *Entry) ([]Xattr, error) {
	if e.Xattrs.IsZero() {
		return nil, nil
	}
	raw, err := nodes.Node(ctx, KindXattr, e.Xattrs)
	if err != nil {
		return nil, err
	}
	return DecodeXattrs(raw)
}

// Children calls fn with each node that a node refers to, in order, repetitions included.
// Those of a root are the children of its top entry.
func Children(kind Kind, raw []byte, mask Mask, fn func(Kind, ID) error) error {
	switch kind {
	case KindRoot:
		root, err := DecodeRoot(raw)
		if err != nil {
			return err
		}
		return entryChildren(&root.Top, fn)
	case KindDir:
		return dirChildren(raw, mask, fn)
	case KindList:
		l, err := DecodeList(raw)
		if err != nil {
			return err
		}
		return listChildren(l, fn)
	case KindXattr:
		_, err := DecodeXattrs(raw)
		return err
	}
	return bad("", "unknown %s", kind)
}

func dirChildren(raw []byte, mask Mask, fn func(Kind, ID) error) error {
	if len(raw) > 1 && raw[1] > 0 {
		refs, err := DecodeNodeRefs(raw)
		if err != nil {
			return err
		}
		for i := range refs {
			if err := fn(KindDir, refs[i].ID); err != nil {
				return err
			}
		}
		return nil
	}
	d, err := newEntryDecoder(raw, mask)
	if err != nil {
		return err
	}
	var e Entry
	for {
		if ok, err := d.next(&e); err != nil || !ok {
			return err
		}
		if err := entryChildren(&e, fn); err != nil {
			return err
		}
	}
}

func entryChildren(e *Entry, fn func(Kind, ID) error) error {
	if !e.Xattrs.IsZero() {
		if err := fn(KindXattr, e.Xattrs); err != nil {
			return err
		}
	}
	if e.Type == TypeDir && e.Dir.Entries > 0 {
		return fn(KindDir, e.Dir.ID)
	}
	return listChildren(e.Content, fn)
}

func listChildren(l List, fn func(Kind, ID) error) error {
	if l.Level == 0 {
		return nil
	}
	for i := range l.Refs {
		if err := fn(KindList, l.Refs[i].ID); err != nil {
			return err
		}
	}
	return nil
}

// maxPrefetch bounds the references of one node that a prefetcher is told at once.
const maxPrefetch = 4 * maxDirEntries

// prefetch tells nodes, if it wants to know, what raw refers to. Errors are left to the reader.
func prefetch(nodes Nodes, kind Kind, raw []byte, mask Mask) {
	p, ok := nodes.(Prefetcher)
	if !ok {
		return
	}
	var ids [KindXattr + 1][]ID
	_ = Children(kind, raw, mask, func(k Kind, id ID) error {
		if len(ids[k]) < maxPrefetch {
			ids[k] = append(ids[k], id)
		}
		return nil
	})
	for k, some := range ids {
		if len(some) > 0 {
			p.Prefetch(Kind(k), some)
		}
	}
}
