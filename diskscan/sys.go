package diskscan

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	dirFlags  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK
	fileFlags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
)

// opener opens paths below a handle. The zero value uses openat2, and openat where that is missing.
type opener struct{ stepwise bool }

// open opens a relative slash path below fd, "" or "." for fd itself. It follows no symlink and
// crosses no mount.
func (o *opener) open(fd int, rel string, flags int) (int, error) {
	if rel == "" {
		rel = "."
	}
	if !o.stepwise {
		got, err := openBeneath(fd, rel, flags)
		if err != unix.ENOSYS && err != unix.EPERM && err != unix.E2BIG {
			return got, err
		}
	}
	return openStepwise(fd, rel, flags)
}

func openBeneath(fd int, rel string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for range openTries {
		got, err := unix.Openat2(fd, rel, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return got, err
		}
	}
	return -1, unix.EAGAIN
}

// openTries bounds how often a path is looked up whose directories are renamed meanwhile.
const openTries = 32

// openStepwise opens one component after the other. It tells mounts by their device, so it does not
// see a bind mount of the same file system.
func openStepwise(fd int, rel string, flags int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, err
	}
	dir, rest := fd, rel
	for {
		name, more, below := strings.Cut(rest, "/")
		if name == ".." {
			closeUnless(dir, fd)
			return -1, unix.EXDEV
		}
		want := flags | unix.O_NOFOLLOW
		if below {
			want = dirFlags
		}
		next, err := openAt(dir, name, want)
		closeUnless(dir, fd)
		if err != nil {
			return -1, err
		}
		if err := sameDevice(next, st.Dev); err != nil {
			unix.Close(next)
			return -1, err
		}
		if !below {
			return next, nil
		}
		dir, rest = next, more
	}
}

func closeUnless(fd, kept int) {
	if fd != kept {
		unix.Close(fd)
	}
}

func sameDevice(fd int, dev uint64) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != dev {
		return unix.EXDEV
	}
	return nil
}

func openAt(fd int, name string, flags int) (int, error) {
	for {
		got, err := unix.Openat(fd, name, flags, 0)
		if err != unix.EINTR {
			return got, err
		}
	}
}

// statAt looks at one name below fd, not at what a symlink points to.
func statAt(fd int, name string, st *unix.Stat_t) error {
	for {
		if err := unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW); err != unix.EINTR {
			return err
		}
	}
}

// bornOr is when one name below fd was made, in nanoseconds since 1970, or other if the file system does not tell.
func bornOr(fd int, name string, other int64) int64 {
	var st unix.Statx_t
	if unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BTIME, &st) != nil || st.Mask&unix.STATX_BTIME == 0 {
		return other
	}
	return st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
}

// dirent is one record of a directory.
type dirent struct {
	name string
	ino  uint64
	next int64 // cookie of the place behind it
	kind uint8 // DT_*
}

// readDirents reads records from fd into buf and appends them to list. At the end of the directory it says so.
func readDirents(fd int, buf []byte, list []dirent) (_ []dirent, end bool, err error) {
	n, err := unix.Getdents(fd, buf)
	for err == unix.EINTR {
		n, err = unix.Getdents(fd, buf)
	}
	if err != nil || n <= 0 {
		return list, true, err
	}
	return parseDirents(buf[:n], list), false, nil
}

// direntHead is the size of what comes before the name in a linux_dirent64.
const direntHead = 19

// parseDirents appends the records of buf but "." and "..". It stops at a record that is not whole.
func parseDirents(buf []byte, list []dirent) []dirent {
	for len(buf) > direntHead {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		if size <= direntHead || size > len(buf) {
			return list
		}
		name := buf[direntHead:size]
		if end := strings.IndexByte(unsafe.String(&name[0], len(name)), 0); end >= 0 {
			name = name[:end]
		}
		if s := string(name); s != "." && s != ".." && s != "" {
			list = append(list, dirent{
				name: s, ino: binary.NativeEndian.Uint64(buf),
				next: int64(binary.NativeEndian.Uint64(buf[8:])), kind: buf[18],
			})
		}
		buf = buf[size:]
	}
	return list
}

// unsearched names the file systems that are never searched: those made up by the kernel, and those
// where a read asks another machine or another program.
var unsearched = map[uint32]string{
	0x9fa0: "proc", 0x62656572: "sysfs", 0x27e0eb: "cgroup", 0x63677270: "cgroup2", 0x1cd1: "devpts",
	0x64626720: "debugfs", 0x74726163: "tracefs", 0x73636673: "securityfs", 0xcafe4a11: "bpf",
	0x62656570: "configfs", 0xde5e81e4: "efivarfs", 0x6165676c: "pstore", 0x19800202: "mqueue",
	0x958458f6: "hugetlbfs", 0x0187: "autofs", 0x65735546: "fuse", 0x65735543: "fusectl", 0x6969: "nfs",
	0x6e667364: "nfsd", 0xff534d42: "cifs", 0xfe534d42: "smb2", 0x517b: "smb", 0x01021997: "9p",
	0x5346414f: "afs", 0x6b414653: "afs", 0x73757245: "coda", 0x00c36400: "ceph", 0x564c: "ncp",
	0x42494e4d: "binfmt_misc", 0xf97cff8c: "selinuxfs", 0x6e736673: "nsfs", 0x534f434b: "sockfs", 0x50495045: "pipefs",
	0xaad7aaea: "panfs", 0x786f4256: "vboxsf", 0xbacbacbc: "vmhgfs", 0x0bd00bd0: "lustre", 0x7461636f: "ocfs2", 0x01161970: "gfs2",
}

// searchable refuses a handle on a file system that is never searched.
func searchable(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if kind, bad := unsearched[uint32(st.Type)]; bad {
		return fmt.Errorf("file systems of type %s are not searched", kind)
	}
	return nil
}

// preadFull fills p from off; it returns how much it got, and io.EOF at the end of the file.
func preadFull(fd int, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(fd, p[done:], off+int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		default:
			done += n
		}
	}
	return done, nil
}

func mtimeOf(st *unix.Stat_t) int64 { return st.Mtim.Nano() }
func ctimeOf(st *unix.Stat_t) int64 { return st.Ctim.Nano() }

func isRegular(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG }

// join puts a name behind a relative slash path, which may be "". It does not clean the result.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// mincore says for each page of a mapping whether it is in memory.
func mincore(mem, here []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE,
		uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), uintptr(unsafe.Pointer(&here[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
