package recipe

import (
	"context"
	"sort"
)

// reader is what reading a tree needs everywhere.
type reader struct {
	ctx   context.Context
	nodes Nodes
	mask  Mask
}

// dirNode gets the node of ref and checks that it is as long and as high as ref says.
func (r *reader) dirNode(ref *NodeRef) ([]byte, error) {
	raw, err := r.nodes.Node(r.ctx, KindDir, ref.ID)
	if err != nil {
		return nil, err
	}
	if len(raw) != int(ref.RawLen) || len(raw) < 2 || raw[1] != ref.Level {
		return nil, bad("", "directory node %s is not of the length and level declared", ref.ID)
	}
	return raw, nil
}

// cursor goes through the entries of one directory. It holds one node of each level.
type cursor struct {
	r      *reader
	path   string // of the directory
	frames []frame
	leaf   *entryDecoder // nil between nodes of entries
	left   sums          // what the open leaf has yet to show
	last   string        // the last name; names rise through the whole directory
	entry  Entry         // the entry that next found
}

// frame are the references of an upper node that are yet to be opened.
type frame struct{ refs []NodeRef }

// newCursor goes through the directory whose entries dir refers to.
func newCursor(r *reader, path string, dir NodeRef) *cursor {
	c := &cursor{r: r, path: path}
	if dir.Entries > 0 {
		c.frames = []frame{{refs: []NodeRef{dir}}}
	}
	return c
}

// segment is the next node, if the cursor stands between nodes.
func (c *cursor) segment() (NodeRef, bool) {
	if c.leaf != nil {
		return NodeRef{}, false
	}
	for len(c.frames) > 0 {
		if refs := c.frames[len(c.frames)-1].refs; len(refs) > 0 {
			return refs[0], true
		}
		c.frames = c.frames[:len(c.frames)-1]
	}
	return NodeRef{}, false
}

// skip drops the next node.
func (c *cursor) skip() {
	f := &c.frames[len(c.frames)-1]
	f.refs = f.refs[1:]
}

// open goes into the next node, ref.
func (c *cursor) open(ref NodeRef) error {
	raw, err := c.r.dirNode(&ref)
	if err != nil {
		return locate(err, c.path)
	}
	c.skip()
	prefetch(c.r.nodes, KindDir, raw, c.r.mask)
	if ref.Level == 0 {
		c.left = sums{ref.Entries, ref.Bytes, ref.Chunks}
		c.leaf, err = newEntryDecoder(raw, c.r.mask)
		return locate(err, c.path)
	}
	refs, err := c.r.refs(raw, &ref)
	if err != nil {
		return locate(err, c.path)
	}
	c.frames = append(c.frames, frame{refs})
	return nil
}

// refs decodes an upper node and compares its sums with those that ref declares.
func (r *reader) refs(raw []byte, ref *NodeRef) ([]NodeRef, error) {
	refs, err := DecodeNodeRefs(raw)
	if err != nil {
		return nil, err
	}
	var s sums
	for i := range refs {
		if !s.add(sums{refs[i].Entries, refs[i].Bytes, refs[i].Chunks}) {
			return nil, bad("", "sums of a directory leave 63 bits")
		}
	}
	if s != (sums{ref.Entries, ref.Bytes, ref.Chunks}) {
		return nil, mismatch(ref)
	}
	return refs, nil
}

func mismatch(ref *NodeRef) error {
	return bad("", "directory node %s does not hold the entries, bytes and chunks declared", ref.ID)
}

// next decodes the next entry into c.entry. It says false at the directory's end.
//
// What a node declares bounds what it shows: an entry that goes beyond is refused before it is seen,
// and a node that shows less is refused at its end.
func (c *cursor) next() (bool, error) {
	for {
		if c.leaf == nil {
			ref, ok := c.segment()
			if !ok {
				return false, nil
			}
			if err := c.open(ref); err != nil {
				return false, err
			}
			continue
		}
		ok, err := c.leaf.next(&c.entry)
		if err != nil {
			return false, locate(err, c.path)
		}
		if ok {
			return true, locate(c.accept(), c.path)
		}
		if c.left != (sums{}) {
			return false, bad(c.path, "directory node holds less than declared")
		}
		c.leaf = nil
	}
}

// accept checks what only the place in the tree tells about an entry.
func (c *cursor) accept() error {
	e := &c.entry
	switch {
	case c.last != "" && e.Name <= c.last:
		return bad(e.Name, "name does not come after %q", c.last)
	case !c.left.take(e.sums()):
		return bad(e.Name, "directory node holds more than declared")
	case c.path == "" && e.Name == stagingName:
		return bad(e.Name, "name is reserved at the top of a tree")
	case len(c.path)+1+len(e.Name) > MaxPath:
		return over("path", "", MaxPath, len(c.path)+1+len(e.Name))
	}
	c.last = e.Name
	return nil
}

// seek takes a new cursor to the entry called name. It returns the sums of all entries before it.
func (c *cursor) seek(name string) (before sums, found bool, err error) {
	for ref, ok := c.segment(); ok; ref, ok = c.segment() {
		if err := c.skipTo(name, &before); err != nil {
			return before, false, locate(err, c.path)
		}
		if ref, _ = c.segment(); ref.Level == 0 {
			break
		}
		if err := c.open(ref); err != nil {
			return before, false, err
		}
	}
	for {
		ok, err := c.next()
		if err != nil || !ok || c.entry.Name > name {
			return before, false, err
		}
		if c.entry.Name == name {
			return before, true, nil
		}
		before.add(c.entry.sums())
	}
}

// skipTo drops the next nodes that end before name.
func (c *cursor) skipTo(name string, before *sums) error {
	f := &c.frames[len(c.frames)-1]
	var failed error
	i := sort.Search(len(f.refs)-1, func(i int) bool {
		if failed != nil {
			return true
		}
		first, err := c.r.firstName(f.refs[i+1])
		failed = err
		return first > name
	})
	if failed != nil {
		return failed
	}
	for _, ref := range f.refs[:i] {
		before.add(sums{ref.Entries, ref.Bytes, ref.Chunks})
	}
	f.refs = f.refs[i:]
	return nil
}

// firstName is the first name below ref.
func (r *reader) firstName(ref NodeRef) (string, error) {
	for {
		raw, err := r.dirNode(&ref)
		if err != nil {
			return "", err
		}
		if ref.Level == 0 {
			return leafFirstName(raw)
		}
		refs, err := DecodeNodeRefs(raw)
		if err != nil {
			return "", err
		}
		ref = refs[0]
	}
}

// leafFirstName is the name of a node's first entry, which begins with flags and the name. The rest
// is left for the decoder to check.
func leafFirstName(raw []byte) (string, error) {
	r := byteReader{raw: raw, pos: min(3, len(raw))}
	n := r.uvarint()
	if n > MaxName {
		return "", &LimitError{What: "name", Limit: MaxName, Got: n}
	}
	name := r.take(int(n))
	if r.bad != "" {
		return "", bad("", "entry: %s", r.bad)
	}
	return string(name), nil
}
