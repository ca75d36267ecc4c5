package tree

import (
	"bytes"
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// xattrTarget is a file whose attributes are looked at: through its descriptor, or through a path
// whose last component is not followed.
type xattrTarget struct {
	fd   int
	path string // "" for fd
}

func (x xattrTarget) list(p []byte) (int, error) {
	if x.path == "" {
		return unix.Flistxattr(x.fd, p)
	}
	return unix.Llistxattr(x.path, p)
}

func (x xattrTarget) get(name string, p []byte) (int, error) {
	if x.path == "" {
		return unix.Fgetxattr(x.fd, name, p)
	}
	return unix.Lgetxattr(x.path, name, p)
}

func (x xattrTarget) set(name string, value []byte) error {
	if x.path == "" {
		return unix.Fsetxattr(x.fd, name, value, 0)
	}
	return unix.Lsetxattr(x.path, name, value, 0)
}

func (x xattrTarget) remove(name string) error {
	if x.path == "" {
		return unix.Fremovexattr(x.fd, name)
	}
	return unix.Lremovexattr(x.path, name)
}

// names lists the attributes, none on a file system that has none.
func (x xattrTarget) names() ([]string, error) {
	buf := make([]byte, 1024)
	for {
		n, err := x.list(buf)
		switch {
		case err == unix.ERANGE:
			buf = make([]byte, 64<<10)
			if n, err = x.list(buf); err != nil {
				return nil, err
			}
		case err == unix.EOPNOTSUPP:
			return nil, nil
		case err != nil:
			return nil, err
		}
		return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 }), nil
	}
}

func (x xattrTarget) value(name string) ([]byte, error) {
	buf := make([]byte, recipe.MaxXattrValue)
	n, err := x.get(name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

// ours tells whether an attribute belongs to the recipe's full metadata, so that a surplus one goes.
func ours(name string) bool {
	return strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "system.posix_acl_") || name == "security.capability"
}

// applyXattrs makes the attributes those of a set. It tells whether anything changed. All of the set
// is tried; the first error comes back.
func (t *Tree) applyXattrs(x xattrTarget, id recipe.ID) (changed bool, first error) {
	want, err := t.wantedXattrs(id)
	if err != nil {
		return false, err
	}
	have, err := x.names()
	if err != nil {
		return false, err
	}
	keep := make(map[string]bool, len(want))
	for _, a := range want {
		keep[a.Name] = true
		if old, err := x.value(a.Name); err == nil && bytes.Equal(old, a.Value) {
			continue
		}
		changed = true
		first = firstError(first, x.set(a.Name, a.Value))
	}
	for _, name := range have {
		if !keep[name] && ours(name) {
			changed = true
			first = firstError(first, x.remove(name))
		}
	}
	return changed, first
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// wantedXattrs reads an attribute set; the last one is kept, since neighbours often share it.
func (t *Tree) wantedXattrs(id recipe.ID) ([]recipe.Xattr, error) {
	if id == (recipe.ID{}) {
		return nil, nil
	}
	t.lastSet.mu.Lock()
	defer t.lastSet.mu.Unlock()
	if t.lastSet.id == id {
		return t.lastSet.set, nil
	}
	if t.cfg.Nodes == nil {
		return nil, errors.New("no source of attribute sets")
	}
	set, err := recipe.Xattrs(t.ctx, t.cfg.Nodes, &recipe.Entry{Xattrs: id})
	if err != nil {
		return nil, err
	}
	t.lastSet.id, t.lastSet.set = id, set
	return set, nil
}
