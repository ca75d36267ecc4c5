package tree

import (
	"sync"

	"golang.org/x/sys/unix"
)

// Clone is a range of a staged file that has its blocks in common with another file. Nothing of it is known to be right
// until somebody has read and hashed it here: the other file may have changed before it was cloned. What happens to the
// other one later does not change this one. End with Close.
//
// Blocks are shared by FICLONERANGE alone. Where a file system can't do that, copy_file_range would copy the bytes inside
// the kernel, but they have to be read to be hashed anyway, and then writing them is what is left to do.
type Clone struct {
	f  *File
	in Extent
	fd int
}

// maxCloneFailures is how often cloning between two file systems may fail before it is tried no more: one file may be swapped to,
// or have been cut short just now.
const maxCloneFailures = 8

// clones knows between which file systems nothing can be cloned.
type clones struct {
	mu     sync.Mutex
	failed map[devices]int
}

// devices are the devices of a file that is cloned and of the staging directory.
type devices struct{ from, to uint64 }

func (c *clones) refused(of devices) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed[of] >= maxCloneFailures
}

// fail counts an attempt that failed. It says whether that was the last one.
func (c *clones) fail(of devices, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = make(map[devices]int)
	}
	if c.failed[of]++; neverClones(err) {
		c.failed[of] = max(c.failed[of], maxCloneFailures)
	}
	return c.failed[of] == maxCloneFailures
}

// neverClones tells whether an error is about the file systems rather than about two files.
func neverClones(err error) bool {
	return err == unix.EXDEV || err == unix.EOPNOTSUPP || err == unix.ENOTTY || err == unix.ENOSYS || err == unix.EPERM
}

// cloneRange shares blocks between two files.
func cloneRange(dst, src int, from int64, to Extent) error {
	for {
		err := unix.IoctlFileCloneRange(dst, &unix.FileCloneRange{
			Src_fd: int64(src), Src_offset: uint64(from), Src_length: uint64(to.Len), Dest_offset: uint64(to.Off),
		})
		if err != unix.EINTR {
			return err
		}
	}
}

// CloneUnit is what offsets and lengths must be multiples of for Clone from an open file; 0 if nothing can be cloned from it.
func (f *File) CloneUnit(src int) int64 {
	if f.t.enter() != nil {
		return 0
	}
	defer f.t.exit()
	if of, err := f.devices(src); err != nil || f.t.clones.refused(of) {
		return 0
	}
	stage, err := f.t.stageOf(f.dir)
	if err != nil {
		return 0
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(stage.fd, &st); err != nil {
		return 0
	}
	return int64(st.Bsize) //nolint:unconvert // narrower on some processors
}

func (f *File) devices(src int) (of devices, err error) {
	stage, err := f.t.stageOf(f.dir)
	if err != nil {
		return of, err
	}
	var a, b unix.Stat_t
	if err := unix.Fstat(src, &a); err != nil {
		return of, err
	}
	err = unix.Fstat(stage.fd, &b)
	return devices{a.Dev, b.Dev}, err
}

// Clone gives a range of the staged file the blocks that hold the bytes of an open file from an offset on. It gives nil where that
// can't be: also if a byte of the range has been written or held, is a hole, or was cloned before. The caller then brings the
// bytes by Write, as it does for what is wrong in a clone.
func (f *File) Clone(src int, from, off, length int64) *Clone {
	if off < 0 || length <= 0 || off+length > f.size || f.t.enter() != nil {
		return nil
	}
	defer f.t.exit()
	of, err := f.devices(src)
	if err != nil || f.t.clones.refused(of) {
		return nil
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	e := Extent{off, length}
	if !f.mayClone(e) {
		return nil
	}
	c, err := f.cloneInto(src, from, e)
	if err != nil {
		if f.t.clones.fail(of, err) {
			f.t.note(f.Path(), "content of this machine is copied, not shared: "+err.Error())
		}
		return nil
	}
	return c
}

// mayClone tells whether nothing is known of a range, and takes care that nothing else is cloned to it in this run: it would
// spoil what was read there meanwhile. Nothing is allocated ahead where blocks are shared.
func (f *File) mayClone(e Extent) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range []extents{f.done, f.holes, f.cloned} {
		if s.without(e).bytes() < e.Len {
			return false
		}
	}
	if f.ended || f.t.broken() != nil {
		return false
	}
	f.cloned.add(e)
	if f.alloc == nil {
		f.alloc = make(map[int64]struct{})
	}
	for w := e.Off / window; w*window < e.end(); w++ {
		f.alloc[w] = struct{}{}
	}
	return true
}

// cloneInto clones to a range of the staged file; f.writing is held. It gives nil if that can't be opened. The descriptor that the
// clone is read by is its own, so that the kernel reads ahead for it alone.
func (f *File) cloneInto(src int, from int64, e Extent) (*Clone, error) {
	fd, err := f.open()
	if err != nil {
		return nil, nil // writing finds it as well, and says so
	}
	defer f.t.fds.unpin(&f.handle)
	own, err := f.openStagedAs(unix.O_RDWR)
	if err != nil {
		return nil, nil // the file has ended meanwhile
	}
	if err := f.t.cfg.clone(fd, src, from, e); err != nil {
		unix.Close(own)
		return nil, err
	}
	f.t.cfg.fault("cloned")
	return &Clone{f: f, in: e, fd: own}, nil
}

// FD is a descriptor of the staged file, to be read by until Close.
func (c *Clone) FD() int { return c.fd }

// HoldVerified accounts for a part of the clone that the caller has read by FD, hashed and found right. It returns the errors
// that Write returns.
func (c *Clone) HoldVerified(off, length int64) error {
	if off < c.in.Off || off+length > c.in.end() {
		return c.f.settle(wrap("clone", c.f.Path(), unix.ERANGE))
	}
	if err := c.f.t.enter(); err != nil {
		return err
	}
	defer c.f.t.exit()
	c.f.t.count.cloned.Add(uint64(length))
	return c.f.account(Extent{off, length}, true)
}

// Close gives back the blocks of what was not accounted for: it keeps room in use, and writing the right bytes there would take
// as much again.
func (c *Clone) Close() {
	defer unix.Close(c.fd)
	if c.f.t.enter() != nil {
		return
	}
	defer c.f.t.exit()
	c.f.writing.Lock()
	defer c.f.writing.Unlock()
	c.f.mu.Lock()
	rest := c.f.done.without(c.in)
	c.f.mu.Unlock()
	for _, e := range rest {
		_ = unix.Fallocate(c.fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, e.Off, e.Len) // else it is overwritten
	}
}
