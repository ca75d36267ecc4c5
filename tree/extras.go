package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"dfetch/recipe"
)

// Extras tells fn of every entry below a directory destination that Config.Delete would remove, each after what
// is below it, and changes nothing. walk and protect are as in Config. What can't be looked at is left out, and so
// is what lies on another file system. Names that differ in case are different here. A destination that does not
// exist has none.
func Extras(dest string, walk func(fn func(recipe.Item) error) error, protect func(path string, dir bool) bool, fn func(path string)) error {
	root, err := os.OpenRoot(dest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tree: list what is to be deleted: %w", err)
	}
	defer root.Close()
	x := &extras{root: root, protect: protect, fn: fn}
	err = walk(func(it recipe.Item) error {
		x.visit(it)
		return nil
	})
	for len(x.stack) > 0 {
		x.leave()
	}
	return err
}

// extras is one call of Extras.
type extras struct {
	root    *os.Root
	protect func(path string, dir bool) bool
	fn      func(path string)
	stack   []extraLevel
}

// extraLevel is a directory of the recipe that the walk is in.
type extraLevel struct {
	path  string
	dev   uint64
	names []string // at the destination, sorted
	kept  []bool   // those that the recipe has
}

// keep marks a name as one that stays.
func (l *extraLevel) keep(name string) {
	if i, ok := slices.BinarySearch(l.names, name); ok {
		l.kept[i] = true
	}
}

func (x *extras) visit(it recipe.Item) {
	parent, name := splitPath(it.Path)
	for len(x.stack) > 0 && it.Path != "" && x.stack[len(x.stack)-1].path != parent {
		x.leave()
	}
	if len(x.stack) > 0 {
		x.stack[len(x.stack)-1].keep(name)
	}
	if it.Entry.Type == recipe.TypeDir {
		x.stack = append(x.stack, x.level(it.Path))
	}
}

// level lists a directory; one that is missing, or no directory, has nothing to delete.
func (x *extras) level(path string) extraLevel {
	l := extraLevel{path: path}
	l.names, l.dev = x.list(path)
	l.kept = make([]bool, len(l.names))
	if n := len(x.stack); n == 0 || x.stack[n-1].dev != l.dev {
		l.keep(DirName) // the top of a file system has a staging directory
	}
	return l
}

func (x *extras) list(path string) (names []string, dev uint64) {
	name := "./" + path
	st, err := x.root.Lstat(name)
	if err != nil || !st.IsDir() {
		return nil, 0
	}
	dir, err := x.root.Open(name)
	if err != nil {
		return nil, 0
	}
	defer dir.Close()
	if names, err = dir.Readdirnames(-1); err != nil {
		return nil, 0
	}
	slices.Sort(names)
	return names, deviceOf(st)
}

func (x *extras) leave() {
	l := x.stack[len(x.stack)-1]
	x.stack = x.stack[:len(x.stack)-1]
	for i, name := range l.names {
		if !l.kept[i] {
			x.remove(joinPath(l.path, name), l.dev)
		}
	}
}

// remove tells of an entry and what is below it, and whether all of that would go.
func (x *extras) remove(path string, dev uint64) bool {
	st, err := x.root.Lstat(path)
	if err != nil || deviceOf(st) != dev || x.protect != nil && x.protect(path, st.IsDir()) {
		return false
	}
	all := true
	if st.IsDir() {
		names, _ := x.list(path)
		for _, name := range names {
			all = x.remove(joinPath(path, name), dev) && all
		}
	}
	if all {
		x.fn(path)
	}
	return all
}
