package tree

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// linkPass makes what is neither a directory nor a regular file.
func (t *Tree) linkPass(ctx context.Context) error {
	dir := t.root
	return t.cfg.walk(ctx, func(it recipe.Item) error {
		if it.Path == "" || it.Entry.Type == recipe.TypeDir || it.Entry.Type == recipe.TypeFile || t.failed.has(it.Path) {
			return nil
		}
		parent, name := splitPath(it.Path)
		if dir.path != parent {
			dir = t.lookupDir(parent)
		}
		if t.failed.has(parent) {
			return nil
		}
		return t.entryFailed("make", it.Path, t.makeLate(dir, name, it))
	})
}

func (t *Tree) makeLate(dir *dirNode, name string, it recipe.Item) error {
	dfd, err := t.acquireDir(dir)
	if err != nil {
		return err
	}
	defer t.releaseDir(dir)
	if it.Entry.Type == recipe.TypeHardlink {
		return t.makeHardlink(dfd, dir, name, it)
	}
	m := t.metaOf(it.Entry)
	if right, err := t.keepLate(dfd, name, it.Entry, m); right || err != nil {
		return err
	}
	stage, err := t.stageOf(dir)
	if err != nil {
		return err
	}
	temp := linkName(it.Number)
	if err := t.stageLate(stage.fd, temp, it.Entry, m); err != nil {
		return err
	}
	if err := t.place(dir, name, temp, it.Number); err != nil {
		return err
	}
	t.touched.add(dir)
	if it.Entry.Type == recipe.TypeSymlink {
		t.count.symlinks.Add(1)
	} else {
		t.count.specials.Add(1)
	}
	return nil
}

// keepLate tells whether a symlink, fifo or device is there already, and makes its metadata right.
func (t *Tree) keepLate(dfd int, name string, e *recipe.Entry, m meta) (bool, error) {
	var st unix.Stat_t
	if err := statAt(dfd, name, &st); err != nil {
		return false, ignoreMissing(err)
	}
	if st.Mode&unix.S_IFMT != fileType(e.Type) {
		return false, nil
	}
	if e.Type == recipe.TypeSymlink {
		if target, err := readLink(dfd, name); err != nil || target != e.Target {
			return false, err
		}
		m.mode = st.Mode & 0o7777
	} else if e.Type != recipe.TypeFifo && st.Rdev != e.Rdev {
		return false, nil
	}
	if t.mask < recipe.MaskFull && t.sameMeta(&st, m) {
		return true, nil
	}
	return true, t.fixMeta(dfd, name, &st, m)
}

func ignoreMissing(err error) error {
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// stageLate makes a symlink, fifo or device in staging, with its metadata.
func (t *Tree) stageLate(sfd int, temp string, e *recipe.Entry, m meta) error {
	make := func() error {
		if e.Type == recipe.TypeSymlink {
			return unix.Symlinkat(e.Target, sfd, temp)
		}
		return unix.Mknodat(sfd, temp, fileType(e.Type)|0o600, int(e.Rdev))
	}
	err := make()
	if err == unix.EEXIST {
		if err = unix.Unlinkat(sfd, temp, 0); err == nil {
			err = make()
		}
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := statAt(sfd, temp, &st); err != nil {
		return err
	}
	return t.fixMeta(sfd, temp, &st, m)
}

// makeHardlink gives an earlier file of the recipe another name.
func (t *Tree) makeHardlink(dfd int, dir *dirNode, name string, it recipe.Item) error {
	if t.failed.has(it.Entry.Target) {
		return fmt.Errorf("the file that it is a name of failed: %q", it.Entry.Target)
	}
	if slices.ContainsFunc(strings.Split(it.Entry.Target, "/"), badName) {
		return fmt.Errorf("link to %q: %w", it.Entry.Target, errName)
	}
	parent, first := splitPath(it.Entry.Target)
	from := dir
	if parent != dir.path {
		if t.linkDir == nil || t.linkDir.path != parent {
			t.linkDir = t.lookupDir(parent)
		}
		from = t.linkDir
	}
	ffd, err := t.acquireDir(from)
	if err != nil {
		return err
	}
	defer t.releaseDir(from)
	var a, b unix.Stat_t
	if err := statAt(ffd, first, &a); err != nil {
		return fmt.Errorf("link to %q: %w", it.Entry.Target, err)
	}
	if a.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("link to %q: not a regular file", it.Entry.Target)
	}
	if err := statAt(dfd, name, &b); err == nil && a.Ino == b.Ino && a.Dev == b.Dev {
		return nil
	}
	stage, err := t.stageOf(dir)
	if err != nil {
		return err
	}
	temp := linkName(it.Number)
	_ = unix.Unlinkat(stage.fd, temp, 0) // a leftover; if it stays, the next call says so
	if err := unix.Linkat(ffd, first, stage.fd, temp, 0); err != nil {
		return fmt.Errorf("link to %q: %w", it.Entry.Target, err)
	}
	if err := t.place(dir, name, temp, it.Number); err != nil {
		return err
	}
	t.touched.add(dir)
	t.count.files.Add(1)
	return nil
}

// fixMeta gives one name the metadata that it lacks, of a symlink itself if it is one. st is what it
// has now. An owner or attribute that can't be set does not keep the rest from being set.
func (t *Tree) fixMeta(dfd int, name string, st *unix.Stat_t, m meta) error {
	var soft error
	aclChanged := false
	if t.mask >= recipe.MaskUnix && !sameOwner(st, m) {
		if soft = unix.Fchownat(dfd, name, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); soft != nil {
			m.mode &= 0o1777
		}
		st.Mode &^= 0o6000
	}
	if t.mask >= recipe.MaskFull {
		changed, err := t.applyXattrs(xattrTarget{fd: dfd, name: name}, m)
		soft = firstError(soft, err)
		aclChanged = changed // and with it, maybe, the mode
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK && (aclChanged || st.Mode&0o7777 != m.mode) {
		if err := chmodAt(dfd, name, m.mode); err != nil {
			return err
		}
	}
	if mtimeOf(st) != m.mtime {
		if err := setTimesAt(dfd, name, m.mtime); err != nil {
			return err
		}
	}
	return soft
}

func fileType(t recipe.Type) uint32 {
	switch t {
	case recipe.TypeDir:
		return unix.S_IFDIR
	case recipe.TypeSymlink:
		return unix.S_IFLNK
	case recipe.TypeFifo:
		return unix.S_IFIFO
	case recipe.TypeChar:
		return unix.S_IFCHR
	case recipe.TypeBlock:
		return unix.S_IFBLK
	}
	return unix.S_IFREG
}

func readLink(dfd int, name string) (string, error) {
	buf := make([]byte, recipe.MaxTarget+1)
	n, err := unix.Readlinkat(dfd, name, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}
