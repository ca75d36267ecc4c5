package tree

import (
	"time"

	"golang.org/x/sys/unix"
)

// A file system's clock goes in ticks, and a second change within one does not show. So a file must have been left alone for
// longer than that before it is read. Ticks are those of the kernel, or, where times have no fractions, up to two seconds.
const (
	shortTick = 50 * time.Millisecond
	longTick  = 4 * time.Second
)

// Seen is a file that somebody has read, as it was before.
type Seen struct {
	File         Inode
	Name         string    // without directories
	MTime, CTime int64     // nanoseconds since 1970
	At           time.Time // when it was
}

// settled says whether every change after s.At shows in CTime.
func (s *Seen) settled() bool {
	tick := shortTick
	if s.CTime%int64(time.Millisecond) == 0 {
		tick = longTick
	}
	return s.At.Sub(time.Unix(0, s.CTime)) > tick
}

// is tells whether a file is the one that was seen, unchanged.
func (s *Seen) is(st *unix.Stat_t) bool {
	return inodeOf(st) == s.File && mtimeOf(st) == s.MTime && ctimeOf(st) == s.CTime && s.settled()
}

// Keep is Right for a file that the caller has read whole and found to have the content that is wanted, if just that
// stands at the name of f: no other name has it, and it has not changed since. Then its metadata is made right where it
// is, and nothing is written. If the answer is false, the caller brings the bytes: also if the metadata can't be set
// there, which is so where the file belongs to somebody else and its directory does not.
func (f *File) Keep(seen Seen) bool {
	if f.dir.fresh || f.dir.mount != nil || f.name != seen.Name || f.t.enter() != nil {
		return false
	}
	defer f.t.exit()
	dfd, err := f.t.acquireDir(f.dir)
	if err != nil {
		return false // writing finds it as well, and says so
	}
	defer f.t.releaseDir(f.dir)
	var st unix.Stat_t
	if statAt(dfd, f.name, &st) != nil || !seen.is(&st) || !f.mayKeep(&st) {
		return false
	}
	if f.over() || f.t.fixMeta(dfd, f.name, &st, f.meta) != nil || !f.end() {
		return false
	}
	f.keep(dfd)
	return true
}

// keep notes that the live file is what it should be. Its bytes, whoever wrote them, are made durable as what is written is.
func (f *File) keep(dfd int) {
	f.unstage()
	f.t.count.rightFiles.Add(1)
	switch f.t.cfg.Fsync {
	case FsyncFile:
		if syncAt(dfd, f.name) != nil {
			f.t.touched.addAll()
		}
	case FsyncEnd:
		f.t.touched.addFile(f)
	}
}

// syncAt makes a file durable.
func syncAt(dfd int, name string) error {
	fd, err := openAt(dfd, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return syncFile(fd)
}

// mayKeep tells whether a live file whose content is right may be given the metadata of f.
func (f *File) mayKeep(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == f.size && st.Nlink == 1
}

// keepInline keeps a live file that has the content that lies in the recipe, as Keep does.
func (t *Tree) keepInline(f *File, content []byte) bool {
	if f.live == nil || f.dir.fresh || f.dir.mount != nil || !f.mayKeep(f.live) {
		return false
	}
	seen := Seen{File: inodeOf(f.live), MTime: mtimeOf(f.live), CTime: ctimeOf(f.live), At: t.cfg.Now()}
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return false
	}
	defer t.releaseDir(f.dir)
	if !holdsContent(dfd, f.name, content) || statAt(dfd, f.name, f.live) != nil || !seen.is(f.live) || t.fixMeta(dfd, f.name, f.live, f.meta) != nil {
		return false
	}
	f.keep(dfd)
	t.count.rightBytes.Add(uint64(f.size))
	return true
}
