package diskscan

import (
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// statBatch is how many entries one Stat looks at.
const statBatch = 4096

// FileInfo is a regular file of a listing.
type FileInfo struct {
	Name  string
	Size  int64
	MTime int64 // nanoseconds since 1970
	CTime int64
	Ino   uint64
}

// StatResult is what one Stat found.
type StatResult struct {
	Dir     Dir
	Files   []FileInfo // regular files that may be read, the empty ones left out
	Dirs    []Dir      // directories below, not opened yet
	Next    int64      // where to go on; 0: the directory is done
	Entries int        // that were looked at
	Errors  int        // entries that could not be looked at
	Private int        // entries that not every user may read, or with a leading dot, where that counts
	Skipped int        // entries outside the scope otherwise, what the transfer made, and what is neither directory nor file
	Cost    time.Duration
}

// File is the file of a listing that one of its FileInfos describes.
func (r *StatResult) File(fi FileInfo) File {
	return File{Dir: r.Dir, Name: fi.Name, Size: fi.Size, MTime: fi.MTime, Ino: fi.Ino}
}

// listing is the memory that one Stat works in.
type listing struct {
	buf     []byte
	entries []dirent
}

var listings = sync.Pool{New: func() any { return &listing{buf: make([]byte, 64<<10)} }}

// Stat lists a directory from a place that an earlier Stat of it named, 0 for its start, and looks at
// some thousands of its entries. An error means that nothing can be listed: the directory may not be read
// (fs.ErrPermission), is gone, lies outside the scope (ErrOutside), or was listed before (ErrSeen).
func (d *Disk) Stat(ctx context.Context, dir Dir, from int64) (StatResult, error) {
	start := time.Now()
	var res StatResult
	err := d.run(ctx, d.scope.Device(dir), func(o *operation) error {
		got, err := d.list(o, dir, from)
		return errors.Join(err, o.tell(func() { res = got }))
	})
	res.Dir, res.Cost = dir, time.Since(start)
	d.countStat(ctx, &res, from, err)
	return res, err
}

func (d *Disk) countStat(ctx context.Context, res *StatResult, from int64, err error) {
	c := &d.count
	switch {
	case errors.Is(err, ErrOutside):
		c.private.Add(1)
	case err != nil:
		d.countError(ctx, err)
	case from == 0:
		c.stat.Add(1)
	}
	c.entries.Add(int64(res.Entries))
	c.errors.Add(int64(res.Errors))
	c.skipped.Add(int64(res.Skipped))
	c.private.Add(int64(res.Private))
}

// list does the work of Stat.
func (d *Disk) list(o *operation, dir Dir, from int64) (res StatResult, err error) {
	r := &d.scope.roots[dir.Root]
	var st unix.Stat_t
	fd, err := d.scope.openDir(dir, &st)
	if err != nil && from == 0 && d.scope.addGone(&res, dir) {
		return res, nil
	}
	if err != nil {
		return res, err
	}
	defer unix.Close(fd)
	if from == 0 {
		if err = d.scope.enter(r, &st); err == nil && d.cfg.Opened != nil {
			d.cfg.Opened(d.scope.Path(dir), fd)
		}
	} else {
		_, err = unix.Seek(fd, from, unix.SEEK_SET)
	}
	if err != nil {
		return res, err
	}
	if r.only != "" {
		d.look(&res, r, dir, fd, &dirent{name: r.only})
		return res, nil
	}
	l := listings.Get().(*listing)
	defer listings.Put(l)
	if err := l.fill(o, fd, &res); err != nil {
		return res, err
	}
	for i := range l.entries {
		if i%64 == 0 {
			if err := o.step(); err != nil {
				return res, err
			}
		}
		d.look(&res, r, dir, fd, &l.entries[i])
	}
	if res.Next == 0 {
		d.scope.addHeld(&res, dir, st.Ino)
	}
	return res, nil
}

// fill reads entries until there are enough, and sorts them in the order in which inodes tend to lie on disks.
func (l *listing) fill(o *operation, fd int, res *StatResult) error {
	l.entries = l.entries[:0]
	for end := false; !end && len(l.entries) < statBatch; {
		if err := o.step(); err != nil {
			return err
		}
		var err error
		if l.entries, end, err = readDirents(fd, l.buf, l.entries); err != nil {
			return err
		}
		if n := len(l.entries); n > 0 {
			res.Next = l.entries[n-1].next
		}
		if end {
			res.Next = 0
		}
	}
	res.Entries = len(l.entries)
	slices.SortFunc(l.entries, func(a, b dirent) int { return cmp.Compare(a.ino, b.ino) })
	return nil
}

// look puts an entry where it belongs.
func (d *Disk) look(res *StatResult, r *root, dir Dir, fd int, e *dirent) {
	kind := e.kind
	var st unix.Stat_t
	if kind == unix.DT_REG || kind == unix.DT_UNKNOWN {
		if err := statAt(fd, e.name, &st); err != nil {
			if !errors.Is(err, unix.ENOENT) {
				res.Errors++
			}
			return
		}
		kind = uint8(st.Mode & unix.S_IFMT >> 12)
	}
	switch {
	case r.leavesOut(dir.Path, e.name):
		res.Skipped++
	case r.public && isDotted(e.name), kind == unix.DT_REG && r.public && st.Dev == r.dev && !r.allows(&st):
		res.Private++
	case kind == unix.DT_DIR && d.scope.startsAt(filepath.Join(r.path, dir.Path, e.name), r):
		res.Skipped++
	case kind == unix.DT_DIR && r.began > 0 && r.madeSince(bornOr(fd, e.name, 0)):
		res.Skipped++
	case kind == unix.DT_DIR:
		res.Dirs = append(res.Dirs, Dir{Root: dir.Root, Path: join(dir.Path, e.name), Ino: e.ino})
	case kind != unix.DT_REG || !r.allows(&st) || r.madeSince(ctimeOf(&st)) && r.madeSince(bornOr(fd, e.name, ctimeOf(&st))):
		res.Skipped++
	case st.Size > 0:
		res.Files = append(res.Files, FileInfo{
			Name: e.name, Size: st.Size, MTime: mtimeOf(&st), CTime: ctimeOf(&st), Ino: st.Ino,
		})
	}
}
