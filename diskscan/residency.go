package diskscan

import (
	"os"

	"golang.org/x/sys/unix"
)

// span is a range of a file.
type span struct{ off, end int64 }

// cold lists the ranges between off and end whose pages are not in the page cache, rounded to pages.
// Where the kernel does not tell, it lists nothing.
func cold(fd int, off, end int64) []span {
	page := int64(os.Getpagesize())
	off &^= page - 1
	if end <= off {
		return nil
	}
	if spans, ok := coldAlike(fd, off, end, page); ok {
		return spans
	}
	return coldMapped(fd, off, end, page)
}

// coldMapped is cold page by page.
func coldMapped(fd int, off, end, page int64) []span {
	mem, err := unix.Mmap(fd, off, int(end-off), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Munmap(mem) }()
	here := make([]byte, (int64(len(mem))+page-1)/page)
	if err := mincore(mem, here); err != nil {
		return nil
	}
	return coldSpans(here, off, page)
}

// coldAlike is cold for a range whose pages are all in the page cache, or none: then the kernel need only count them, and
// nothing has to be mapped. off is that of a page.
func coldAlike(fd int, off, end, page int64) (spans []span, ok bool) {
	var st unix.Cachestat_t
	r := unix.CachestatRange{Off: uint64(off), Len: uint64(end - off)}
	if unix.Cachestat(uint(fd), &r, &st, 0) != nil {
		return nil, false // an older kernel, or not our file
	}
	switch pages := (end - off + page - 1) / page; {
	case st.Cache == uint64(pages):
		return nil, true
	case st.Cache == 0 && countsPages(fd):
		return []span{{off, off + pages*page}}, true
	}
	return nil, false
}

// countsPages says whether the pages of a file are those of the file that is open. A file system that lies on others, such as
// overlayfs, has them elsewhere, and the kernel counts none.
func countsPages(fd int) bool {
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) != nil {
		return false
	}
	switch uint32(fs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// coldSpans turns what mincore says into ranges.
func coldSpans(here []byte, off, page int64) (spans []span) {
	for i, h := range here {
		if h&1 != 0 {
			continue
		}
		at := off + int64(i)*page
		if n := len(spans); n > 0 && spans[n-1].end == at {
			spans[n-1].end += page
		} else {
			spans = append(spans, span{at, at + page})
		}
	}
	return spans
}

// drop gives pages back that were cold before they were read.
func drop(fd int, spans []span, limit int64) {
	for _, s := range spans {
		if end := min(s.end, limit); end > s.off {
			_ = unix.Fadvise(fd, s.off, end-s.off, unix.FADV_DONTNEED) // a hint
		}
	}
}

func total(spans []span) (n int64) {
	for _, s := range spans {
		n += s.end - s.off
	}
	return n
}

// readQuietly keeps reads from changing the access time where that is allowed, and the kernel from reading
// further than it is asked to: what it read ahead would be in vain when the caller stops, and would push
// other things out of the cache.
func readQuietly(fd int) {
	keepAccessTime(fd)
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_RANDOM) // a hint
}

// readInOrder has the kernel read ahead of what is read. It does so in pieces of many pages, which take less of the
// processor than the single pages that fetch asks for, and while the bytes before are used.
func readInOrder(fd int) {
	keepAccessTime(fd)
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL) // a hint
}

func keepAccessTime(fd int) {
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_NOATIME) // only the owner may
	}
}

// fetch has the disk read a range at one go, while its first bytes are used already.
func fetch(fd int, off, end int64) {
	if end > off {
		_ = unix.Fadvise(fd, off, end-off, unix.FADV_WILLNEED) // a hint
	}
}
