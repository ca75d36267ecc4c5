package tree

import (
	"errors"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// maxMounts bounds the mounts below the destination that get a staging directory. What lies on further ones
// can't be put in place, and fails by name.
const maxMounts = 1 << 12

// errReadOnly says why nothing can be staged on a mount.
var errReadOnly = errors.New("lies on a file system that is mounted read-only")

// mountKey tells apart what a rename can't cross: mounts, even of one file system, and subvolumes.
type mountKey struct{ mount, dev uint64 }

// mountOf tells what an open file lies on: the mount, uniquely since boot where the kernel can, and the device.
func mountOf(fd int) mountKey {
	var st unix.Statx_t
	for _, mask := range []int{unix.STATX_MNT_ID_UNIQUE, unix.STATX_MNT_ID} {
		if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, mask, &st); err == nil && st.Mask&uint32(mask) != 0 {
			return mountKey{st.Mnt_id, unix.Mkdev(st.Dev_major, st.Dev_minor)}
		}
	}
	return mountKey{0, unix.Mkdev(st.Dev_major, st.Dev_minor)}
}

// mount is another file system, or another view of this one, that lies below the destination's top. Its
// entries are staged in a directory of its own, at its top, since no rename leads there from elsewhere. That
// directory is made when the first entry needs it. It has no journal: what an earlier run staged there is
// hashed again.
type mount struct {
	top *dirNode

	mu    sync.Mutex
	stage *staging // nil until it is needed
	err   error    // why there is none
}

// mounts are the mounts that the plan came across.
type mounts struct {
	mu     sync.Mutex
	byPath map[string]*mount
}

func (ms *mounts) add(m *mount) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.byPath) >= maxMounts {
		return false
	}
	if ms.byPath == nil {
		ms.byPath = make(map[string]*mount)
	}
	ms.byPath[m.top.path] = m
	return true
}

func (ms *mounts) at(path string) *mount {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.byPath[path]
}

// opened lists the mounts that have a staging directory.
func (ms *mounts) opened() (out []*mount) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, m := range ms.byPath {
		if m.open() != nil {
			out = append(out, m)
		}
	}
	return out
}

func (ms *mounts) any() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return len(ms.byPath) > 0
}

// open is the staging directory if there is one.
func (m *mount) open() *staging {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stage
}

// noteMount finds out whether a directory that was there before this run is the top of a mount. If an earlier
// run has staged something there, it is taken over.
func (t *Tree) noteMount(n *dirNode, fd int) {
	at := t.cfg.mountOf(fd)
	if at == n.where {
		return
	}
	n.where = at
	m := &mount{top: n}
	if !t.mounts.add(m) {
		return
	}
	n.mount = m
	var st unix.Stat_t
	if statAt(fd, DirName, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		_, _ = t.stageOf(n) // whoever needs it gets the error
	}
}

// child is a node below n, which may be the top of a mount that the plan came across.
func (t *Tree) child(n *dirNode, name string) *dirNode {
	c := n.child(name)
	if m := t.mounts.at(c.path); m != nil {
		c.mount = m
	}
	return c
}

// stageOf gives the staging directory from which a rename leads into dir.
func (t *Tree) stageOf(dir *dirNode) (*staging, error) {
	m := dir.mount
	if m == nil {
		return t.stage, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stage == nil && m.err == nil {
		if m.stage, m.err = t.stageAt(m.top); errors.Is(m.err, unix.EROFS) {
			m.err = errReadOnly
		}
	}
	return m.stage, m.err
}

// stageAt makes a staging directory at the top of a mount.
func (t *Tree) stageAt(top *dirNode) (*staging, error) {
	fd, err := t.acquireDir(top)
	if err != nil {
		return nil, err
	}
	defer t.releaseDir(top)
	root, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	cfg := t.cfg
	cfg.Dest = filepath.Join(cfg.Dest, top.path)
	s, err := openStaging(root, DirName, cfg)
	if err != nil {
		unix.Close(root)
		return nil, err
	}
	s.owned = true
	return s, nil
}

// isTop tells whether a directory holds a staging directory, or would.
func (n *dirNode) isTop() bool {
	return n.parent == nil || n.mount != nil && n.mount.top.path == n.path
}

// isStaging tells whether a name is that of a staging directory.
func (t *Tree) isStaging(dir *dirNode, name string) bool {
	if dir.parent == nil {
		return name == t.stage.name
	}
	return dir.isTop() && name == DirName
}

// clearMount removes the staging directory of a mount that the final pass leaves, unless something in it could
// not be put in place.
func (t *Tree) clearMount(dir *dirNode) {
	if dir.mount == nil || !dir.isTop() {
		return
	}
	s := dir.mount.open()
	if s == nil {
		return
	}
	where := joinPath(dir.path, s.name)
	if t.failed.any() && s.holdsFiles() {
		t.note(where, "kept: it holds files that could not be put in place")
	} else if err := s.remove(); err != nil {
		t.note(where, "staging directory could not be removed: "+err.Error())
	}
}

// closeMounts gives the handles and locks of all mounts back.
func (t *Tree) closeMounts() {
	for _, m := range t.mounts.opened() {
		m.stage.close()
	}
}

// syncStages makes all that is staged anywhere durable.
func (t *Tree) syncStages() error {
	err := unix.Syncfs(t.stage.fd)
	for _, m := range t.mounts.opened() {
		err = firstError(err, unix.Syncfs(m.stage.fd))
	}
	return err
}
