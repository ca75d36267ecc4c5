package tree

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// commit gives a staged and complete file its live name.
func (f *File) commit() error {
	if err := f.t.place(f.dir, f.name, stagedName(f.number), f.number); err != nil {
		return wrap("put in place", f.Path(), err)
	}
	return f.committed()
}

// committed notes that a file has its live name.
func (f *File) committed() error {
	f.t.count.files.Add(1)
	f.t.journal.forget(f)
	f.t.cfg.fault("renamed")
	if f.t.cfg.Fsync == FsyncFile {
		return f.t.syncDir(f.dir)
	}
	f.t.touched.add(f.dir)
	return nil
}

// place renames a staged name to its live name. A directory in its way is removed if that is allowed.
func (t *Tree) place(dir *dirNode, name, staged string, number uint64) error {
	dfd, err := t.acquireDir(dir)
	if err != nil {
		return err
	}
	defer t.releaseDir(dir)
	stage, err := t.stageOf(dir)
	if err != nil {
		return err
	}
	t.hold(dir, dfd, name, number)
	err = unix.Renameat(stage.fd, staged, dfd, name)
	if err != unix.EISDIR && err != unix.ENOTEMPTY && err != unix.EEXIST {
		return err
	}
	if err := t.makeRoom(dfd, dir, stage, name, number); err != nil {
		return err
	}
	return unix.Renameat(stage.fd, staged, dfd, name)
}

// makeRoom removes the directory that stands where a file belongs: an empty one always, another one
// under Config.Delete, as a whole, so that no half of it is ever at a live name.
func (t *Tree) makeRoom(dfd int, dir *dirNode, stage *staging, name string, number uint64) error {
	err := unix.Unlinkat(dfd, name, unix.AT_REMOVEDIR)
	if err == nil || !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if !t.cfg.Delete {
		return errNotEmpty
	}
	n, err := countEntries(dfd, name)
	if err != nil {
		return err
	}
	if !t.mayDelete(n) {
		return ErrMaxDelete
	}
	t.holdBelow(dir, dfd, name, number)
	if err := unix.Renameat(dfd, name, stage.fd, asideName(number)); err != nil {
		return err
	}
	t.note(joinPath(dir.path, name), "directory removed to make room for a file")
	return nil
}

// syncDir makes the names of a directory durable.
func (t *Tree) syncDir(dir *dirNode) error {
	fd, err := t.acquireDir(dir)
	if err != nil {
		return err
	}
	defer t.releaseDir(dir)
	return syncFile(fd)
}

// maxSyncs is how many files or directories are synced one by one; more are synced with their file
// system.
const maxSyncs = 64

// touchedDirs are directories whose names changed and that are to be synced, and files that were kept.
type touchedDirs struct {
	mu    sync.Mutex
	some  map[string]*dirNode
	files []*File
	many  bool
}

func (d *touchedDirs) add(n *dirNode) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.many {
		return
	}
	if d.some == nil {
		d.some = make(map[string]*dirNode)
	}
	d.some[n.path] = n
	d.bound()
}

func (d *touchedDirs) addFile(f *File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.many {
		d.files = append(d.files, f)
		d.bound()
	}
}

// bound has everything synced if there is much; d.mu is held.
func (d *touchedDirs) bound() {
	if len(d.some)+len(d.files) > maxSyncs {
		d.many, d.some, d.files = true, nil, nil
	}
}

// addAll has everything synced.
func (d *touchedDirs) addAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.many, d.some, d.files = true, nil, nil
}

// take empties it.
func (d *touchedDirs) take() (some map[string]*dirNode, files []*File, many bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	some, files, many = d.some, d.files, d.many
	d.some, d.files, d.many = nil, nil, false
	return some, files, many
}

// syncTouched makes durable what was renamed or kept.
func (t *Tree) syncTouched() error {
	some, files, many := t.touched.take()
	if t.cfg.Fsync == FsyncNone {
		return nil
	}
	for _, f := range files {
		many = many || t.syncKept(f) != nil
	}
	if many {
		return t.syncStages()
	}
	for _, n := range some {
		if err := t.syncDir(n); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (t *Tree) syncKept(f *File) error {
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return err
	}
	defer t.releaseDir(f.dir)
	return syncAt(dfd, f.name)
}
