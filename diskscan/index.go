package diskscan

import (
	"golang.org/x/sys/unix"
)

// fileID is the number under which the index knows a version of a file. Numbers are never reused.
type fileID uint64

// stamp tells versions of files apart.
type stamp struct {
	fs, ino      uint64
	size         int64
	mtime, ctime int64
}

func stampOf(fs uint64, st *unix.Stat_t) stamp {
	return stamp{fs: fs, ino: st.Ino, size: st.Size, mtime: mtimeOf(st), ctime: ctimeOf(st)}
}

// Index remembers which chunks lie in which files.
type Index struct{}

// add notes chunks of a file.
func (x *Index) add(path string, at HashState, chunks []Chunk, done bool) fileID { return at.indexed }
