package recipe

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A step is what the scan does next; all of them, in order, are the tree.
type stepKind uint8

const (
	stepEntry stepKind = iota // entry is complete, or err says why it is not
	stepFile                  // a regular file, not empty, whose content is to be found
	stepEnter                 // entry is a directory; steps up to its stepLeave are below it
	stepLeave
)

type step struct {
	kind  stepKind
	entry Entry
	err   error  // the entry can't be recorded
	dir   *dirFD // the directory that holds it; nil for the top
	open  string // file: its name in dir
	old   *Entry // file: its entry in the last recipe, if it is unchanged
	data  int64  // file: bytes outside of holes
	links bool   // file: later hardlinks may refer to it
}

// path is what errors call the entry.
func (s *step) path() string {
	if s.dir == nil {
		return s.entry.Name
	}
	return join(s.dir.shown, s.open)
}

// below is the entry's path in the tree.
func (s *step) below() string { return join(s.dir.below, s.entry.Name) }

// dirFD is an open directory. It is closed when the scan and all files in it are through.
type dirFD struct {
	fd    int
	shown string // path as the user gave it
	below string // path in the tree
	users atomic.Int32
	b     *build
}

func (d *dirFD) release() {
	if d.users.Add(-1) == 0 {
		d.b.dirs.Delete(d)
		_ = unix.Close(d.fd)
	}
}

// hold makes an open directory known, so that the end of the build closes it whatever happens.
func (b *build) hold(fd int, shown, below string) *dirFD {
	d := &dirFD{fd: fd, shown: shown, below: below, b: b}
	d.users.Store(1)
	b.dirs.Store(d, struct{}{})
	return d
}

func (b *build) closeDirs() {
	b.dirs.Range(func(d, _ any) bool {
		_ = unix.Close(d.(*dirFD).fd)
		return true
	})
}

// A batch of steps goes to one worker. Many small files share the price of the hand-over.
type batch struct {
	steps []step
	files int
	bytes int64
	dirs  int           // how often the files' directory changes
	last  *dirFD        // of the last file
	done  chan struct{} // closed when all entries are complete
}

const (
	batchSteps = 256
	batchFiles = 64
	batchBytes = 4 << 20
	batchDirs  = 8 // directories that a batch keeps open
)

// scanner walks a tree and makes steps of it: depth first, names sorted bytewise.
type scanner struct {
	ctx    context.Context
	b      *build
	out    func(context.Context, *batch) error
	batch  *batch
	links  map[inode]*linkGroup
	dirent []byte
}

// inode is a file's identity.
type inode struct{ dev, ino uint64 }

// linkGroup are the names of one file: the first one met is the file, the others are hardlinks.
type linkGroup struct {
	first string
	left  uint64 // names not yet met
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func (s *scanner) add(st step) error {
	s.batch.steps = append(s.batch.steps, st)
	if st.entry.Type == TypeFile {
		s.b.tally.scanned(st.entry.Size)
	}
	if st.kind == stepFile {
		s.batch.addFile(&st)
	}
	if s.batch.full() {
		return s.flush()
	}
	return nil
}

// addFile counts a file and keeps its directory open.
func (bt *batch) addFile(st *step) {
	st.dir.users.Add(1)
	if st.dir != bt.last {
		bt.last = st.dir
		bt.dirs++
	}
	bt.files++
	bt.bytes += st.entry.Size
}

func (bt *batch) full() bool {
	return len(bt.steps) >= batchSteps || bt.files >= batchFiles || bt.bytes >= batchBytes || bt.dirs >= batchDirs
}

func (s *scanner) flush() error {
	bt := s.batch
	s.batch = newBatch()
	return s.out(s.ctx, bt)
}

// dir scans an open directory, which it releases. depth counts the directories above its entries.
func (s *scanner) dir(d *dirFD, e Entry, parent *dirFD, depth int, old *oldDir) error {
	defer d.release()
	opened := step{kind: stepEnter, entry: e, dir: parent, open: e.Name}
	names, err := s.names(d.fd)
	if err == nil {
		opened.entry.Xattrs, err = s.b.meta.xattrsOf(d.fd)
	}
	if err != nil {
		opened.kind, opened.err = stepEntry, &fs.PathError{Op: "read", Path: d.shown, Err: err}
		return s.add(opened)
	}
	if err := s.add(opened); err != nil {
		return err
	}
	for _, name := range names {
		if d.below == "" && name == stagingName {
			continue
		}
		if err := s.name(d, name, depth, old); err != nil {
			return err
		}
	}
	return s.add(step{kind: stepLeave})
}

// names lists a directory, sorted.
func (s *scanner) names(fd int) (names []string, err error) {
	for {
		n, err := unix.ReadDirent(fd, s.dirent)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			slices.Sort(names)
			return slices.Compact(names), err
		}
		_, _, names = unix.ParseDirent(s.dirent[:n], -1, names)
	}
}

// name makes the steps of one name of a directory.
func (s *scanner) name(d *dirFD, name string, depth int, old *oldDir) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	st := step{kind: stepEntry, dir: d, open: name, entry: Entry{Name: name}}
	var stat unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		st.err = st.fail("stat", err)
		return s.add(st)
	}
	if !s.b.meta.wants(stat.Mode) {
		s.b.tally.skip(stat.Mode)
		return nil
	}
	if st.err = checkPlace(st.below(), depth); st.err != nil {
		return s.add(st)
	}
	st.entry = s.b.meta.entry(name, &stat)
	switch st.entry.Type {
	case TypeDir:
		return s.subdir(st, depth, old)
	case TypeFile:
		return s.file(st, &stat, old)
	case TypeSymlink:
		st.entry.Target, st.err = readlinkat(d.fd, name)
		st.err = st.fail("readlink", st.err)
	}
	return s.addComplete(st)
}

// addComplete adds an entry that need not be opened.
func (s *scanner) addComplete(st step) error {
	if st.err == nil {
		st.entry.Xattrs, st.err = s.b.meta.xattrsAt(st.dir.fd, st.open)
		st.err = st.fail("read", st.err)
	}
	return s.add(st)
}

// checkPlace holds an entry's path against the limits.
func checkPlace(path string, depth int) error {
	switch {
	case len(path) > MaxPath:
		return over("path", path, MaxPath, len(path))
	case depth > MaxDepth:
		return over("depth", path, MaxDepth, depth)
	}
	return nil
}

func (s *scanner) subdir(st step, depth int, old *oldDir) error {
	var stat unix.Stat_t
	fd, err := openat(st.dir.fd, st.open, unix.O_DIRECTORY)
	if err == nil {
		if err = unix.Fstat(fd, &stat); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		st.err = st.fail("open", err)
		return s.add(st)
	}
	d := s.b.hold(fd, st.path(), st.below())
	return s.dir(d, s.b.meta.entry(st.entry.Name, &stat), st.dir, depth+1, old.dir(s.ctx, st.entry.Name))
}

func (s *scanner) file(st step, stat *unix.Stat_t, old *oldDir) error {
	if s.b.cfg.Mask >= MaskUnix && stat.Nlink > 1 {
		key := inode{stat.Dev, stat.Ino}
		if group, ok := s.links[key]; ok {
			st.entry = Entry{Name: st.entry.Name, Type: TypeHardlink, Target: group.first}
			if group.left--; group.left == 0 {
				delete(s.links, key)
			}
			return s.add(st)
		}
		s.links[key] = &linkGroup{first: st.below(), left: uint64(stat.Nlink) - 1} //nolint:unconvert // narrower on some processors
		st.links = true
	}
	if stat.Size == 0 {
		return s.addComplete(st)
	}
	st.kind = stepFile
	st.old = old.unchanged(&st.entry, s.b.reuseBefore)
	return s.add(st)
}

func readlinkat(dirfd int, name string) (string, error) {
	buf := make([]byte, MaxTarget+2)
	for {
		n, err := unix.Readlinkat(dirfd, name, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return "", err
		case n > MaxTarget:
			return "", over("symlink target", name, MaxTarget, n)
		default:
			return string(buf[:n]), nil
		}
	}
}

// oldDir goes through a directory of the last recipe in step with the scan. A nil oldDir has no entries.
type oldDir struct {
	cursor *cursor
	open   bool // the cursor stands at an entry
}

func newOldDir(ctx context.Context, f *File, e *Entry, path string) *oldDir {
	return &oldDir{cursor: newCursor(&reader{ctx, f, f.Root().Mask}, path, e.Dir)}
}

// find returns the entry of that name, or nil. Names are asked for in order. A damaged recipe has no entries.
func (o *oldDir) find(name string) *Entry {
	for o != nil && o.cursor != nil {
		if o.open && o.cursor.entry.Name >= name {
			if o.cursor.entry.Name == name {
				return &o.cursor.entry
			}
			return nil
		}
		ok, err := o.cursor.next()
		if err != nil || !ok {
			o.cursor = nil
			return nil
		}
		o.open = true
	}
	return nil
}

// dir returns a directory in this one, or nil.
func (o *oldDir) dir(ctx context.Context, name string) *oldDir {
	e := o.find(name)
	if e == nil || e.Type != TypeDir {
		return nil
	}
	return &oldDir{cursor: newCursor(o.cursor.r, join(o.cursor.path, name), e.Dir)}
}

// unchanged returns a copy of the entry if it is a file of the same name, size and time, and older than before.
func (o *oldDir) unchanged(e *Entry, before int64) *Entry {
	return sameFile(o.find(e.Name), e, before)
}

func sameFile(old, e *Entry, before int64) *Entry {
	if old == nil || old.Type != TypeFile || old.Size != e.Size || old.MTime != e.MTime || e.MTime >= before {
		return nil
	}
	same := *old
	same.Name = strings.Clone(old.Name)
	same.Inline = slices.Clone(old.Inline)
	same.Content.Refs = slices.Clone(old.Content.Refs)
	return &same
}
