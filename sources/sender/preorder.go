package sender

import (
	"encoding/binary"
	"slices"

	"dfetch/recipe"
	"dfetch/sources/wire"
)

// maxSeen bounds the memory for which nodes were met: 16 bytes or so each.
const maxSeen = 2 << 20

// preorder is the order in which nodes are sent. Both ends run it: the server to know what to send,
// the client to know what must come. In steps: take the top of the stack; when its bytes are there,
// push what it refers to, so that the first child comes next. A node that was met is not sent again.
type preorder struct {
	mask      recipe.Mask
	recursive bool // follow directories
	lists     bool // follow chunk lists
	stack     []wire.NodeRef
	seen      map[uint64]struct{} // by the first bytes of the id; nil if not recursive
}

func newPreorder(mask recipe.Mask, req wire.Nodes) *preorder {
	p := &preorder{mask: mask, recursive: req.Recursive, lists: req.Lists}
	if p.recursive || p.lists {
		p.seen = make(map[uint64]struct{})
	}
	for i := len(req.Refs) - 1; i >= 0; i-- {
		p.push(req.Refs[i])
	}
	return p
}

func (p *preorder) push(ref wire.NodeRef) { p.stack = append(p.stack, ref) }

// next takes the next node; false at the end.
func (p *preorder) next() (wire.NodeRef, bool) {
	for len(p.stack) > 0 {
		ref := p.stack[len(p.stack)-1]
		p.stack = p.stack[:len(p.stack)-1]
		if p.fresh(ref) {
			return ref, true
		}
	}
	return wire.NodeRef{}, false
}

// fresh notes a node. Two nodes whose ids begin alike would count as one; the receiver then asks for
// the second by itself.
func (p *preorder) fresh(ref wire.NodeRef) bool {
	if p.seen == nil {
		return true
	}
	key := binary.LittleEndian.Uint64(ref.ID[:]) ^ uint64(ref.Kind)
	if _, ok := p.seen[key]; ok {
		return false
	}
	if len(p.seen) < maxSeen {
		p.seen[key] = struct{}{}
	}
	return true
}

// follow pushes what a node refers to.
func (p *preorder) follow(ref wire.NodeRef, raw []byte) error {
	if p.seen == nil {
		return nil
	}
	from := len(p.stack)
	err := recipe.Children(ref.Kind, raw, p.mask, func(kind recipe.Kind, id recipe.ID) error {
		if p.wants(kind) {
			p.push(wire.NodeRef{Kind: kind, ID: id})
		}
		return nil
	})
	slices.Reverse(p.stack[from:])
	return err
}

func (p *preorder) wants(kind recipe.Kind) bool {
	switch kind {
	case recipe.KindDir:
		return p.recursive
	case recipe.KindList:
		return p.lists
	}
	return true
}
