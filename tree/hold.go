package tree

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// maxHeld bounds the replaced files that are held at one time. Further ones are given up.
const maxHeld = 1 << 16

// Inode is a file or directory, whatever its names.
type Inode struct{ Dev, Ino uint64 }

func inodeOf(st *unix.Stat_t) Inode { return Inode{st.Dev, st.Ino} }

// Old is a live file that loses its name to a file or directory of the recipe. It is held, by a link in
// the staging directory, for whoever may want to read it.
type Old struct {
	File  Inode
	Dir   Inode  // the directory that it was in
	Name  string // its name there
	Size  int64
	MTime int64 // nanoseconds since 1970
}

// OldDir is a directory that gave way to a file, with held files in it at some depth.
type OldDir struct {
	File Inode
	Name string
}

// holds are the files that are held, and the directories that gave way with them.
type holds struct {
	mu     sync.Mutex
	byFile map[Inode]heldFile
	byDir  map[Inode]map[Inode]struct{}
	gone   map[Inode]map[OldDir]struct{} // by the directory that they were in
	goneN  int                           // how many; maxHeld at most
}

type heldFile struct {
	Old
	aside string // its name in the staging directory
}

func (h *holds) add(f heldFile) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.byFile[f.File]; ok || len(h.byFile) >= maxHeld {
		return false
	}
	if h.byFile == nil {
		h.byFile, h.byDir = make(map[Inode]heldFile), make(map[Inode]map[Inode]struct{})
	}
	if h.byDir[f.Dir] == nil {
		h.byDir[f.Dir] = make(map[Inode]struct{})
	}
	h.byFile[f.File], h.byDir[f.Dir][f.File] = f, struct{}{}
	return true
}

// addDir notes a directory that gives way. Files below it that the search has not been shown can be found by it.
func (h *holds) addDir(in Inode, d OldDir) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.gone[in][d]; known || h.goneN >= maxHeld {
		return
	}
	if h.gone == nil {
		h.gone = make(map[Inode]map[OldDir]struct{})
	}
	if h.gone[in] == nil {
		h.gone[in] = make(map[OldDir]struct{})
	}
	h.gone[in][d] = struct{}{}
	h.goneN++
}

func (h *holds) get(file Inode) (heldFile, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.byFile[file]
	return f, ok
}

// take drops a file and says what it was.
func (h *holds) take(file Inode) (heldFile, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.byFile[file]
	delete(h.byFile, file)
	if delete(h.byDir[f.Dir], file); len(h.byDir[f.Dir]) == 0 {
		delete(h.byDir, f.Dir)
	}
	return f, ok
}

func (h *holds) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byFile)
}

// HeldIn lists the held files that were in a directory and the directories in it that gave way with more, each by name.
func (t *Tree) HeldIn(dir Inode) (files []Old, dirs []OldDir) {
	t.holds.mu.Lock()
	defer t.holds.mu.Unlock()
	for file := range t.holds.byDir[dir] {
		files = append(files, t.holds.byFile[file].Old)
	}
	slices.SortFunc(files, func(a, b Old) int { return strings.Compare(a.Name, b.Name) })
	dirs = slices.SortedFunc(maps.Keys(t.holds.gone[dir]), func(a, b OldDir) int { return strings.Compare(a.Name, b.Name) })
	return files, dirs
}

// OpenHeld opens a held file for reading; false if it is not held, or not any more. The caller closes
// the descriptor.
func (t *Tree) OpenHeld(file Inode) (fd int, ok bool) {
	f, ok := t.holds.get(file)
	if !ok || t.enter() != nil {
		return -1, false
	}
	defer t.exit()
	fd, err := openAt(t.stage.fd, f.aside, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return -1, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || inodeOf(&st) != file {
		unix.Close(fd)
		return -1, false
	}
	return fd, true
}

// LetGo says that a held file is of no more use. One that is not held is no matter.
func (t *Tree) LetGo(file Inode) {
	if t.enter() != nil {
		return
	}
	defer t.exit()
	if f, ok := t.holds.take(file); ok {
		_ = unix.Unlinkat(t.stage.fd, f.aside, 0) // removed with the staging directory at the latest
	}
}

// hold keeps what stands at a name that entry number is about to take, if it is a regular file that
// Config.Hold wants.
func (t *Tree) hold(dir *dirNode, dfd int, name string, number uint64) {
	if t.mayHold(dir) {
		t.holdFile(dfd, name, asideName(number))
	}
}

// holdBelow keeps what lies in a directory that is about to give way to entry number, at any depth and as hold does.
func (t *Tree) holdBelow(dir *dirNode, dfd int, name string, number uint64) {
	if t.mayHold(dir) {
		t.holdAll(dfd, name, number)
	}
}

// holdAll says whether there was anything to hold.
func (t *Tree) holdAll(dfd int, name string, number uint64) (held bool) {
	h, err := openDirAt(dfd, name)
	if err != nil {
		return false
	}
	defer unix.Close(h)
	names, err := readNames(h, "")
	if err != nil {
		return false
	}
	for _, child := range names {
		var st unix.Stat_t
		switch {
		case t.holds.count() >= maxHeld || statAt(h, child, &st) != nil:
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			held = t.holdAll(h, child, number) || held
		default:
			held = t.holdFile(h, child, asideBelow(number, st.Ino)) || held
		}
	}
	if held {
		t.noteGone(dfd, h, name)
	}
	return held
}

// noteGone notes a directory that gives way, open as h, in the one that is open as dfd.
func (t *Tree) noteGone(dfd, h int, name string) {
	var in, st unix.Stat_t
	if unix.Fstat(dfd, &in) == nil && unix.Fstat(h, &st) == nil {
		t.holds.addDir(inodeOf(&in), OldDir{File: inodeOf(&st), Name: name})
	}
}

// mayHold says whether files below a directory can be held. Nothing on a mount below the destination is, where
// no search looks.
func (t *Tree) mayHold(dir *dirNode) bool {
	return t.cfg.Hold != nil && !t.single && !dir.fresh && dir.mount == nil && t.broken() == nil && t.holds.count() < maxHeld
}

// holdFile links a file into the staging directory, if it is worth that. One that can't be linked is lost to the
// search, no more.
func (t *Tree) holdFile(dfd int, name, aside string) (held bool) {
	f, ok := t.worthHolding(dfd, name, aside)
	if !ok {
		return false
	}
	err := unix.Linkat(dfd, name, t.stage.fd, aside, 0)
	if err == unix.EEXIST && unix.Unlinkat(t.stage.fd, aside, 0) == nil {
		err = unix.Linkat(dfd, name, t.stage.fd, aside, 0)
	}
	if held = err == nil && t.holds.add(f); err == nil && !held {
		_ = unix.Unlinkat(t.stage.fd, aside, 0) // another name of it was held at the same moment
	}
	t.cfg.fault("held")
	return held
}

func (t *Tree) worthHolding(dfd int, name, aside string) (f heldFile, ok bool) {
	var st, at unix.Stat_t
	if statAt(dfd, name, &st) != nil || !isHoldable(&st) || unix.Fstat(dfd, &at) != nil {
		return f, false
	}
	if _, held := t.holds.get(inodeOf(&st)); held {
		return f, false
	}
	f = describeOld(&st, &at, name, aside)
	return f, t.cfg.Hold(f.Old)
}

// isHoldable says whether a file may hold chunks: content up to recipe.MaxInline lies in the recipe.
func isHoldable(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size > recipe.MaxInline
}

func describeOld(st, dir *unix.Stat_t, name, aside string) heldFile {
	return heldFile{aside: aside, Old: Old{File: inodeOf(st), Dir: inodeOf(dir), Name: name, Size: st.Size, MTime: mtimeOf(st)}}
}

// holdAside notes a file that lies in staging as what gave way to entry number: an earlier run held it,
// or it stood where a directory belongs.
func (t *Tree) holdAside(dfd int, name string, number uint64) {
	if t.cfg.Hold == nil || t.single {
		return
	}
	var st, at unix.Stat_t
	aside := asideName(number)
	if statAt(t.stage.fd, aside, &st) != nil || !isHoldable(&st) || unix.Fstat(dfd, &at) != nil {
		return
	}
	t.holds.add(describeOld(&st, &at, name, aside))
}

// adoptHeld takes over what an earlier run held in the place of a file.
func (t *Tree) adoptHeld(f *File) {
	if f.dir.mount != nil || !t.journal.hasAside(f.number) {
		return
	}
	dfd, err := t.acquireDir(f.dir)
	if err != nil {
		return
	}
	defer t.releaseDir(f.dir)
	t.holdAside(dfd, f.name, f.number)
}

// dropHeld lets everything go.
func (t *Tree) dropHeld() {
	t.holds.mu.Lock()
	defer t.holds.mu.Unlock()
	for _, f := range t.holds.byFile {
		_ = unix.Unlinkat(t.stage.fd, f.aside, 0) // removed with the staging directory at the latest
	}
	t.holds.byFile, t.holds.byDir, t.holds.gone, t.holds.goneN = nil, nil, nil, 0
}
