package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"dfetch/recipe"
)

// Selection says which part of a recipe is wanted. The zero value is all of it.
//
// Path is a file or directory of the tree; it lands as if it were the whole recipe. Rules are looked at
// in order, and the first whose pattern matches decides; what none matches is wanted. Below a directory
// that is left out nothing is wanted. Only, if not nil, leaves out everything but these paths, what is
// below them, and the directories on the way to them. Rules and Only see paths below Path.
type Selection struct {
	Path  string
	Rules []Rule
	Only  map[string]bool // as ReadOnly makes it
}

// Rule is one pattern, as rsync has them: "*" and "?" don't match a slash, "**" does. A pattern that
// starts with a slash is matched against the whole path, any other against its end; one that ends in
// a slash matches directories only.
type Rule struct {
	Include bool
	Pattern string
}

// maxOnly bounds the paths of a Selection.
const maxOnly = 1 << 20

// Validate says whether the patterns can be read.
func (s *Selection) Validate() error {
	for _, r := range s.Rules {
		if r.Pattern == "" || !doublestar.ValidatePattern(r.Pattern) {
			return fmt.Errorf("%q is not a pattern", r.Pattern)
		}
	}
	return nil
}

// ReadOnly reads paths, one a line, for Selection.Only. Empty lines and lines that start with "#" or
// ";" are passed over, as rsync does.
func ReadOnly(r io.Reader) (map[string]bool, error) {
	only := map[string]bool{}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		line := sc.Text()
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		p := strings.TrimPrefix(path.Clean("/"+line), "/")
		if len(only) == maxOnly {
			return nil, fmt.Errorf("more than %d paths", maxOnly)
		}
		only[p] = true // wanted with all below it
		for up := path.Dir(p); up != "."; up = path.Dir(up) {
			if _, known := only[up]; known {
				break
			}
			only[up] = false // on the way to one
		}
	}
	return only, sc.Err()
}

// Wants says whether an entry is wanted. It is asked for a directory before what is below it.
func (s *Selection) Wants(p string, dir bool) bool {
	if p == "" {
		return true
	}
	if !s.listed(p) {
		return false
	}
	for _, r := range s.Rules {
		if r.matches(p, dir) {
			return r.Include
		}
	}
	return true
}

// listed says whether Only has the path, one above it, or one below it.
func (s *Selection) listed(p string) bool {
	if s.Only == nil || s.Only[""] {
		return true
	}
	if _, ok := s.Only[p]; ok {
		return true
	}
	for up := path.Dir(p); up != "."; up = path.Dir(up) {
		if s.Only[up] {
			return true
		}
	}
	return false
}

func (r Rule) matches(p string, dir bool) bool {
	pattern := r.Pattern
	if only, ok := strings.CutSuffix(pattern, "/"); ok {
		if !dir {
			return false
		}
		pattern = only
	}
	if whole, ok := strings.CutPrefix(pattern, "/"); ok {
		pattern = whole
	} else {
		pattern = "**/" + pattern
	}
	ok, err := doublestar.Match(pattern, p)
	return ok && err == nil
}

// protects says whether --delete must leave a path alone: one that a rule leaves out, here or above.
func (s *Selection) protects(p string, dir bool) bool {
	for {
		if !s.Wants(p, dir) {
			return true
		}
		if p = path.Dir(p); p == "." {
			return false
		}
		dir = true
	}
}

// all says whether nothing is left out.
func (s *Selection) all() bool { return s.Path == "" && len(s.Rules) == 0 && s.Only == nil }

// partOf makes the root of what Path names. Its counts are those of the part as far as they are known
// without reading it: Files and DataBytes are upper bounds.
func (s *Selection) partOf(ctx context.Context, nodes recipe.Nodes, root *recipe.Root) (*recipe.Root, error) {
	if s.Path == "" {
		return root, nil
	}
	it, err := recipe.Lookup(ctx, nodes, root, s.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNoPath, s.Path)
	}
	if err != nil {
		return nil, err
	}
	part := *root
	part.Top = *it.Entry
	switch part.Top.Type {
	case recipe.TypeDir:
		part.Top.Name = ""
		d := part.Top.Dir
		part.Counts = recipe.Counts{Entries: d.Entries + 1, Files: d.Entries, Bytes: d.Bytes, DataBytes: d.Bytes, Chunks: d.Chunks}
	case recipe.TypeFile:
		part.Counts = fileCounts(&part.Top)
	default:
		return nil, fmt.Errorf("%q is neither a directory nor a regular file", s.Path)
	}
	return &part, nil
}

// Part gives what is selected of a recipe as a recipe of its own: a root, and a walk over its entries.
func (s *Selection) Part(ctx context.Context, nodes recipe.Nodes, root *recipe.Root) (*recipe.Root, func(context.Context, func(recipe.Item) error) error, error) {
	part, err := s.partOf(ctx, nodes, root)
	return part, func(ctx context.Context, fn func(recipe.Item) error) error { return s.walk(ctx, nodes, root, nil, fn) }, err
}

func fileCounts(e *recipe.Entry) recipe.Counts {
	c := recipe.Counts{Entries: 1, Files: 1, Bytes: uint64(e.Size), DataBytes: uint64(len(e.Inline))}
	for _, r := range e.Content.Refs {
		c.Chunks += r.Chunks
		if !r.Hole {
			c.DataBytes += uint64(r.Bytes)
		}
	}
	return c
}

// ErrNoPath: the recipe has nothing at Selection.Path.
var ErrNoPath = errors.New("the recipe has no such path")

// errOutside: a hardlink's first name is not in the part that is fetched.
var errOutside = errors.New("is a hard link to a name that is not fetched")

// walk is recipe.Walk over what is selected. Paths are below Path; numbers and ordinals are those of
// the whole recipe. left, if not nil, is told of entries that can't be made without what is left out.
func (s *Selection) walk(ctx context.Context, nodes recipe.Nodes, root *recipe.Root, left func(path string, err error), fn func(recipe.Item) error) error {
	if s.all() {
		return recipe.Walk(ctx, nodes, root, fn)
	}
	return recipe.WalkFrom(ctx, nodes, root, s.Path, func(it recipe.Item) error {
		whole := it.Path == s.Path
		it.Path = s.relative(it)
		e := *it.Entry
		it.Entry = &e
		if whole && e.Type == recipe.TypeDir {
			e.Name = ""
		}
		if !whole && !s.Wants(it.Path, e.Type == recipe.TypeDir) {
			if e.Type == recipe.TypeDir {
				return recipe.SkipDir
			}
			return nil
		}
		if e.Type == recipe.TypeHardlink && !s.retarget(&e) {
			if left != nil {
				left(it.Path, fmt.Errorf("%w: %s", errOutside, e.Target))
			}
			return nil
		}
		return fn(it)
	})
}

// relative is an item's path below Path; a file that is Path itself keeps its name.
func (s *Selection) relative(it recipe.Item) string {
	switch {
	case s.Path == "":
		return it.Path
	case it.Path != s.Path:
		return strings.TrimPrefix(it.Path, s.Path+"/")
	case it.Entry.Type == recipe.TypeDir:
		return ""
	default:
		return it.Entry.Name
	}
}

// retarget makes a hardlink's target one below Path; false if that is not selected.
func (s *Selection) retarget(e *recipe.Entry) bool {
	if s.Path != "" {
		rest, ok := strings.CutPrefix(e.Target, s.Path+"/")
		if !ok {
			return false
		}
		e.Target = rest
	}
	return !s.protects(e.Target, false)
}

// walkListed is walk, and leaves out what the selection lists and the recipe has not.
func (t *transfer) walkListed(ctx context.Context, nodes recipe.Nodes, fn func(recipe.Item) error) error {
	only := t.cfg.Select.Only
	if only == nil {
		return t.walk(ctx, nodes, fn)
	}
	met := map[string]bool{}
	err := t.walk(ctx, nodes, func(it recipe.Item) error {
		if only[it.Path] {
			met[it.Path] = true
		}
		return fn(it)
	})
	for _, p := range slices.Sorted(maps.Keys(only)) {
		if err != nil || !only[p] || met[p] || p == "" {
			continue
		}
		if _, found := recipe.Lookup(ctx, nodes, t.whole, path.Join(t.cfg.Select.Path, p)); errors.Is(found, fs.ErrNotExist) {
			t.leaveOut(p, ErrNoPath)
		}
	}
	return err
}
