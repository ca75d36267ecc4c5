package recipe

import (
	"bytes"
	"context"
	"errors"
	"slices"
)

// ChangeKind says what became of a path.
type ChangeKind uint8

// What may become of a path.
const (
	Added   ChangeKind = 1
	Removed ChangeKind = 2
	Changed ChangeKind = 3 // type, content or metadata; of a directory, its own metadata only
)

// Change is one path that differs between two trees.
type Change struct {
	Path string
	Kind ChangeKind
	A, B *Entry // valid during the call; A is nil if added, B if removed
}

// Diff calls fn with each path in which tree b differs from tree a, in order of the walk. Where both
// have the same node it is not read. What fn returns ends the comparison; SkipAll does without
// an error. Recipes of two masks or hashes can be compared, but then much differs.
func Diff(ctx context.Context, aNodes Nodes, aRoot *Root, bNodes Nodes, bRoot *Root, fn func(Change) error) error {
	d := &differ{
		a: reader{ctx, aNodes, aRoot.Mask}, b: reader{ctx, bNodes, bRoot.Mask},
		share: aRoot.Mask == bRoot.Mask && aRoot.Hash == bRoot.Hash, fn: fn,
	}
	a, b := aRoot.Top, bRoot.Top
	var err error
	if a.Name == b.Name {
		err = d.both(a.Name, &a, &b, 0)
	} else if err = d.one(Removed, a.Name, &a, 0); err == nil {
		err = d.one(Added, b.Name, &b, 0)
	}
	if errors.Is(err, SkipAll) {
		return nil
	}
	return err
}

type differ struct {
	a, b  reader
	share bool // equal ids mean equal nodes
	fn    func(Change) error
}

// both compares the two entries at one path.
func (d *differ) both(path string, a, b *Entry, depth int) error {
	if a.Type != b.Type && (a.Type == TypeDir || b.Type == TypeDir) {
		if err := d.one(Removed, path, a, depth); err != nil {
			return err
		}
		return d.one(Added, path, b, depth)
	}
	aDir, bDir := a.Dir, b.Dir
	if !sameEntry(a, b) {
		if err := d.fn(Change{path, Changed, a, b}); err != nil {
			return err
		}
	}
	if a.Type != TypeDir || d.share && aDir == bDir {
		return nil
	}
	if depth > MaxDepth {
		return over("depth", path, MaxDepth, depth)
	}
	return d.merge(newCursor(&d.a, path, aDir), newCursor(&d.b, path, bDir), depth+1)
}

// one reports an entry that one side has alone, and all below it.
func (d *differ) one(kind ChangeKind, path string, e *Entry, depth int) error {
	ch, r := Change{Path: path, Kind: kind, A: e}, &d.a
	if kind == Added {
		ch.A, ch.B, r = nil, e, &d.b
	}
	dir := e.Dir
	if err := d.fn(ch); err != nil || e.Type != TypeDir {
		return err
	}
	if depth > MaxDepth {
		return over("depth", path, MaxDepth, depth)
	}
	c := newCursor(r, path, dir)
	for {
		ok, err := c.next()
		if err != nil || !ok {
			return err
		}
		if err := d.one(kind, join(path, c.entry.Name), &c.entry, depth+1); err != nil {
			return err
		}
	}
}

// merge goes through two directories in step.
func (d *differ) merge(a, b *cursor, depth int) error {
	aOK, bOK, err := d.nextBoth(a, b)
	for err == nil && (aOK || bOK) {
		switch {
		case aOK && bOK && a.entry.Name == b.entry.Name:
			if err = d.both(join(a.path, a.entry.Name), &a.entry, &b.entry, depth); err == nil {
				aOK, bOK, err = d.nextBoth(a, b)
			}
		case aOK && (!bOK || a.entry.Name < b.entry.Name):
			if err = d.one(Removed, join(a.path, a.entry.Name), &a.entry, depth); err == nil {
				aOK, err = a.next()
			}
		default:
			if err = d.one(Added, join(b.path, b.entry.Name), &b.entry, depth); err == nil {
				bOK, err = b.next()
			}
		}
	}
	return err
}

// nextBoth moves both cursors on. Segments that both have next are passed over unread.
func (d *differ) nextBoth(a, b *cursor) (aOK, bOK bool, err error) {
	if err = d.advance(a, b); err != nil {
		return false, false, err
	}
	if aOK, err = a.next(); err != nil {
		return false, false, err
	}
	bOK, err = b.next()
	return aOK, bOK, err
}

// advance skips equal segments while both cursors stand between segments, and opens the higher
// one of two that differ, so that equal ones further down are found.
func (d *differ) advance(a, b *cursor) error {
	if err := a.settle(); err != nil {
		return err
	}
	if err := b.settle(); err != nil {
		return err
	}
	for d.share {
		x, aOK := a.segment()
		y, bOK := b.segment()
		var err error
		switch {
		case !aOK || !bOK:
			return nil
		case x == y:
			a.skip()
			b.skip()
		case x.Level > y.Level:
			err = a.open(x)
		case y.Level > x.Level:
			err = b.open(y)
		case x.Level > 0:
			if err = a.open(x); err == nil {
				err = b.open(y)
			}
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settle closes a leaf that has been read to its end, so that segment tells what comes next.
func (c *cursor) settle() error {
	if c.leaf == nil || c.leaf.r.left() > 0 {
		return nil
	}
	if c.left != (sums{}) {
		return bad(c.path, "directory node holds less than declared")
	}
	c.leaf = nil
	return nil
}

// sameEntry compares all but the name and what is below a directory.
func sameEntry(a, b *Entry) bool {
	return a.Type == b.Type && a.Mode == b.Mode && a.MTime == b.MTime && a.owner() == b.owner() && a.Xattrs == b.Xattrs &&
		a.Size == b.Size && a.Target == b.Target && a.Rdev == b.Rdev && bytes.Equal(a.Inline, b.Inline) &&
		a.Content.Level == b.Content.Level && slices.Equal(a.Content.Refs, b.Content.Refs) &&
		slices.EqualFunc(a.Digests, b.Digests, func(x, y Digest) bool { return x.Alg == y.Alg && bytes.Equal(x.Sum, y.Sum) })
}
