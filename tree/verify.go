package tree

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// VerifyConfig says what is compared with what.
type VerifyConfig struct {
	// Dest is the directory that a directory recipe's entries lie in, or the file of a file recipe.
	Dest  string
	Root  *recipe.Root
	Nodes recipe.Nodes
	// Workers is how many goroutines read and hash; 0 is 2.
	Workers int
	// Report is told each difference, one call at a time. nil only counts.
	Report func(Difference)

	// Walk goes through the entries that are compared, as in Config; nil is all of the recipe.
	Walk func(ctx context.Context, fn func(recipe.Item) error) error

	walk func(ctx context.Context, fn func(recipe.Item) error) error // replaces recipe.Walk in tests
}

// Difference is one way in which the destination is not what the recipe says.
type Difference struct {
	Path string
	What string // "missing", "extra", "type", "mode", "owner", "mtime", "size", "target", "device", "xattr", "hardlink", "content", "unreadable"
	Text string // for people, with both values
}

// VerifyResult counts what was compared.
type VerifyResult struct {
	Entries     uint64
	Bytes       uint64 // content that was read and hashed, holes included
	Differences uint64
}

// Verify compares a destination with a recipe: types, modes, times, and as far as the recipe's mask
// goes owners, hardlinks, attributes and devices; names that are too many; every byte of content by its
// chunk's hash. It writes nothing and follows no symlink below Dest. Differences go to Report; an error
// means that the comparison could not be made.
func Verify(ctx context.Context, cfg VerifyConfig) (VerifyResult, error) {
	v, err := newVerifier(cfg)
	if err != nil {
		return VerifyResult{}, err
	}
	defer v.close()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(v.work)
		return v.walk(ctx)
	})
	for range v.workers {
		g.Go(func() error { return v.readAll(ctx) })
	}
	err = g.Wait()
	return VerifyResult{Entries: v.entries, Bytes: v.bytes.Load(), Differences: v.differences}, err
}

type verifier struct {
	VerifyConfig
	workers int
	owners  *owners
	dirs    *handles
	root    *dirNode
	only    string // the file's name for a file recipe
	stack   []*level
	inodes  map[Inode]string
	work    chan *piece
	entries uint64
	bytes   atomic.Uint64

	mu          sync.Mutex
	differences uint64
}

func newVerifier(cfg VerifyConfig) (*verifier, error) {
	if cfg.Root == nil {
		return nil, errors.New("tree: no recipe given")
	}
	v := &verifier{VerifyConfig: cfg, workers: cfg.Workers, owners: newOwners(), dirs: newHandles(maxDirs), inodes: make(map[Inode]string)}
	if v.workers <= 0 {
		v.workers = 2
	}
	v.work = make(chan *piece, 2*v.workers)
	if v.VerifyConfig.walk == nil {
		v.VerifyConfig.walk = v.Walk
	}
	if v.VerifyConfig.walk == nil {
		v.VerifyConfig.walk = func(ctx context.Context, fn func(recipe.Item) error) error {
			return recipe.Walk(ctx, cfg.Nodes, cfg.Root, fn)
		}
	}
	base := cfg.Dest
	if cfg.Root.Top.Type != recipe.TypeDir {
		base, v.only = filepath.Split(filepath.Clean(cfg.Dest))
		base = filepath.Clean(base)
	}
	fd, err := unix.Open(base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, wrap("open", base, err)
	}
	v.root = &dirNode{handle: handle{fd: fd}}
	return v, nil
}

func (v *verifier) close() {
	for p := range v.work { // left over after an error
		p.file.done()
	}
	v.dirs.closeAll()
	unix.Close(v.root.fd)
}

func (v *verifier) differ(path, what, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.differences++
	if v.Report != nil {
		v.Report(Difference{path, what, fmt.Sprintf(format, args...)})
	}
}

func (v *verifier) walk(ctx context.Context) error {
	err := v.VerifyConfig.walk(ctx, func(it recipe.Item) error {
		v.entries++
		if v.only != "" {
			return v.entry(ctx, v.root, v.only, it)
		}
		if it.Path == "" {
			return v.enter(v.root, it)
		}
		parent, name := splitPath(it.Path)
		for v.stack[len(v.stack)-1].dir.path != parent {
			v.leave()
		}
		l := v.stack[len(v.stack)-1]
		l.keep(name)
		if l.dir.failed { // the directory itself was reported
			if it.Entry.Type == recipe.TypeDir {
				v.push(l.dir.child(name)).failed = true
			}
			return nil
		}
		return v.entry(ctx, l.dir, name, it)
	})
	for len(v.stack) > 0 {
		v.leave()
	}
	return err
}

func (v *verifier) push(n *dirNode) *dirNode {
	v.stack = append(v.stack, &level{dir: n})
	return n
}

// enter compares a directory's own metadata and lists it.
func (v *verifier) enter(n *dirNode, it recipe.Item) error {
	v.push(n)
	l := v.stack[len(v.stack)-1]
	fd, err := v.dirs.dir(n)
	if err != nil {
		n.failed = true
		v.differ(it.Path, "unreadable", "can't be opened: %v", err)
		return nil
	}
	defer v.dirs.unpin(&n.handle)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return wrap("stat", it.Path, err)
	}
	v.meta(xattrTarget{fd: fd}, &st, it)
	if l.live, err = readNames(fd, ""); err != nil {
		v.differ(it.Path, "unreadable", "can't be listed: %v", err)
		return nil
	}
	slices.Sort(l.live)
	l.keys, l.kept = l.live, make([]bool, len(l.live))
	if n == v.root {
		l.keep(DirName)
	}
	return nil
}

// leave reports the names that the recipe does not have.
func (v *verifier) leave() {
	l := v.stack[len(v.stack)-1]
	v.stack = v.stack[:len(v.stack)-1]
	for i, name := range l.live {
		if !l.kept[i] {
			v.differ(joinPath(l.dir.path, name), "extra", "is not in the recipe")
		}
	}
}

func (v *verifier) entry(ctx context.Context, dir *dirNode, name string, it recipe.Item) error {
	dfd, err := v.dirs.dir(dir)
	if err != nil {
		return wrap("open", dir.path, err)
	}
	defer v.dirs.unpin(&dir.handle)
	want := it.Entry.Type
	var st unix.Stat_t
	if err := statAt(dfd, name, &st); err != nil || st.Mode&unix.S_IFMT != fileType(want) {
		if err != nil {
			v.differ(it.Path, "missing", "%v", err)
		} else {
			v.differ(it.Path, "type", "file type is %06o, want %06o", st.Mode&unix.S_IFMT, fileType(want))
		}
		if want == recipe.TypeDir {
			v.push(dir.child(name)).failed = true
		}
		return nil
	}
	switch want {
	case recipe.TypeDir:
		return v.enter(dir.child(name), it)
	case recipe.TypeHardlink:
		v.hardlink(&st, it)
		return nil
	case recipe.TypeFile:
		return v.file(ctx, dfd, name, &st, it)
	case recipe.TypeSymlink:
		if got, err := readLink(dfd, name); err != nil || got != it.Entry.Target {
			v.differ(it.Path, "target", "points to %q, want %q", got, it.Entry.Target)
		}
	case recipe.TypeChar, recipe.TypeBlock:
		if st.Rdev != it.Entry.Rdev {
			v.differ(it.Path, "device", "device number is %#x, want %#x", st.Rdev, it.Entry.Rdev)
		}
	}
	v.meta(xattrTarget{fd: dfd, name: name}, &st, it)
	return nil
}

// hardlink compares with the group's first name.
func (v *verifier) hardlink(st *unix.Stat_t, it recipe.Item) {
	if first := v.inodes[Inode{st.Dev, st.Ino}]; first != it.Entry.Target && len(v.inodes) < maxInodes {
		v.differ(it.Path, "hardlink", "is not another name of %q", it.Entry.Target)
	}
}

// meta compares what an entry is besides its content.
func (v *verifier) meta(x xattrTarget, st *unix.Stat_t, it recipe.Item) {
	e, mask := it.Entry, v.Root.Mask
	bits := uint32(0o777)
	if mask >= recipe.MaskUnix {
		bits = 0o7777
		if uid, gid := v.owners.uid(e.User, e.UID), v.owners.gid(e.Group, e.GID); int(st.Uid) != uid || int(st.Gid) != gid {
			v.differ(it.Path, "owner", "owner is %d:%d, want %d:%d", st.Uid, st.Gid, uid, gid)
		}
	}
	if e.Type != recipe.TypeSymlink && st.Mode&bits != e.Mode&bits {
		v.differ(it.Path, "mode", "mode is %04o, want %04o", st.Mode&bits, e.Mode&bits)
	}
	if got := mtimeOf(st); got != e.MTime {
		v.differ(it.Path, "mtime", "modification time is %d ns, want %d ns", got, e.MTime)
	}
	if mask >= recipe.MaskFull {
		v.xattrs(x, it)
	}
}

func (v *verifier) xattrs(x xattrTarget, it recipe.Item) {
	want, err := recipe.Xattrs(context.Background(), v.Nodes, it.Entry)
	if err != nil {
		v.differ(it.Path, "xattr", "attribute set can't be read: %v", err)
		return
	}
	have, err := x.names()
	if err != nil {
		v.differ(it.Path, "unreadable", "attributes can't be listed: %v", err)
		return
	}
	known := make(map[string]bool)
	for _, a := range want {
		known[a.Name] = true
		if got, err := x.value(a.Name); err != nil || string(got) != string(a.Value) {
			v.differ(it.Path, "xattr", "%s is %.64q (%v), want %.64q", a.Name, got, err, a.Value)
		}
	}
	for _, name := range have {
		if ours(name) && !known[name] {
			v.differ(it.Path, "xattr", "%s is set and should not be", name)
		}
	}
}
