package tree

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// File is a regular file that has to be filled. Every byte of it that is not in Have is accounted for by
// Write, HoldVerified or Hole; then it goes to its commit by itself. The methods may be called from
// many goroutines. Right, Fail and the call that accounts for the last byte end its life.
type File struct {
	t      *Tree
	dir    *dirNode
	name   string
	number uint64
	size   int64
	meta   meta
	live   *unix.Stat_t // what Plan saw at the name; nil if it did not matter

	handle // the staged file's descriptor, kept by Tree.fds

	writing sync.RWMutex // held for reading from before bytes are written until they are accounted for; before mu

	mu       sync.Mutex
	staged   bool    // the staged file exists
	ino      uint64  // its inode
	earlier  bool    // an earlier run made it
	trusted  extents // verified by an earlier run
	doubtful extents // staged by an earlier run, not known to be right
	done     extents // verified, by whichever run
	left     int64   // bytes neither verified nor holes
	pending  extents // verified, not in the journal yet
	inLog    bool    // the journal knows the staged file
	holes    extents
	cloned   extents            // what Clone was asked for in this run, right or not
	alloc    map[int64]struct{} // windows that are allocated, or that blocks are shared in
	fresh    Extent             // written since the last early write-back, as one range
	freshN   int64
	ended    bool

	forgotten bool // by the journal, whose lock it belongs to
}

// Path is the slash path below the destination.
func (f *File) Path() string { return joinPath(f.dir.path, f.name) }

// Size is the file's size.
func (f *File) Size() int64 { return f.size }

// Number is the entry's place in the recipe's depth-first order.
func (f *File) Number() uint64 { return f.number }

// Have lists the ranges that an earlier run staged and verified, sorted. They are accounted for
// already: the caller leaves them out.
func (f *File) Have() []Extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Extent(nil), f.trusted...)
}

// Holds tells whether all of a range is in Have.
func (f *File) Holds(off, length int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trusted.has(Extent{off, length})
}

// Staged tells whether all of a range lies in staging from an earlier run but can't be trusted: the
// caller reads it by ReadStaged, hashes it, and calls HoldVerified if it is right.
func (f *File) Staged(off, length int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.doubtful.has(Extent{off, length})
}

// ReadStaged reads a range of the staged file.
func (f *File) ReadStaged(off, length int64) ([]byte, error) {
	if off < 0 || length < 0 || off+length > f.size {
		return nil, fmt.Errorf("tree: read %q: %d bytes at %d, size is %d", f.Path(), length, off, f.size)
	}
	if err := f.t.enter(); err != nil {
		return nil, err
	}
	defer f.t.exit()
	fd, err := f.open()
	if err != nil {
		return nil, wrap("open staged", f.Path(), err)
	}
	defer f.t.fds.unpin(&f.handle)
	data := make([]byte, length)
	if err := preadFull(fd, data, off); err != nil {
		return nil, wrap("read staged", f.Path(), err)
	}
	return data, nil
}

// OpenLive opens what stands at the file's name now, for reading. An error means that there is no
// regular file. The caller closes it.
func (f *File) OpenLive() (*os.File, error) {
	if err := f.t.enter(); err != nil {
		return nil, err
	}
	defer f.t.exit()
	dfd, err := f.t.acquireDir(f.dir)
	if err != nil {
		return nil, wrap("open", f.Path(), err)
	}
	defer f.t.releaseDir(f.dir)
	fd, err := openAt(dfd, f.name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, wrap("open", f.Path(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, fmt.Errorf("tree: open %q: not a regular file", f.Path())
	}
	return os.NewFile(uintptr(fd), f.Path()), nil
}

// Write puts verified bytes at off. It returns only errors that concern the whole destination, as
// ErrNoSpace does; what concerns this file alone is noted for Result.Failed. Bytes of a file that is
// completed by this call may be committed before it returns.
func (f *File) Write(off int64, data []byte) error {
	if off < 0 || off+int64(len(data)) > f.size {
		return fmt.Errorf("tree: write %q: %d bytes at %d, size is %d", f.Path(), len(data), off, f.size)
	}
	if err := f.t.enter(); err != nil {
		return err
	}
	defer f.t.exit()
	if err := f.t.sync.admit(); err != nil || f.over() {
		return err
	}
	f.writing.RLock()
	defer f.writing.RUnlock()
	f.t.count.written.Add(uint64(len(data)))
	if int64(len(data)) == f.size && f.startWhole() {
		return f.settleComplete(f.writeWhole(data))
	}
	if err := f.writePart(off, data); err != nil {
		return f.settle(wrap("write", f.Path(), err))
	}
	return f.account(Extent{off, int64(len(data))}, true)
}

// HoldVerified accounts for a range that Staged told of and that the caller hashed and found right.
func (f *File) HoldVerified(off, length int64) error {
	if err := f.t.enter(); err != nil {
		return err
	}
	defer f.t.exit()
	f.t.count.resumed.Add(uint64(length))
	return f.account(Extent{off, length}, true)
}

// Hole accounts for a range of zeros that takes no space. The caller calls it once for each hole of
// the file's chunk list, in any order relative to the writes.
func (f *File) Hole(off, length int64) error {
	if err := f.t.enter(); err != nil {
		return err
	}
	defer f.t.exit()
	if err := f.keepHole(Extent{off, length}); err != nil {
		return f.settle(wrap("punch hole into", f.Path(), err))
	}
	return f.account(Extent{off, length}, false)
}

// Right says that the live file has the content that it should have. What was staged is dropped, the
// metadata is made right.
func (f *File) Right() error {
	if err := f.t.enter(); err != nil {
		return err
	}
	defer f.t.exit()
	if !f.end() {
		return nil
	}
	f.unstage()
	return f.t.keepLive(f)
}

// Fail says that the file can't be completed in this run, and why. What is staged stays for the next.
func (f *File) Fail(err error) {
	if f.t.enter() == nil {
		f.drop(err)
		f.t.exit()
	}
}

func (f *File) drop(err error) {
	if !f.end() {
		return
	}
	f.t.failed.add(f.Path(), err)
	if err := f.t.journal.keep(f); err != nil {
		f.t.note(f.Path(), "what is staged of it will be hashed again: "+err.Error())
	}
}

// over tells whether the file takes no more bytes.
func (f *File) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

func (f *File) end() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.finish()
	return true
}

// finish marks the file ended; f.mu is held.
func (f *File) finish() {
	f.ended = true
	f.t.unended.Add(-1)
	if s := f.meta.ahead; s != nil {
		f.t.aheadSets.Release(s.bytes)
	}
}

// settle separates what ends this file from what ends the run.
func (f *File) settle(err error) error {
	if err == nil {
		return nil
	}
	if err = f.blameStaged(err); f.t.fatal(err) {
		return f.t.fail(err)
	}
	f.drop(err)
	return nil
}

// settleComplete is settle for a file that has ended because all of it is there.
func (f *File) settleComplete(err error) error {
	if err == nil {
		return nil
	}
	if err = f.blameStaged(err); f.t.fatal(err) {
		return f.t.fail(err)
	}
	f.t.fds.shut(&f.handle)
	f.t.failed.add(f.Path(), err)
	return f.settle(f.t.journal.keep(f))
}

// account notes a range as done and completes the file with its last one. verified says that the
// journal has to know.
//
// The syncer hears of the data before the journal does: a barrier that covers the record then follows
// a sync of the data.
func (f *File) account(e Extent, verified bool) error {
	if verified {
		f.t.sync.wrote(f, e.Len)
	}
	f.mu.Lock()
	f.left -= f.done.without(e).bytes()
	f.done.add(e)
	last := f.left == 0 && !f.ended
	if last {
		f.finish()
	}
	f.mu.Unlock()
	if verified {
		if err := f.t.journal.verified(f, e); err != nil {
			return f.settle(err)
		}
		f.t.sync.wrote(f, 0) // for what the journal still has to record
	}
	if !last {
		return nil
	}
	return f.settleComplete(f.complete())
}

// newFile makes the File of a recipe's entry.
func (t *Tree) newFile(dir *dirNode, name string, it recipe.Item) *File {
	e := it.Entry
	return &File{t: t, dir: dir, name: name, number: it.Number, size: e.Size, left: e.Size, meta: t.metaOf(e), handle: handle{fd: -1}}
}
