package tree

import (
	"os"
	"os/user"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// meta is what an entry is besides its content, with owners as numbers of this machine.
type meta struct {
	mode     uint32
	mtime    int64
	uid, gid int
	xattrs   recipe.ID
	ahead    *attrSet // read ahead of need; nil: it is not
}

func (t *Tree) metaOf(e *recipe.Entry) meta {
	m := meta{mode: e.Mode & 0o777, mtime: e.MTime}
	if t.mask >= recipe.MaskUnix {
		m.mode = e.Mode & 0o7777
		m.uid, m.gid = t.owners.uid(e.User, e.UID), t.owners.gid(e.Group, e.GID)
	}
	if t.mask >= recipe.MaskFull {
		m.xattrs = e.Xattrs
	}
	return m
}

// makeAccessible gives the owner of a directory the rights to work in it.
func makeAccessible(fd int, st *unix.Stat_t) {
	if st.Mode&0o700 != 0o700 && int(st.Uid) == os.Geteuid() {
		_ = unix.Fchmod(fd, st.Mode&0o7777|0o700) // without the right, the work itself fails and says so
	}
}

// apply gives an open file its metadata: owner, attributes, mode, time, in the order in which none
// undoes another. st is what the file has now; nil means a file that this process just made.
// Only an owner or attribute that can't be set is a problem of the entry alone; the file is still
// usable, so the rest is done. The first such error comes back.
func (t *Tree) apply(fd int, st *unix.Stat_t, m meta) (soft, hard error) {
	if t.mask >= recipe.MaskUnix {
		soft = applyOwner(fd, st, &m)
	}
	if t.mask >= recipe.MaskFull {
		changed, err := t.applyXattrs(xattrTarget{fd: fd}, m)
		if soft == nil {
			soft = err
		}
		if changed && st != nil {
			st.Mode = ^uint32(0) // an ACL changes the mode
		}
	}
	if st == nil || st.Mode&0o7777 != m.mode {
		if err := unix.Fchmod(fd, m.mode); err != nil {
			return soft, err
		}
	}
	if st == nil || mtimeOf(st) != m.mtime {
		return soft, setTimes(fd, m.mtime)
	}
	return soft, nil
}

// applyOwner sets the owner. If that fails, the bits that give the owner's rights away are dropped.
func applyOwner(fd int, st *unix.Stat_t, m *meta) error {
	if st != nil && int(st.Uid) == m.uid && int(st.Gid) == m.gid {
		return nil
	}
	err := unix.Fchown(fd, m.uid, m.gid)
	if err != nil {
		var now unix.Stat_t
		if unix.Fstat(fd, &now) == nil && int(now.Uid) == m.uid && int(now.Gid) == m.gid {
			return nil
		}
		m.mode &= 0o1777
		return err
	}
	if st != nil {
		st.Mode &^= 0o6000 // the kernel drops them on a change of owner
	}
	return nil
}

// owners maps names of users and groups to numbers, as rsync does: by name where this machine knows
// the name, by number otherwise. Safe from many goroutines.
type owners struct {
	mu            sync.Mutex
	users, groups map[string]int
}

const maxOwners = 1 << 16 // names that are remembered

func newOwners() *owners { return &owners{users: map[string]int{}, groups: map[string]int{}} }

func (o *owners) uid(name string, number uint32) int {
	return o.find(o.users, name, number, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

func (o *owners) gid(name string, number uint32) int {
	return o.find(o.groups, name, number, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

func (o *owners) find(known map[string]int, name string, number uint32, look func(string) (string, error)) int {
	if name == "" {
		return int(number)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	id, ok := known[name]
	if !ok {
		id = -1
		if text, err := look(name); err == nil {
			if n, err := strconv.Atoi(text); err == nil {
				id = n
			}
		}
		if len(known) < maxOwners {
			known[name] = id
		}
	}
	if id < 0 {
		return int(number)
	}
	return id
}
