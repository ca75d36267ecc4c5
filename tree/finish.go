package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// Finish commits what is complete and makes the final pass: links, devices, fifos and symlinks, then
// deletes and the directories' own metadata, each directory after what is below it. Then the staging
// directory goes, unless something staged could not be put in place. The error is a *PartialError, a
// *MaxDeleteError or both if single entries failed; the Result counts in any case.
func (t *Tree) Finish(ctx context.Context) (Result, error) {
	if !t.end() {
		return t.result(), ErrClosed
	}
	defer t.close()
	err := t.sync.stop()
	if err == nil {
		err = t.finalPass(ctx)
	}
	if err == nil {
		err = t.clear()
	}
	if err == nil {
		err = t.syncTouched()
	}
	return t.result(), t.verdict(err)
}

// verdict puts together how the run ended.
func (t *Tree) verdict(err error) error {
	if err != nil {
		return err
	}
	if n := t.count.skipped.Load(); n > 0 {
		err = &MaxDeleteError{Limit: t.cfg.MaxDelete, Skipped: n}
	}
	return errors.Join(t.failed.err(), err)
}

func (t *Tree) finalPass(ctx context.Context) error {
	if t.single {
		return nil
	}
	if t.late.Load() > 0 {
		if err := t.linkPass(ctx); err != nil {
			return err
		}
	}
	return t.dirPass(ctx)
}

// clear removes the staging directory, then gives the top directory its metadata: the removal changed
// its time.
func (t *Tree) clear() error {
	if t.journal.empty() {
		if err := t.stage.remove(); err != nil {
			t.note(t.stage.name, "staging directory could not be removed: "+err.Error())
		}
	} else if _, err := t.journal.flush(nil); err != nil {
		t.note(t.stage.name, "kept, but its journal could not be written: "+err.Error())
	} else {
		t.note(t.stage.name, "kept: it holds files that could not be put in place")
	}
	if t.single {
		t.touched.add(t.root)
		return nil
	}
	return t.finishDir(t.root, t.metaOf(&t.cfg.Root.Top))
}

// level is a directory of the recipe that the final pass is in.
type level struct {
	dir  *dirNode
	meta meta
	live []string // names at the destination, sorted by key; for deletes only
	keys []string
	kept []bool
}

// dirPass walks the recipe again. A directory is finished when the walk has left it.
func (t *Tree) dirPass(ctx context.Context) error {
	var stack []*level
	pop := func() error {
		l := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		return t.leaveDir(l)
	}
	err := t.cfg.walk(ctx, func(it recipe.Item) error {
		parent, name := splitPath(it.Path)
		for len(stack) > 0 && it.Path != "" && stack[len(stack)-1].dir.path != parent {
			if err := pop(); err != nil {
				return err
			}
		}
		if len(stack) > 0 {
			stack[len(stack)-1].keep(t.fold.key(name))
		}
		if it.Entry.Type != recipe.TypeDir {
			return nil
		}
		l := &level{dir: t.root, meta: t.metaOf(it.Entry)}
		if it.Path != "" {
			l.dir = stack[len(stack)-1].dir.child(name)
			l.dir.failed = stack[len(stack)-1].dir.failed || t.failed.has(it.Path)
		}
		stack = append(stack, l)
		return t.listLive(l)
	})
	for err == nil && len(stack) > 0 {
		err = pop()
	}
	return err
}

// listLive reads the names of a directory if surplus ones have to go.
func (t *Tree) listLive(l *level) error {
	if !t.cfg.Delete || l.dir.failed {
		return nil
	}
	fd, err := t.acquireDir(l.dir)
	if err != nil {
		return t.entryFailed("list", l.dir.path, err)
	}
	defer t.releaseDir(l.dir)
	if l.live, err = readNames(fd, ""); err != nil {
		return t.entryFailed("list", l.dir.path, err)
	}
	slices.SortFunc(l.live, func(a, b string) int { return strings.Compare(t.fold.key(a), t.fold.key(b)) })
	l.keys = l.live
	if t.fold.folds() {
		l.keys = make([]string, len(l.live))
		for i, name := range l.live {
			l.keys[i] = t.fold.key(name)
		}
	}
	l.kept = make([]bool, len(l.live))
	if l.dir == t.root {
		l.keep(t.fold.key(t.stage.name))
	}
	return nil
}

// keep marks a name as one of the recipe.
func (l *level) keep(key string) {
	i, ok := slices.BinarySearch(l.keys, key)
	for ; ok && i < len(l.keys) && l.keys[i] == key; i++ {
		l.kept[i] = true
	}
}

// leaveDir deletes what is surplus in a directory and gives it its metadata. The top directory's comes
// last of all.
func (t *Tree) leaveDir(l *level) error {
	if l.dir.failed {
		return nil
	}
	if err := t.deleteSurplus(l); err != nil || l.dir == t.root {
		return err
	}
	return t.finishDir(l.dir, l.meta)
}

func (t *Tree) deleteSurplus(l *level) error {
	if len(l.live) == 0 {
		return nil
	}
	fd, err := t.acquireDir(l.dir)
	if err != nil {
		return t.entryFailed("delete in", l.dir.path, err)
	}
	defer t.releaseDir(l.dir)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t.entryFailed("delete in", l.dir.path, err)
	}
	for i, name := range l.live {
		if !l.kept[i] && t.deleteExtra(fd, name, joinPath(l.dir.path, name), st.Dev) {
			t.touched.add(l.dir)
		}
	}
	return t.fatalError()
}

// finishDir sets a directory's metadata where it differs.
func (t *Tree) finishDir(n *dirNode, m meta) error {
	fd, err := t.acquireDir(n)
	if err != nil {
		return t.entryFailed("open", n.path, err)
	}
	defer t.releaseDir(n)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t.entryFailed("stat", n.path, err)
	}
	if t.mask < recipe.MaskFull && t.sameMeta(&st, m) {
		return nil
	}
	before := st.Ctim
	soft, hard := t.apply(fd, &st, m)
	if unix.Fstat(fd, &st) != nil || st.Ctim != before {
		t.touched.add(n)
	}
	return t.entryFailed("set metadata of", n.path, firstError(hard, soft))
}

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
	temp := linkName(it.Number)
	if err := t.stageLate(temp, it.Entry, m); err != nil {
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
	return true, t.fixMeta(dfd, name, m)
}

func ignoreMissing(err error) error {
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// stageLate makes a symlink, fifo or device in staging, with its metadata.
func (t *Tree) stageLate(temp string, e *recipe.Entry, m meta) error {
	make := func() error {
		if e.Type == recipe.TypeSymlink {
			return unix.Symlinkat(e.Target, t.stage.fd, temp)
		}
		return unix.Mknodat(t.stage.fd, temp, fileType(e.Type)|0o600, int(e.Rdev))
	}
	err := make()
	if err == unix.EEXIST {
		if err = unix.Unlinkat(t.stage.fd, temp, 0); err == nil {
			err = make()
		}
	}
	if err != nil {
		return err
	}
	return t.fixMeta(t.stage.fd, temp, m)
}

// makeHardlink gives an earlier file of the recipe another name.
func (t *Tree) makeHardlink(dfd int, dir *dirNode, name string, it recipe.Item) error {
	if t.failed.has(it.Entry.Target) {
		return fmt.Errorf("the file that it is a name of failed: %q", it.Entry.Target)
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
	temp := linkName(it.Number)
	_ = unix.Unlinkat(t.stage.fd, temp, 0) // a leftover; if it stays, the next call says so
	if err := unix.Linkat(ffd, first, t.stage.fd, temp, 0); err != nil {
		return fmt.Errorf("link to %q: %w", it.Entry.Target, err)
	}
	if err := t.place(dir, name, temp, it.Number); err != nil {
		return err
	}
	t.touched.add(dir)
	t.count.files.Add(1)
	return nil
}

// fixMeta gives one name its metadata, of a symlink itself if it is one.
func (t *Tree) fixMeta(dfd int, name string, m meta) error {
	var st unix.Stat_t
	if err := statAt(dfd, name, &st); err != nil {
		return err
	}
	var soft error
	if t.mask >= recipe.MaskUnix && !sameOwner(&st, m) {
		if soft = unix.Fchownat(dfd, name, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); soft != nil {
			m.mode &= 0o1777
		}
		st.Mode &^= 0o6000
	}
	if t.mask >= recipe.MaskFull {
		changed, err := t.applyXattrs(xattrTarget{path: fdPath(dfd, name)}, m.xattrs)
		soft = firstError(soft, err)
		if changed && st.Mode&unix.S_IFMT != unix.S_IFLNK {
			st.Mode |= 0o7777
			m.mode |= 0
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK && st.Mode&0o7777 != m.mode {
		if err := chmodAt(dfd, name, m.mode); err != nil {
			return err
		}
	}
	if mtimeOf(&st) != m.mtime {
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
