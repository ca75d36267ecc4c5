package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DirName is the name of the staging directory inside the destination of a directory recipe. No
// recipe may have it at its root, and deletes and searches leave it out.
const DirName = ".dfetch"

// stagingName names the staging directory: inside a directory destination, beside a file one.
func stagingName(single bool, name string) string {
	const longest = 180
	switch {
	case !single:
		return DirName
	case len(name) <= longest:
		return DirName + "-" + name
	}
	sum := sha256.Sum256([]byte(name))
	return DirName + "-" + name[:longest] + hex.EncodeToString(sum[:8])
}

// staging is the directory that holds what is not at a live name yet. Staged files bear their entry's
// number in hexadecimal.
type staging struct {
	root   int    // handle of the directory that the staging directory lies in
	owned  bool   // root is closed with the rest
	name   string // its name there
	shared int    // its handle; it holds the lock and one directory per recipe
	lock   int
	sub    string // name of this recipe's directory
	fd     int    // its handle
}

func openStaging(root int, name string, cfg Config) (*staging, error) {
	s := &staging{root: root, name: name, shared: -1, lock: -1, fd: -1, sub: hex.EncodeToString(cfg.Recipe[:])}
	err := s.open(cfg.Dest, cfg.Now())
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open takes the lock. A holder that finishes in between removes the directory; then it is made again.
func (s *staging) open(dest string, now time.Time) (err error) {
	for {
		if s.shared, err = makePrivateDir(s.root, s.name); err != nil {
			return wrap("make staging directory "+strconv.Quote(s.name)+" in", dest, err)
		}
		s.lock, err = takeLock(s.shared, dest, now)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.ENOENT) {
			return err
		}
		unix.Close(s.shared)
	}
	if s.fd, err = makePrivateDir(s.shared, s.sub); err != nil {
		return wrap("make staging directory in", dest, err)
	}
	return nil
}

// makePrivateDir makes and opens a directory that only we can enter. One that belongs to somebody else
// is refused: its owner could exchange what is staged.
func makePrivateDir(at int, name string) (int, error) {
	if err := unix.Mkdirat(at, name, 0o700); err != nil && err != unix.EEXIST {
		return -1, err
	}
	fd, err := openDirAt(at, name)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if int(st.Uid) != os.Geteuid() {
		unix.Close(fd)
		return -1, fmt.Errorf("belongs to user %d: %w", st.Uid, unix.EPERM)
	}
	if st.Mode&0o7777 != 0o700 {
		if err := unix.Fchmod(fd, 0o700); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

func stagedName(number uint64) string { return strconv.FormatUint(number, 16) }

// stagedNumber reads a staged file's name; false for other names.
func stagedNumber(name string) (uint64, bool) {
	n, err := strconv.ParseUint(name, 16, 64)
	return n, err == nil && stagedName(n) == name
}

// aside is the name of what had to give way to entry number.
func asideName(number uint64) string { return asidePrefix + stagedName(number) }

// asideBelow is the name of a file that was in the directory that had to give way. The next run does not keep it.
func asideBelow(number, ino uint64) string { return asideName(number) + "-" + stagedName(ino) }

const asidePrefix = "old-"

// asideNumber reads the name of what had to give way; false for other names.
func asideNumber(name string) (uint64, bool) {
	rest, ok := strings.CutPrefix(name, asidePrefix)
	if !ok {
		return 0, false
	}
	return stagedNumber(rest)
}

// linkName is the name under which a link or special file is made before it gets its own.
func linkName(number uint64) string { return "new-" + stagedName(number) }

func (s *staging) close() {
	for _, fd := range []int{s.fd, s.lock, s.shared} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	s.fd, s.lock, s.shared = -1, -1, -1
	if s.owned {
		unix.Close(s.root)
		s.owned = false
	}
}

// gone tells whether another process removed the directory. What is staged then can't get a name.
func (s *staging) gone() bool {
	var st unix.Stat_t
	return unix.Fstat(s.fd, &st) == nil && st.Nlink == 0
}

// holdsFiles tells whether a staged file is left.
func (s *staging) holdsFiles() bool {
	names, err := readNames(s.fd, "")
	return err != nil || slices.ContainsFunc(names, func(name string) bool { _, ok := stagedNumber(name); return ok })
}

// remove deletes the staging directory: what this recipe and earlier ones have staged, then the lock,
// then itself if nothing foreign is in it. The lock is held until close.
func (s *staging) remove() error {
	names, err := readNames(s.shared, "")
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isRecipeDir(name) {
			continue
		}
		if err := removeAll(s.shared, name); err != nil {
			return err
		}
	}
	if err := unix.Unlinkat(s.shared, lockName, 0); err != nil && err != unix.ENOENT {
		return err
	}
	err = unix.Unlinkat(s.root, s.name, unix.AT_REMOVEDIR)
	if err == unix.ENOTEMPTY || err == unix.ENOENT {
		return nil
	}
	return err
}

// discard removes this recipe's directory if nothing is staged in it, and the staging directory if no other
// recipe's is left. What can't be removed stays.
func (s *staging) discard() {
	names, err := readNames(s.fd, "")
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return n != journalName && n != journalNew }) {
		return
	}
	for _, name := range names {
		_ = unix.Unlinkat(s.fd, name, 0)
	}
	_ = unix.Unlinkat(s.shared, s.sub, unix.AT_REMOVEDIR)
	if names, err = readNames(s.shared, ""); err != nil || len(names) != 1 || names[0] != lockName {
		return
	}
	_ = unix.Unlinkat(s.shared, lockName, 0)
	_ = unix.Unlinkat(s.root, s.name, unix.AT_REMOVEDIR)
}

func isRecipeDir(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// readNames lists the directory called name below fd; "" is fd itself.
func readNames(fd int, name string) ([]string, error) {
	if name == "" {
		name = "."
	}
	h, err := openDirAt(fd, name)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(h), name)
	defer f.Close()
	return f.Readdirnames(-1)
}

// removeAll deletes what is called name below fd, with all it holds, and follows nothing.
func removeAll(fd int, name string) error {
	err := unix.Unlinkat(fd, name, 0)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	if err != unix.EISDIR && err != unix.EPERM {
		return err
	}
	h, err := openAccessible(fd, name)
	if err != nil {
		return err
	}
	defer unix.Close(h)
	names, err := readNames(h, "")
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := removeAll(h, n); err != nil {
			return err
		}
	}
	return unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
}
