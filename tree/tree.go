package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// Fsync says when data is forced to the disk.
type Fsync uint8

// Fsync modes.
const (
	FsyncEnd  Fsync = iota // before each batch of renames, and once at the end
	FsyncNone              // never: a crash of the machine may lose what the page cache held
	FsyncFile              // each file before its rename, its directory after it
)

// Config says what lands where. It is not modified after Open.
type Config struct {
	// Dest is where the tree lands: a directory for a directory recipe (a symlink to one is followed),
	// the file's final path for a file recipe.
	Dest   string
	Recipe recipe.ID
	Root   *recipe.Root
	Nodes  recipe.Nodes // for attribute sets and the final pass
	Fsync  Fsync
	// Checksum: equal size and time don't make a file right. Plan then returns every regular file that
	// exists, and the caller compares through File.OpenLive and says File.Right.
	Checksum bool
	// Delete removes at the end what the recipe does not have.
	Delete bool
	// MaxDelete is the most deletes that are done; 0 is no limit, negative allows none.
	MaxDelete int
	// Walk goes through the entries that are to be at the destination, in the order of recipe.Walk; each
	// call gives the same ones. nil is recipe.Walk over all of the recipe.
	Walk func(ctx context.Context, fn func(recipe.Item) error) error
	// Protect says which paths Delete leaves alone; nil protects none.
	Protect func(path string, dir bool) bool
	// Hold is asked about each regular file that is about to lose its name to an entry of the recipe: true
	// keeps it readable by OpenHeld until LetGo or the end of the run. It is called by any goroutine. nil holds
	// nothing. A run that was ended leaves what it held to the next one of the same recipe.
	Hold func(Old) bool
	// MaxOpen is how many staged files are held open between writes; 0 is 256.
	MaxOpen int
	// Log is told what a person may want to know, by any goroutine. nil discards.
	Log func(Note)
	// Now is the journal's clock; nil is time.Now.
	Now func() time.Time

	// fold replaces the probe of the destination's name folding, in tests.
	fold *folding
	// fault is called at named points, in tests: "journal", "barrier", "staged", "renamed", …
	fault func(point string)
	// eager writes each journal record at once, in tests.
	eager bool
	// mountOf replaces the look at what a directory is mounted on, in tests.
	mountOf func(fd int) mountKey
	// clone replaces cloneRange in tests.
	clone func(dst, src int, from int64, to Extent) error
	// walk replaces recipe.Walk in tests.
	walk func(ctx context.Context, fn func(recipe.Item) error) error
}

// Note is something to tell about one path.
type Note struct {
	Path string
	Text string
}

// Result sums up a run.
type Result struct {
	Files        uint64 // regular files and hardlinks put in place by this run
	Dirs         uint64 // directories made
	Symlinks     uint64 // symlinks put in place
	Specials     uint64 // devices and fifos put in place
	RightFiles   uint64 // regular files that were right already
	RightBytes   uint64 // their sizes
	WrittenBytes uint64 // bytes given to Write, inline data included
	ClonedBytes  uint64 // bytes whose blocks are shared with other files of this machine
	ResumedBytes uint64 // bytes that an earlier run had staged
	Deleted      uint64
	Failed       []Failure // the first 1000
	FailedCount  uint64
}

// Tree is a destination that is being filled. Plan belongs to one goroutine; the methods of File may
// be called from any number. Finish and Abort wait for calls under way; later ones get ErrClosed.
type Tree struct {
	cfg     Config
	ctx     context.Context
	mask    recipe.Mask
	single  bool   // the recipe is one file
	only    string // its name at the destination
	dirs    *handles
	root    *dirNode
	stage   *staging
	owners  *owners
	fds     *handles
	journal *journal
	sync    *syncer
	linkDir *dirNode // directory of the last hardlink's first name
	lastSet struct {
		mu  sync.Mutex
		id  recipe.ID
		set []recipe.Xattr
	}
	aheadSets *semaphore.Weighted // see attrSet
	planning  context.Context     // ends with EndPlanning
	endPlan   context.CancelFunc

	stack   []*dirNode // Plan: the directories above the next entry
	inodes  map[Inode]struct{}
	touched touchedDirs
	holds   holds
	mounts  mounts
	clones  clones
	unended atomic.Int64  // files that Plan gave out and that have not ended
	late    atomic.Uint64 // entries that the final pass has to make
	failed  failures
	count   counters
	fold    *folding
	unnamed bool // files can be made without a name, and need no fsync

	using sync.RWMutex // held for reading by each call that uses descriptors, for writing to close

	mu     sync.Mutex
	err    error // the first that concerns the whole destination
	closed bool
}

type counters struct {
	files, dirs, symlinks, specials, rightFiles, rightBytes, written, cloned, resumed, deleted, skipped atomic.Uint64
}

// Open takes the destination for this process, makes it if it is missing, and reads what an earlier
// run has staged. ErrLocked says that another process has it. End with Finish or Abort.
func Open(ctx context.Context, cfg Config) (*Tree, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	t := &Tree{
		cfg: cfg, ctx: ctx, mask: cfg.Root.Mask, single: cfg.Root.Top.Type != recipe.TypeDir,
		dirs: newHandles(maxDirs), owners: newOwners(), inodes: make(map[Inode]struct{}),
		aheadSets: semaphore.NewWeighted(maxAheadSets),
	}
	t.planning, t.endPlan = context.WithCancel(ctx)
	t.fds = newHandles(cfg.MaxOpen)
	base := cfg.Dest
	if t.single {
		base, t.only = filepath.Split(filepath.Clean(cfg.Dest))
		if base == "" {
			base = "."
		}
	}
	if err := t.openRoot(base); err != nil {
		return nil, err
	}
	if err := t.openStaging(); err != nil {
		if t.stage != nil {
			t.stage.discard()
		}
		t.close()
		return nil, err
	}
	return t, nil
}

func (c *Config) validate() error {
	switch {
	case c.Dest == "":
		return errors.New("tree: no destination given")
	case c.Root == nil:
		return errors.New("tree: no recipe given")
	case c.Fsync > FsyncFile:
		return fmt.Errorf("tree: unknown fsync mode %d", c.Fsync)
	}
	if t := c.Root.Top.Type; t != recipe.TypeDir && t != recipe.TypeFile {
		return fmt.Errorf("tree: the recipe's top is neither a directory nor a file (type %d)", t)
	}
	if c.walk == nil {
		c.walk = c.Walk
	}
	if c.walk == nil {
		nodes, root := c.Nodes, c.Root
		c.walk = func(ctx context.Context, fn func(recipe.Item) error) error { return recipe.Walk(ctx, nodes, root, fn) }
	}
	if c.MaxOpen <= 0 {
		c.MaxOpen = 256
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.mountOf == nil {
		c.mountOf = mountOf
	}
	if c.clone == nil {
		c.clone = cloneRange
	}
	if c.fault == nil {
		c.fault = func(string) {}
	}
	return nil
}

// openRoot makes the directory that everything happens in and opens it. Symlinks on the way to it are
// the user's own words and are followed; below it nothing is.
func (t *Tree) openRoot(base string) error {
	_, err := os.Lstat(base)
	missing := errors.Is(err, os.ErrNotExist)
	if err := os.MkdirAll(base, 0o777); err != nil {
		return wrap("make", base, err)
	}
	fd, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return wrap("open", base, err)
	}
	t.root = &dirNode{handle: handle{fd: fd}, fresh: missing && !t.single}
	if missing {
		t.count.dirs.Add(1)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return wrap("stat", base, err)
	}
	if !t.single {
		makeAccessible(fd, &st)
		t.root.where = t.cfg.mountOf(fd)
		return nil
	}
	if err := t.sparesSpecial(); err != nil {
		unix.Close(fd)
		return err
	}
	return nil
}

// sparesSpecial refuses to put a file recipe in the place of a device, fifo or socket that the user named.
func (t *Tree) sparesSpecial() error {
	var st unix.Stat_t
	if err := statAt(t.root.fd, t.only, &st); err != nil {
		return nil // there is nothing in the way; what else is wrong shows when the file is made
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFLNK, unix.S_IFDIR:
		return nil
	}
	return wrap("replace", t.cfg.Dest, errSpecial)
}

// openStaging takes the lock and loads the journal.
func (t *Tree) openStaging() error {
	stage, err := openStaging(t.root.fd, stagingName(t.single, t.only), t.cfg)
	if err != nil {
		return err
	}
	t.stage = stage
	if t.journal, err = openJournal(stage, t.cfg); err != nil {
		return err
	}
	if t.fold = t.cfg.fold; t.fold == nil {
		t.fold = probeFolding(stage.fd)
	}
	t.unnamed = t.cfg.Fsync == FsyncNone && probeUnnamed(stage)
	t.sync = startSyncer(t)
	return nil
}

// Reserve fails with a *SpaceError unless bytes and 5 % more are free at the destination.
func (t *Tree) Reserve(bytes int64) error {
	if err := t.enter(); err != nil {
		return err
	}
	defer t.exit()
	free, err := freeBytes(t.root.fd)
	if err != nil {
		return wrap("statfs", t.cfg.Dest, err)
	}
	if need := bytes + bytes/20; need > free {
		return &SpaceError{Path: t.cfg.Dest, Need: need, Free: free}
	}
	return nil
}

// StagedRoom is how many bytes earlier runs have allocated already of an entry with so much data, by its number in the recipe and
// before it is planned.
func (t *Tree) StagedRoom(number uint64, data int64) int64 { return t.journal.room(number, data) }

// Flush commits every file that is complete now and, except under FsyncNone, puts a barrier.
func (t *Tree) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.enter(); err != nil {
		return err
	}
	defer t.exit()
	return t.sync.flush()
}

// Abort ends the run and keeps what is staged, so that a later run goes on from it. If there is nothing,
// the staging directory goes.
func (t *Tree) Abort() error {
	t.endPlan()
	if !t.end() {
		return nil
	}
	err := t.sync.stop()
	if errors.Is(err, ErrNoSpace) {
		t.dropHeld()
	}
	if t.journal.empty() && !t.journal.hasUnclaimed() && t.holds.count() == 0 {
		t.stage.discard()
	}
	for _, m := range t.mounts.opened() {
		m.stage.discard()
	}
	t.close()
	return err
}

// enter begins a call that uses the tree's descriptors; exit ends it.
func (t *Tree) enter() error {
	t.using.RLock()
	if err := t.broken(); err != nil {
		t.using.RUnlock()
		return err
	}
	return nil
}

func (t *Tree) exit() { t.using.RUnlock() }

// end marks the tree closed when no call is under way; false if it was closed before.
func (t *Tree) end() bool {
	t.using.Lock()
	defer t.using.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.closed
	t.closed = true
	return !was
}

// close gives back every handle and the lock.
func (t *Tree) close() {
	t.fds.closeAll()
	t.dirs.closeAll()
	t.journal.close()
	t.closeMounts()
	if t.stage != nil {
		t.stage.close()
	}
	unix.Close(t.root.fd)
}

// fail keeps the first error that concerns the whole destination.
func (t *Tree) fail(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
	return err
}

// broken is the error that ended the run, if one did.
func (t *Tree) broken() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil && t.closed {
		return ErrClosed
	}
	return t.err
}

// fatalError is the first error that concerned the whole destination.
func (t *Tree) fatalError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// entryFailed notes that one entry can't be made right. An error that concerns the whole destination
// comes back and ends the run.
func (t *Tree) entryFailed(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	if err = t.blame(err); t.fatal(err) {
		return t.fail(wrap(doing, path, err))
	}
	t.failed.add(path, fmt.Errorf("%s: %w", doing, err))
	return nil
}

func (t *Tree) note(path, text string) {
	if t.cfg.Log != nil {
		t.cfg.Log(Note{path, text})
	}
}

func (t *Tree) result() Result {
	c := &t.count
	t.failed.mu.Lock()
	defer t.failed.mu.Unlock()
	return Result{
		Files: c.files.Load(), Dirs: c.dirs.Load(), Symlinks: c.symlinks.Load(), Specials: c.specials.Load(),
		RightFiles: c.rightFiles.Load(), RightBytes: c.rightBytes.Load(), WrittenBytes: c.written.Load(),
		ClonedBytes: c.cloned.Load(), ResumedBytes: c.resumed.Load(), Deleted: c.deleted.Load(),
		Failed: append([]Failure(nil), t.failed.first...), FailedCount: t.failed.count,
	}
}
