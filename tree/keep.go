package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

// keepAge is how long ago a file must have been changed last to be kept: the clock of a file system goes in ticks, and a
// change within the same one does not show.
const keepAge = 2 * time.Second

// Seen is a file that somebody has read.
type Seen struct {
	File  Inode
	Name  string // without directories
	MTime int64  // nanoseconds since 1970, from before it was read
}

// Keep is Right for a file that the caller has read whole and found to have the content that is wanted, if just that
// stands at the name of f: no other name has it, and its modification time is still the same. Then its metadata is made
// right where it is, and nothing is written. If the answer is false, the caller brings the bytes: also if the metadata
// can't be set there, which is so where the file belongs to somebody else and its directory does not.
func (f *File) Keep(seen Seen) bool {
	if f.dir.fresh || f.name != seen.Name || f.t.enter() != nil {
		return false
	}
	defer f.t.exit()
	dfd, err := f.t.acquireDir(f.dir)
	if err != nil {
		return false // writing finds it as well, and says so
	}
	defer f.t.releaseDir(f.dir)
	var st unix.Stat_t
	if statAt(dfd, f.name, &st) != nil || inodeOf(&st) != seen.File || mtimeOf(&st) != seen.MTime || !f.t.mayKeep(f, &st) {
		return false
	}
	if f.over() || f.t.fixMeta(dfd, f.name, &st, f.meta) != nil || !f.end() {
		return false
	}
	f.keep()
	return true
}

// keep notes that the live file is what it should be. Its bytes, whoever wrote them, are made durable at the end.
func (f *File) keep() {
	f.unstage()
	f.t.count.rightFiles.Add(1)
	f.t.touched.addAll()
}

// mayKeep tells whether a live file whose content is right may be given the metadata of f.
func (t *Tree) mayKeep(f *File, st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == f.size && st.Nlink == 1 &&
		t.cfg.Now().Sub(time.Unix(0, mtimeOf(st))) > keepAge
}

// keepInline keeps a live file that has the content that lies in the recipe, as Keep does.
func (t *Tree) keepInline(f *File, content []byte) bool {
	if f.live == nil || f.dir.fresh || !t.mayKeep(f, f.live) {
		return false
	}
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return false
	}
	defer t.releaseDir(f.dir)
	if !holdsContent(dfd, f.name, content) || t.fixMeta(dfd, f.name, f.live, f.meta) != nil {
		return false
	}
	f.keep()
	t.count.rightBytes.Add(uint64(f.size))
	return true
}
