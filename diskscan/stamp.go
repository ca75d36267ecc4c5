package diskscan

import "golang.org/x/sys/unix"

// stamp tells versions of files apart.
type stamp struct {
	fs, ino      uint64
	size         int64
	mtime, ctime int64
}

func stampOf(fs uint64, st *unix.Stat_t) stamp {
	return stamp{fs: fs, ino: st.Ino, size: st.Size, mtime: mtimeOf(st), ctime: ctimeOf(st)}
}

// sameContent says whether two stamps may be of the same bytes: links and names that come and go change
// ctime alone.
func (s stamp) sameContent(o stamp) bool {
	s.ctime = o.ctime
	return s == o
}
