package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// BuildConfig says what Build is to describe, and how.
type BuildConfig struct {
	Path    string  // a directory or a regular file; a symlink is followed
	Out     string  // the .dfr file to write
	Mask    Mask    // zero: MaskPortable
	Profile Profile // zero: Rabin16
	Hash    Hash    // zero: BLAKE3
	Workers int     // goroutines that read; zero or negative: as many as there are processors

	// Reuse is an older recipe of the same tree; nil for none. A file that has the path, size and mtime
	// of its entry there is not read. It is not used if its hash or chunker differ.
	Reuse *File
	// ReuseTime is when Reuse was made. A file whose mtime is later than 2 s before is read.
	// Zero: when Reuse's file was last modified.
	ReuseTime time.Time

	// KeepGoing leaves out what can't be read, and says so in BuildStats. Otherwise the first such
	// entry ends the build. The top itself must be readable in any case.
	KeepGoing bool
	// TempDir holds the nodes of the recipe in the making, in a file without a name. Empty: the directory of Out.
	TempDir string
	// Progress, if set, is called now and then while Build runs, by one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a build has come.
type Progress struct {
	Files, Bytes               uint64 // described
	ScannedFiles, ScannedBytes uint64 // found so far
	Scanned                    bool   // the scan has ended: what was found is all there is
}

// BuildStats say what a build did.
type BuildStats struct {
	Counts         Counts
	ReadBytes      uint64 // content that was read, holes included
	ReusedFiles    uint64
	ReusedBytes    uint64
	SkippedSockets uint64  // sockets are never recorded
	SkippedSpecial uint64  // fifos and devices that the mask leaves out
	Failed         uint64  // entries left out because of an error
	Errors         []error // the first 1000 of these errors, in the order of the walk
}

const maxErrors = 1000

// reuseMargin is how much older than the last recipe a file must be: one that changed in the same
// moment as it was read may have the time of before.
const reuseMargin = 2 * time.Second

// Build describes a tree in a .dfr file and opens it.
//
//  1. A scan walks the tree depth first, names sorted bytewise, through directory handles. It follows no
//     symlink below the top, and crosses mounts. ".dfetch" at the top is left out.
//  2. Workers read the files, batch by batch, and cut and hash their content. Large files are cut by
//     all workers at once, one such file at a time.
//  3. The entries are put together in the order of the scan. Nodes go to a nameless temporary file.
//  4. The nodes are written to Out in pre-order. Out appears when it is complete.
//
// Of several hardlinks (masks unix and full) the first one on the walk is the file, so that a target
// always comes earlier than the links to it. On this order see Walk: all that is below "a" comes before "a.b".
//
// Equal trees give equal recipes, whatever Workers and Reuse are. Memory does not grow with the number of files,
// but for the names of the open directories, 40 bytes a node, and the file identities of unfinished groups of hardlinks.
//
// A change that leaves a file's size and mtime as they were, or that happens between the reading of two files, is not
// noticed. Files that change while they are read are read a second time, then they are errors (ErrChanged).
func Build(ctx context.Context, cfg BuildConfig) (*File, *BuildStats, error) {
	b, err := newBuild(cfg)
	if err != nil {
		return nil, nil, err
	}
	return b.build(ctx)
}

func (b *build) build(ctx context.Context) (*File, *BuildStats, error) {
	defer func() { _ = b.store.Close() }()
	defer b.closeDirs()
	root, err := b.run(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := WriteFile(ctx, b.cfg.Out, root, b.store, nil); err != nil {
		return nil, nil, err
	}
	f, err := OpenFile(b.cfg.Out)
	if err != nil {
		return nil, nil, err
	}
	b.stats.Counts = root.Counts
	b.tally.sum(&b.stats)
	return f, &b.stats, nil
}

// build is one run of Build.
type build struct {
	cfg         BuildConfig
	cutter      *Cutter
	meta        metadata
	store       *nodeStore
	tally       tally
	stats       BuildStats
	large       chan struct{} // one slot: the large file that is being cut
	dirs        sync.Map      // *dirFD that are open
	reuseBefore int64         // mtime below which a file may be taken from Reuse

	afterRead func(path string) // tests change files here; nil otherwise
}

func newBuild(cfg BuildConfig) (*build, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cutter, err := NewCutter(cfg.Profile)
	if err != nil {
		return nil, err
	}
	b := &build{cfg: cfg, cutter: cutter, large: make(chan struct{}, 1), tally: tally{fn: cfg.Progress}}
	if err := b.setReuse(); err != nil {
		return nil, err
	}
	if b.store, err = newNodeStore(cfg.TempDir, cfg.Hash); err != nil {
		return nil, err
	}
	b.meta = metadata{mask: cfg.Mask, owners: newOwnerNames(), put: b.store.put}
	return b, nil
}

func (c *BuildConfig) setDefaults() {
	if c.Mask == 0 {
		c.Mask = MaskPortable
	}
	if c.Profile == (Profile{}) {
		c.Profile = Rabin16
	}
	if c.Hash == 0 {
		c.Hash = BLAKE3
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.TempDir == "" {
		c.TempDir = filepath.Dir(c.Out)
	}
}

// validate refuses what would make a root that nobody reads.
func (c *BuildConfig) validate() error {
	switch {
	case c.Out == "":
		return errors.New("recipe: no file to write the recipe to")
	case !c.Hash.Valid():
		return bad("", "unknown %s", c.Hash)
	case c.Mask > MaskFull:
		return bad("", "unknown metadata mask %d", c.Mask)
	}
	return errors.Join(replaceable(c.Out), c.Profile.Validate())
}

// setReuse drops a recipe that can't be used again, and finds out how old it is.
func (b *build) setReuse() error {
	old := b.cfg.Reuse
	if old == nil {
		return nil
	}
	if root := old.Root(); root.Hash != b.cfg.Hash || root.Profile != b.cfg.Profile {
		b.cfg.Reuse = nil
		return nil
	}
	made := b.cfg.ReuseTime
	if made.IsZero() {
		f, ok := old.r.(*os.File)
		if !ok {
			return errors.New("recipe: the time of the recipe to be reused is not known")
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		made = info.ModTime()
	}
	b.reuseBefore = made.Add(-reuseMargin).UnixNano()
	return nil
}

// run scans, reads and puts together.
func (b *build) run(ctx context.Context) (*Root, error) {
	g, ctx := errgroup.WithContext(ctx)
	work := make(chan *batch)
	order := make(chan *batch, 2*b.cfg.Workers+2)
	g.Go(func() error {
		defer close(work)
		defer close(order)
		return b.scan(ctx, work, order)
	})
	for range b.cfg.Workers {
		g.Go(func() error { return b.readFiles(ctx, work) })
	}
	a := &assembler{b: b, lost: make(map[string]bool)}
	g.Go(func() error { return a.run(ctx, order) })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return a.root()
}

// scan walks the tree. Each batch goes to the assembler's queue, and to a worker if it has files.
func (b *build) scan(ctx context.Context, work, order chan<- *batch) error {
	s := &scanner{ctx: ctx, b: b, batch: newBatch(), links: make(map[inode]*linkGroup), dirent: make([]byte, 64<<10)}
	s.out = func(ctx context.Context, bt *batch) error {
		if err := sendBatch(ctx, order, bt); err != nil {
			return err
		}
		if bt.files == 0 {
			close(bt.done)
			return nil
		}
		return sendBatch(ctx, work, bt)
	}
	if err := b.top(s); err != nil {
		return err
	}
	b.tally.ended.Store(true)
	return s.flush()
}

func sendBatch(ctx context.Context, to chan<- *batch, bt *batch) error {
	select {
	case to <- bt:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// top starts the scan at Path.
func (b *build) top(s *scanner) error {
	path, err := filepath.EvalSymlinks(b.cfg.Path)
	if err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: b.cfg.Path, Err: err}
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return b.topDir(s, path)
	case unix.S_IFREG:
		return b.topFile(s, path, &stat)
	}
	return fmt.Errorf("recipe: %s is neither a directory nor a regular file", b.cfg.Path)
}

func (b *build) topDir(s *scanner, path string) error {
	d, err := b.openTop(path, b.cfg.Path)
	if err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(d.fd, &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: b.cfg.Path, Err: err}
	}
	var old *oldDir
	if r := b.cfg.Reuse; r != nil && r.Root().Top.Type == TypeDir {
		old = newOldDir(s.ctx, r, &r.Root().Top, "")
	}
	return s.dir(d, b.meta.entry("", &stat), nil, 1, old)
}

func (b *build) topFile(s *scanner, path string, stat *unix.Stat_t) error {
	abs, err := filepath.Abs(b.cfg.Path)
	if err != nil {
		return err
	}
	d, err := b.openTop(filepath.Dir(path), filepath.Dir(b.cfg.Path))
	if err != nil {
		return err
	}
	defer d.release()
	st := step{kind: stepFile, dir: d, open: filepath.Base(path), entry: b.meta.entry(filepath.Base(abs), stat)}
	if r := b.cfg.Reuse; r != nil && r.Root().Top.Name == st.entry.Name {
		st.old = sameFile(&r.Root().Top, &st.entry, b.reuseBefore)
	}
	return s.add(st)
}

// openTop opens the directory where everything starts.
func (b *build) openTop(path, shown string) (*dirFD, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_DIRECTORY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: shown, Err: err}
	}
	return b.hold(fd, shown, ""), nil
}

// readFiles is one worker.
func (b *build) readFiles(ctx context.Context, work <-chan *batch) error {
	c := &content{b: b, small: newElements(b.cutter, b.cfg.Hash, readAhead)}
	for bt := range work {
		if err := c.run(ctx, bt); err != nil {
			return err
		}
		close(bt.done)
	}
	return nil
}
