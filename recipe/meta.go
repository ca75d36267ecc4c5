package recipe

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// metadata turns what the system says of a file into an entry, as far as the mask goes.
type metadata struct {
	mask   Mask
	owners *ownerNames
	put    Put // takes nodes of extended attributes
}

// types of entries by the file type bits of st_mode; a socket has none.
var types = map[uint32]Type{
	unix.S_IFDIR: TypeDir, unix.S_IFREG: TypeFile, unix.S_IFLNK: TypeSymlink,
	unix.S_IFIFO: TypeFifo, unix.S_IFCHR: TypeChar, unix.S_IFBLK: TypeBlock,
}

// entry fills in everything that stat tells.
func (m *metadata) entry(name string, st *unix.Stat_t) Entry {
	e := Entry{Name: name, Type: types[st.Mode&unix.S_IFMT], MTime: st.Mtim.Nano()}
	if e.hasMode() {
		e.Mode = st.Mode & modeBits(m.mask)
	}
	if m.mask >= MaskUnix {
		e.UID, e.GID = st.Uid, st.Gid
		e.User, e.Group = m.owners.names(st.Uid, st.Gid)
	}
	switch e.Type {
	case TypeFile:
		e.Size = st.Size
	case TypeChar, TypeBlock:
		e.Rdev = st.Rdev
	}
	return e
}

// wants says whether an entry of this file type belongs into the recipe.
func (m *metadata) wants(mode uint32) bool {
	t, ok := types[mode&unix.S_IFMT]
	return ok && (t < TypeFifo || m.mask == MaskFull)
}

// xattrsOf stores the extended attributes of an open file or directory.
func (m *metadata) xattrsOf(fd int) (ID, error) {
	if m.mask != MaskFull {
		return ID{}, nil
	}
	return m.xattrs(
		func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) },
		func(name string, buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) })
}

// xattrsAt stores the extended attributes of what can't be opened: symlinks, fifos, devices. The path
// goes through the directory's handle, so nobody can put another directory in its place.
func (m *metadata) xattrsAt(dirfd int, name string) (ID, error) {
	if m.mask != MaskFull {
		return ID{}, nil
	}
	path := "/proc/self/fd/" + strconv.Itoa(dirfd) + "/" + name
	return m.xattrs(
		func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) })
}

func (m *metadata) xattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) (ID, error) {
	names, err := sized(list)
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(names) == 0 {
		return ID{}, nil
	}
	if err != nil {
		return ID{}, fmt.Errorf("list extended attributes: %w", err)
	}
	var xs []Xattr
	for _, name := range strings.Split(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, err := sized(func(buf []byte) (int, error) { return get(name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return ID{}, fmt.Errorf("extended attribute %q: %w", name, err)
		}
		xs = append(xs, Xattr{Name: name, Value: value})
	}
	if len(xs) == 0 {
		return ID{}, nil
	}
	slices.SortFunc(xs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	raw, err := EncodeXattrs(xs)
	if err != nil {
		return ID{}, err
	}
	return m.put(KindXattr, raw)
}

// sized calls a function that fills a buffer or says ERANGE, until the buffer is large enough.
func sized(fill func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := fill(buf)
		if err == nil {
			return buf[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) || size > MaxNode {
			return nil, err
		}
	}
}

// ownerNames remembers the names of users and groups.
type ownerNames struct {
	mu     sync.Mutex
	users  map[uint32]string
	groups map[uint32]string
}

func newOwnerNames() *ownerNames {
	return &ownerNames{users: make(map[uint32]string), groups: make(map[uint32]string)}
}

// names returns the names of a user and a group; "" for one that has none.
func (o *ownerNames) names(uid, gid uint32) (string, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	userName, ok := o.users[uid]
	if !ok {
		if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
			userName = u.Username
		}
		o.users[uid] = userName
	}
	group, ok := o.groups[gid]
	if !ok {
		if g, err := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10)); err == nil {
			group = g.Name
		}
		o.groups[gid] = group
	}
	return userName, group
}
