package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// What a function that is called for each item may return.
var (
	SkipDir = fs.SkipDir // not the entries of this directory
	SkipAll = fs.SkipAll // nothing more; the walk ends without an error
)

// Walk calls fn for each entry of a tree, depth first, the top one first. It holds one node of each
// open directory in memory.
//
// A walk that ends without an error has checked all directory nodes against what refers to them, and
// the root's counts of entries, files and directories; each hardlink names an earlier regular file.
// An item that fn sees never lies beyond the root's counts, but others after it may yet turn out
// to be wrong. Chunk lists are checked by Chunks.
func Walk(ctx context.Context, nodes Nodes, root *Root, fn func(Item) error) error {
	w := newWalker(ctx, nodes, root, fn)
	top := root.Top
	err := w.visit(Item{Path: top.Name, Entry: &top}, 0)
	if errors.Is(err, SkipAll) {
		return nil
	}
	if err != nil || w.skipped {
		return err
	}
	if c := root.Counts; w.files != c.Files || w.dirs != c.Dirs {
		return bad("", "root counts %d files and %d directories; the tree has %d and %d", c.Files, c.Dirs, w.files, w.dirs)
	}
	return nil
}

// WalkFrom is Walk for the entry at path and those below it. Items have the paths, numbers and
// ordinals that they have in the whole tree. The error is ErrNotFound if nothing is at path.
func WalkFrom(ctx context.Context, nodes Nodes, root *Root, path string, fn func(Item) error) error {
	if path == "" {
		return Walk(ctx, nodes, root, fn)
	}
	it, err := Lookup(ctx, nodes, root, path)
	if err != nil {
		return err
	}
	w := newWalker(ctx, nodes, root, fn)
	err = w.visit(it, strings.Count(path, "/")+1)
	if errors.Is(err, SkipAll) {
		return nil
	}
	return err
}

// maxKnownTargets bounds the hardlink targets that a walk remembers as checked.
const maxKnownTargets = 4096

type walker struct {
	reader
	root    *Root
	fn      func(Item) error
	files   uint64
	dirs    uint64
	skipped bool // something was not looked at, so files and dirs are not the tree's
	targets map[string]bool
}

func newWalker(ctx context.Context, nodes Nodes, root *Root, fn func(Item) error) *walker {
	return &walker{reader: reader{ctx, nodes, root.Mask}, root: root, fn: fn, targets: map[string]bool{}}
}

func (w *walker) visit(it Item, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	switch it.Entry.Type {
	case TypeDir:
		w.dirs++
		return w.directory(it, depth)
	case TypeFile:
		w.files++
	case TypeHardlink:
		if err := w.checkLink(it); err != nil {
			return err
		}
	}
	err := w.fn(it)
	if errors.Is(err, SkipDir) {
		return bad(it.Path, "SkipDir for what is not a directory")
	}
	return err
}

func (w *walker) directory(it Item, depth int) error {
	dir := it.Entry.Dir
	switch err := w.fn(it); {
	case errors.Is(err, SkipDir):
		w.skipped = true
		return nil
	case err != nil:
		return err
	}
	if dir.Entries > 0 && depth >= MaxDepth {
		return over("depth", it.Path, MaxDepth, depth+1)
	}
	c := newCursor(&w.reader, it.Path, dir)
	number, ordinal := it.Number+1, it.Ordinal
	for {
		ok, err := c.next()
		if err != nil || !ok {
			return err
		}
		s := c.entry.sums()
		child := Item{Path: join(it.Path, c.entry.Name), Entry: &c.entry, Number: number, Ordinal: ordinal}
		if err := w.visit(child, depth+1); err != nil {
			return err
		}
		number, ordinal = number+s.entries, ordinal+s.chunks
	}
}

// checkLink looks a hardlink's target up: a regular file that comes earlier.
func (w *walker) checkLink(it Item) error {
	if w.targets[it.Entry.Target] {
		return nil
	}
	target, err := Lookup(w.ctx, w.nodes, w.root, it.Entry.Target)
	var nothing *pathError
	switch {
	case errors.As(err, &nothing):
		return &FormatError{What: "hardlink to a path that the recipe does not have", Entry: it.Path, Err: err}
	case err != nil:
		return err
	case target.Entry.Type != TypeFile:
		return bad(it.Path, "hardlink to %q, which is not a regular file", it.Entry.Target)
	case target.Number >= it.Number:
		return bad(it.Path, "hardlink to %q, which comes later", it.Entry.Target)
	}
	if len(w.targets) >= maxKnownTargets {
		clear(w.targets)
	}
	w.targets[it.Entry.Target] = true
	return nil
}

// pathError says that a tree holds nothing at a path.
type pathError struct{ path string }

func (e *pathError) Error() string { return fmt.Sprintf("recipe: nothing at %q", e.path) }

func (e *pathError) Is(target error) bool { return target == ErrNotFound || target == fs.ErrNotExist }

// Lookup finds the entry at path, reading only the nodes on the way. The path "" is the top
// directory; a top file is found by its name. If nothing is there, the error is ErrNotFound and
// fs.ErrNotExist at once; a node that can't be had is never fs.ErrNotExist.
func Lookup(ctx context.Context, nodes Nodes, root *Root, path string) (Item, error) {
	top := root.Top
	it := Item{Path: top.Name, Entry: &top}
	if path == top.Name {
		return it, nil
	}
	if err := CheckPath(path); err != nil {
		return Item{}, err
	}
	r := &reader{ctx, nodes, root.Mask}
	for name := range strings.SplitSeq(path, "/") {
		if it.Entry.Type != TypeDir {
			return Item{}, &pathError{path}
		}
		c := newCursor(r, it.Path, it.Entry.Dir)
		before, found, err := c.seek(name)
		if err != nil {
			return Item{}, err
		}
		if !found {
			return Item{}, &pathError{path}
		}
		it = Item{Path: join(it.Path, name), Entry: &c.entry,
			Number: it.Number + 1 + before.entries, Ordinal: it.Ordinal + before.chunks}
	}
	return it, nil
}
