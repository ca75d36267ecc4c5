package tree

import (
	"golang.org/x/sys/unix"
)

const (
	window     = 16 << 20 // data is allocated by aligned windows of this size
	minAlloc   = 1 << 20  // smaller files are not allocated ahead
	maxHoles   = 1 << 14  // holes of one file that are remembered; with more, nothing more is allocated ahead
	earlyBytes = 8 << 20  // write-back starts when this much of a file is dirty
)

// startWhole tells whether the file can be staged by one call: nothing of it exists yet.
func (f *File) startWhole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.staged || f.ended {
		return false
	}
	f.staged, f.left = true, 0
	f.finish()
	return true
}

// writeWhole stages a file that arrived in one piece and completes it, with no entry in the cache of
// open files.
func (f *File) writeWhole(data []byte) error {
	if f.mayBeUnnamed() {
		return f.writeUnnamed(data)
	}
	fd, err := f.create()
	if err != nil {
		return wrap("stage", f.Path(), err)
	}
	if err = pwriteAll(fd, data, 0); err == nil {
		f.t.cfg.fault("staged")
		err = f.prepare(fd, nil, true)
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil {
		return wrap("stage", f.Path(), err)
	}
	return f.handOver()
}

// create makes the staged file. A leftover of the same name is replaced.
func (f *File) create() (int, error) {
	stage, err := f.t.stageOf(f.dir)
	if err != nil {
		return -1, err
	}
	name := stagedName(f.number)
	const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL
	fd, err := openAt(stage.fd, name, flags, 0o600)
	if err == unix.EEXIST {
		if err = removeAll(stage.fd, name); err == nil {
			fd, err = openAt(stage.fd, name, flags, 0o600)
		}
	}
	return fd, err
}

// open gives the staged file's descriptor, pinned; it is made if it does not exist.
func (f *File) open() (int, error) {
	if fd, ok := f.t.fds.pin(&f.handle); ok {
		return fd, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fd, ok := f.t.fds.pin(&f.handle); ok {
		return fd, nil
	}
	fd, err := f.openStaged()
	if err != nil {
		return -1, err
	}
	return f.t.fds.adopt(&f.handle, fd), nil
}

// openStagedAs opens the staged file, which exists.
func (f *File) openStagedAs(flags int) (int, error) {
	stage, err := f.t.stageOf(f.dir)
	if err != nil {
		return -1, err
	}
	return openAt(stage.fd, stagedName(f.number), flags, 0)
}

func (f *File) openStaged() (int, error) {
	if f.staged {
		return f.openStagedAs(unix.O_RDWR)
	}
	fd, err := f.create()
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Ftruncate(fd, f.size); err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	f.staged, f.ino = true, st.Ino
	return fd, nil
}

func (f *File) writePart(off int64, data []byte) error {
	fd, err := f.open()
	if err != nil {
		return err
	}
	defer f.t.fds.unpin(&f.handle)
	f.allocate(fd, Extent{off, int64(len(data))})
	if err := pwriteAll(fd, data, off); err != nil {
		return err
	}
	f.t.cfg.fault("written")
	f.writeBack(fd, Extent{off, int64(len(data))})
	return nil
}

// allocate reserves the windows that a write touches, but for known holes, so that parallel writes
// leave few fragments. It is only a hint: a window may hold holes that the caller has not told of yet,
// so a full disk is left to the writes to find.
func (f *File) allocate(fd int, e Extent) {
	if f.size < minAlloc {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := e.Off / window; w*window < e.end(); w++ {
		if _, ok := f.alloc[w]; ok || len(f.holes) >= maxHoles {
			continue
		}
		if f.alloc == nil {
			f.alloc = make(map[int64]struct{})
		}
		f.alloc[w] = struct{}{}
		start := w * window
		for _, part := range f.holes.without(Extent{start, min(window, f.size-start)}) {
			_ = unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, part.Off, part.Len)
		}
	}
}

// keepHole sees to it that a range takes no space: what was allocated for it is given back, and what
// an earlier run left there is cleared.
func (f *File) keepHole(e Extent) error {
	f.mu.Lock()
	punch := f.earlier
	for w := e.Off / window; w*window < e.end() && !punch; w++ {
		_, punch = f.alloc[w]
	}
	if len(f.holes) < maxHoles {
		f.holes.add(e)
	}
	f.mu.Unlock()
	if !punch {
		return nil
	}
	fd, err := f.open()
	if err != nil {
		return err
	}
	defer f.t.fds.unpin(&f.handle)
	err = unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, e.Off, e.Len)
	if err == unix.EOPNOTSUPP {
		return writeZeros(fd, e)
	}
	return err
}

func writeZeros(fd int, e Extent) error {
	zeros := make([]byte, min(e.Len, 1<<20))
	for e.Len > 0 {
		n := min(e.Len, int64(len(zeros)))
		if err := pwriteAll(fd, zeros[:n], e.Off); err != nil {
			return err
		}
		e = Extent{e.Off + n, e.Len - n}
	}
	return nil
}

// writeBack starts writing to the disk early where a sync will come, so that the sync is short.
func (f *File) writeBack(fd int, e Extent) {
	if f.t.cfg.Fsync == FsyncNone {
		return
	}
	f.mu.Lock()
	if f.freshN == 0 {
		f.fresh = e
	} else {
		lo, hi := min(f.fresh.Off, e.Off), max(f.fresh.end(), e.end())
		f.fresh = Extent{lo, hi - lo}
	}
	f.freshN += e.Len
	due := f.freshN >= earlyBytes
	all := f.fresh
	if due {
		f.freshN = 0
	}
	f.mu.Unlock()
	if due {
		_ = unix.SyncFileRange(fd, all.Off, all.Len, unix.SYNC_FILE_RANGE_WRITE) // only a hint
	}
}

// complete gives the staged file its metadata and hands it to its commit.
func (f *File) complete() error {
	fd, err := f.open()
	if err != nil {
		return wrap("open staged", f.Path(), err)
	}
	err = f.prepare(fd, nil, false)
	f.t.fds.unpin(&f.handle)
	f.t.fds.shut(&f.handle)
	if err != nil {
		return err
	}
	return f.handOver()
}

// prepare gives a whole staged file its metadata. st is what it has of that, or nil. unknown says that the journal
// has not heard of the file; it has to before the file waits for its batch.
func (f *File) prepare(fd int, st *unix.Stat_t, unknown bool) error {
	soft, err := f.t.apply(fd, st, f.meta)
	if err == nil && f.t.cfg.Fsync == FsyncFile {
		err = syncFile(fd)
	}
	if err == nil && unknown && f.t.cfg.Fsync == FsyncEnd {
		f.t.sync.wrote(f, f.size)
		err = f.t.journal.whole(f, fd)
	}
	if err != nil {
		return wrap("set metadata of", f.Path(), err)
	}
	if soft != nil {
		f.t.failed.add(f.Path(), wrap("set owner or attributes of", f.Path(), soft))
	}
	return nil
}

// handOver commits at once, or queues for the next batch.
func (f *File) handOver() error {
	if f.t.cfg.Fsync == FsyncEnd {
		f.t.sync.queue(f)
		return nil
	}
	return f.commit()
}

// dataRanges lists what of an open file is not a hole.
func dataRanges(fd int, size int64) (out []Extent) {
	for off := int64(0); off < size; {
		from, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if err != nil || from >= size {
			break
		}
		to, err := unix.Seek(fd, from, unix.SEEK_HOLE)
		if err != nil || to > size {
			to = size
		}
		out = append(out, Extent{from, to - from})
		off = to
	}
	return out
}

// unstage drops what is staged for the file.
func (f *File) unstage() {
	f.t.fds.shut(&f.handle)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.staged {
		if stage, err := f.t.stageOf(f.dir); err == nil {
			_ = unix.Unlinkat(stage.fd, stagedName(f.number), 0) // removed with the staging directory at the latest
		}
		f.staged = false
	}
	f.t.journal.forget(f)
}
