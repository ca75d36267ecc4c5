package diskscan

import (
	"time"

	"golang.org/x/sys/unix"
)

// stamp tells versions of files apart.
type stamp struct {
	fs, ino      uint64
	size         int64
	mtime, ctime int64
}

func stampOf(fs uint64, st *unix.Stat_t) stamp {
	return stamp{fs: fs, ino: st.Ino, size: st.Size, mtime: mtimeOf(st), ctime: ctimeOf(st)}
}

// Version is a file as it was when it was opened to be read.
type Version struct {
	Dev, Ino     uint64
	Size         int64
	MTime, CTime int64     // nanoseconds since 1970
	At           time.Time // when it was opened
}

func versionOf(st *unix.Stat_t, at time.Time) *Version {
	return &Version{Dev: st.Dev, Ino: st.Ino, Size: st.Size, MTime: mtimeOf(st), CTime: ctimeOf(st), At: at}
}

// sameContent says whether two stamps may be of the same bytes: links and names that come and go change
// ctime alone.
func (s stamp) sameContent(o stamp) bool {
	s.ctime = o.ctime
	return s == o
}
