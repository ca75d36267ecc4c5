package tree

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// xattrTarget is a file whose attributes are looked at: an open one, or a name in a directory, which
// is not followed.
type xattrTarget struct {
	fd   int    // of the file, or of the directory if there is a name
	name string // "" for fd itself
}

// path leads to the name through /proc, for the calls that take no directory descriptor.
func (x xattrTarget) path() string { return fdPath(x.fd, x.name) }

func (x xattrTarget) list(p []byte) (int, error) {
	if x.name == "" {
		return unix.Flistxattr(x.fd, p)
	}
	n, err := listXattrAt(x.fd, x.name, p)
	if err == unix.ENOSYS || err == unix.EPERM { // an older kernel, or a filter that does not know the call
		return unix.Llistxattr(x.path(), p)
	}
	return n, err
}

// listXattrAt lists the attributes of one name, of a symlink itself if it is one.
func listXattrAt(dir int, name string, p []byte) (int, error) {
	c, err := unix.BytePtrFromString(name)
	if err != nil {
		return 0, err
	}
	n, _, errno := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(dir), uintptr(unsafe.Pointer(c)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (x xattrTarget) get(name string, p []byte) (int, error) {
	if x.name == "" {
		return unix.Fgetxattr(x.fd, name, p)
	}
	return unix.Lgetxattr(x.path(), name, p)
}

func (x xattrTarget) set(name string, value []byte) error {
	if x.name == "" {
		return unix.Fsetxattr(x.fd, name, value, 0)
	}
	return unix.Lsetxattr(x.path(), name, value, 0)
}

func (x xattrTarget) remove(name string) error {
	if x.name == "" {
		return unix.Fremovexattr(x.fd, name)
	}
	return unix.Lremovexattr(x.path(), name)
}

// names lists the attributes, none on a file system that has none.
func (x xattrTarget) names() ([]string, error) {
	buf := make([]byte, 256)
	n, err := x.list(buf)
	if err == unix.ERANGE {
		buf = make([]byte, 64<<10) // what the kernel gives at most
		n, err = x.list(buf)
	}
	if err == unix.EOPNOTSUPP || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 }), nil
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

// attrSet is an attribute set that was read when its file was planned.
type attrSet struct {
	attrs []recipe.Xattr
	err   error
	bytes int64 // of Tree.aheadSets
}

// maxAheadSets bounds the bytes of attribute sets of files that are planned and have not ended. A set has its own
// bytes and setOverhead.
const (
	maxAheadSets = 32 << 20
	setOverhead  = 128
)

// readAhead reads the attribute set of a file whose content is still to come. Who brings the content may be who
// brings the recipe's nodes too: a Write must not wait for one. It waits until earlier files have ended, if
// their sets are many bytes.
func (t *Tree) readAhead(f *File) error {
	if f.meta.xattrs.IsZero() {
		return nil
	}
	s := &attrSet{bytes: setOverhead}
	s.attrs, s.err = t.wantedXattrs(f.meta.xattrs)
	for _, a := range s.attrs {
		s.bytes += int64(len(a.Name) + len(a.Value))
	}
	s.bytes = min(s.bytes, maxAheadSets)
	if err := t.aheadSets.Acquire(t.planning, s.bytes); err != nil {
		return context.Cause(t.planning)
	}
	f.meta.ahead = s
	return nil
}

// EndPlanning ends a Plan that waits for earlier files to end, with an error, and all such later ones. To be called
// when nothing will write any more.
func (t *Tree) EndPlanning() { t.endPlan() }

// attrsOf is the attribute set of an entry.
func (t *Tree) attrsOf(m meta) ([]recipe.Xattr, error) {
	if m.ahead != nil {
		return m.ahead.attrs, m.ahead.err
	}
	return t.wantedXattrs(m.xattrs)
}

// applyXattrs makes the attributes those of an entry. It tells whether anything changed. All of the set
// is tried; the first error comes back.
func (t *Tree) applyXattrs(x xattrTarget, m meta) (changed bool, first error) {
	want, err := t.attrsOf(m)
	if err != nil {
		return false, err
	}
	have, err := x.names()
	if err != nil {
		return false, err
	}
	if len(want) == 0 && len(have) == 0 {
		return false, nil
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
