package tree

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// maxInodes is how many files with several names are remembered, to find names that share content at
// the destination though the recipe keeps them apart.
const maxInodes = 1 << 20

// Plan takes the next entry of the recipe, in walk order, from one goroutine. A directory is made, or
// kept and made accessible. Links and special files are left to Finish. For a regular file the answer
// is nil if nothing has to come: it is right already, or its content lies in the recipe, or its entry
// failed. Otherwise the caller fills the File. Errors concern the whole destination.
func (t *Tree) Plan(it recipe.Item) (*File, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.exit()
	if it.Path == "" {
		t.stack = append(t.stack[:0], t.root)
		return nil, nil
	}
	dir, name, err := t.placeOf(it)
	if err != nil {
		return nil, err
	}
	if dir.failed {
		if it.Entry.Type == recipe.TypeDir {
			t.push(dir.child(name)).failed = true
		}
		t.failed.add(it.Path, errParent)
		return nil, nil
	}
	if badName(name) || t.isStaging(dir, name) {
		return nil, t.skip(dir, name, it, errName)
	}
	if err := t.fold.check(dir, name); err != nil {
		return nil, t.skip(dir, name, it, err)
	}
	switch it.Entry.Type {
	case recipe.TypeDir:
		return nil, t.planDir(dir, name, it)
	case recipe.TypeFile:
		return t.planFile(dir, name, it)
	}
	t.late.Add(1)
	return nil, nil
}

// placeOf finds the directory node above an entry and the entry's name.
func (t *Tree) placeOf(it recipe.Item) (*dirNode, string, error) {
	if t.single {
		return t.root, t.only, nil
	}
	parent, name := splitPath(it.Path)
	for n := len(t.stack); n > 0; n-- {
		if t.stack[n-1].path == parent {
			t.stack = t.stack[:n]
			return t.stack[n-1], name, nil
		}
	}
	return nil, "", fmt.Errorf("tree: %q is planned out of order", it.Path)
}

// badName finds the names that would lead elsewhere. A recipe's decoder refuses them; here is the last
// place to.
func badName(name string) bool { return name == "" || name == "." || name == ".." }

func (t *Tree) push(n *dirNode) *dirNode {
	t.stack = append(t.stack, n)
	return n
}

// skip notes an entry that can't be made; what lies below it can't be either.
func (t *Tree) skip(dir *dirNode, name string, it recipe.Item, err error) error {
	if it.Entry.Type == recipe.TypeDir {
		t.push(dir.child(name)).failed = true
	}
	return t.entryFailed("plan", it.Path, err)
}

func (t *Tree) planDir(parent *dirNode, name string, it recipe.Item) error {
	pfd, err := t.acquireDir(parent)
	if err != nil {
		return t.skip(parent, name, it, err)
	}
	defer t.releaseDir(parent)
	fd, made, err := t.keepDir(pfd, parent, name, it.Number)
	if err != nil {
		return t.skip(parent, name, it, err)
	}
	n := t.push(parent.child(name))
	n.fresh = made
	fd = t.dirs.adopt(&n.handle, fd)
	defer t.releaseDir(n)
	if !made {
		t.noteMount(n, fd)
	}
	if made {
		t.count.dirs.Add(1)
		t.touched.add(parent)
	}
	return nil
}

// keepDir opens the directory called name, and makes it if there is none. What stands in its way goes
// to staging first.
func (t *Tree) keepDir(pfd int, parent *dirNode, name string, number uint64) (fd int, made bool, err error) {
	if !parent.fresh {
		fd, err := openAccessible(pfd, name)
		if err == nil {
			return fd, false, nil
		}
		if err == unix.ENOTDIR || err == unix.ELOOP {
			err = t.moveAside(pfd, parent, name, number)
		}
		if err != nil && err != unix.ENOENT {
			return -1, false, err
		}
	}
	if err := unix.Mkdirat(pfd, name, 0o700); err != nil && (err != unix.EEXIST || !parent.fresh) {
		return -1, false, err
	}
	fd, err = openDirAt(pfd, name)
	return fd, true, err
}

// moveAside moves what stands in the way of a directory to staging.
func (t *Tree) moveAside(pfd int, parent *dirNode, name string, number uint64) error {
	stage, err := t.stageOf(parent)
	if err == nil {
		err = unix.Renameat(pfd, name, stage.fd, asideName(number))
	}
	if err == nil && parent.mount == nil {
		t.holdAside(pfd, name, number)
	}
	return err
}

// openAccessible opens an existing directory with the rights to work in it.
func openAccessible(pfd int, name string) (int, error) {
	fd, err := openDirAt(pfd, name)
	if err == unix.EACCES {
		if cerr := chmodAt(pfd, name, 0o700); cerr == nil {
			fd, err = openDirAt(pfd, name)
		}
	}
	if err != nil || os.Geteuid() == 0 {
		return fd, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	makeAccessible(fd, &st)
	return fd, nil
}

func (t *Tree) planFile(dir *dirNode, name string, it recipe.Item) (*File, error) {
	f := t.newFile(dir, name, it)
	t.adoptHeld(f)
	right, err := t.isRight(f, it.Entry)
	if err != nil {
		return nil, t.entryFailed("look at", it.Path, err)
	}
	if right {
		f.unstage()
		return nil, t.keepLive(f)
	}
	if f.size == 0 || len(it.Entry.Inline) > 0 {
		return nil, t.planInline(f, it.Entry.Inline)
	}
	f.live = nil // it may change until it is looked at again
	if t.journal.resume(f) {
		return nil, f.settleComplete(f.complete())
	}
	if err := t.readAhead(f); err != nil {
		return nil, err
	}
	t.unended.Add(1)
	return f, nil
}

// planInline makes a file whose content the recipe itself holds.
func (t *Tree) planInline(f *File, content []byte) error {
	if t.keepInline(f, content) {
		return nil
	}
	if err := t.sync.admit(); err != nil {
		return err
	}
	t.count.written.Add(uint64(len(content)))
	t.unended.Add(1)
	f.startWhole()
	return f.settleComplete(f.writeWhole(content))
}

// isRight tells whether the live file needs no content.
func (t *Tree) isRight(f *File, e *recipe.Entry) (bool, error) {
	if f.dir.fresh {
		return false, nil
	}
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return false, err
	}
	defer t.releaseDir(f.dir)
	var st unix.Stat_t
	if err := statAt(dfd, f.name, &st); err == unix.ENOENT {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != f.size || t.sharesInode(&st) {
		return false, nil
	}
	if t.cfg.Checksum {
		return t.checkInline(dfd, f, e), nil
	}
	f.live = &st
	return mtimeOf(&st) == f.meta.mtime, nil
}

// sharesInode tells whether an earlier entry of the recipe is the same file at the destination. Then
// the two are separate files in the recipe and have to become that.
func (t *Tree) sharesInode(st *unix.Stat_t) bool {
	if t.mask < recipe.MaskUnix || st.Nlink < 2 {
		return false
	}
	key := inodeOf(st)
	_, seen := t.inodes[key]
	if !seen && len(t.inodes) < maxInodes {
		t.inodes[key] = struct{}{}
	}
	return seen
}

// checkInline compares the content of a file that the recipe holds whole.
func (t *Tree) checkInline(dfd int, f *File, e *recipe.Entry) bool {
	if f.size > 0 && len(e.Inline) == 0 {
		return false
	}
	return holdsContent(dfd, f.name, e.Inline)
}

// holdsContent compares the content of a file that is no longer than what a recipe holds.
func holdsContent(dfd int, name string, want []byte) bool {
	fd, err := openAt(dfd, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	live := os.NewFile(uintptr(fd), name)
	defer live.Close()
	got, err := io.ReadAll(io.LimitReader(live, recipe.MaxInline+1))
	return err == nil && bytes.Equal(got, want)
}

// keepLive counts a file as right and makes its metadata so, in place.
func (t *Tree) keepLive(f *File) error {
	t.count.rightFiles.Add(1)
	t.count.rightBytes.Add(uint64(f.size))
	if f.live != nil && t.mask < recipe.MaskFull && t.sameMeta(f.live, f.meta) {
		return nil
	}
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return t.entryFailed("open directory of", f.Path(), err)
	}
	defer t.releaseDir(f.dir)
	if f.live == nil {
		f.live = new(unix.Stat_t)
		if err := statAt(dfd, f.name, f.live); err != nil {
			return t.entryFailed("look at", f.Path(), err)
		}
	}
	return t.entryFailed("set metadata of", f.Path(), t.fixMeta(dfd, f.name, f.live, f.meta))
}

func (t *Tree) sameMeta(st *unix.Stat_t, m meta) bool {
	return st.Mode&0o7777 == m.mode && mtimeOf(st) == m.mtime && (t.mask < recipe.MaskUnix || sameOwner(st, m))
}

func sameOwner(st *unix.Stat_t, m meta) bool { return int(st.Uid) == m.uid && int(st.Gid) == m.gid }
