package tree

import (
	"os"

	"golang.org/x/sys/unix"
)

// mayDelete takes n deletes from the limit, all or none.
func (t *Tree) mayDelete(n uint64) bool {
	limit := t.cfg.MaxDelete
	if done := t.count.deleted.Load(); limit < 0 || limit > 0 && done+n > uint64(limit) {
		t.count.skipped.Add(n)
		return false
	}
	t.count.deleted.Add(n)
	return true
}

// countEntries counts what a directory holds, at any depth.
func countEntries(fd int, name string) (n uint64, err error) {
	names, err := readNames(fd, name)
	if err != nil {
		return 0, err
	}
	h, err := openDirAt(fd, name)
	if err != nil {
		return 0, err
	}
	defer unix.Close(h)
	for _, child := range names {
		n++
		var st unix.Stat_t
		if err := statAt(h, child, &st); err != nil {
			return 0, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			below, err := countEntries(h, child)
			if err != nil {
				return 0, err
			}
			n += below
		}
	}
	return n, nil
}

// deleteExtra removes a name that the recipe does not have, with what is below it. Each entry counts
// against the limit; what is past it stays. It tells whether the name is gone.
func (t *Tree) deleteExtra(fd int, name, path string, dev uint64) bool {
	var st unix.Stat_t
	if err := statAt(fd, name, &st); err != nil {
		return t.deleteFailed(path, err)
	}
	if t.cfg.Protect != nil && t.cfg.Protect(path, st.Mode&unix.S_IFMT == unix.S_IFDIR) {
		return false
	}
	flags := 0
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if st.Dev != dev {
			return t.deleteFailed(path, errMount)
		}
		if !t.emptyDir(fd, name, path, dev) {
			return false
		}
		flags = unix.AT_REMOVEDIR
	}
	if !t.mayDelete(1) {
		return false
	}
	if err := unix.Unlinkat(fd, name, flags); err != nil {
		t.count.deleted.Add(^uint64(0))
		return t.deleteFailed(path, err)
	}
	t.note(path, "deleted")
	return true
}

func (t *Tree) emptyDir(fd int, name, path string, dev uint64) bool {
	h, err := openAccessible(fd, name)
	if err != nil {
		return t.deleteFailed(path, err)
	}
	dir := os.NewFile(uintptr(h), name)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return t.deleteFailed(path, err)
	}
	empty := true
	for _, child := range names {
		empty = t.deleteExtra(h, child, joinPath(path, child), dev) && empty
	}
	return empty
}

func (t *Tree) deleteFailed(path string, err error) bool {
	if err == unix.ENOENT {
		return true
	}
	_ = t.entryFailed("delete", path, err)
	return false
}
