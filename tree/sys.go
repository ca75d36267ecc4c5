package tree

import (
	"fmt"
	"io/fs"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openDirAt opens one directory below fd. A symlink in its place is refused by the kernel.
func openDirAt(fd int, name string) (int, error) {
	return openAt(fd, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// openAt opens one name below fd and never follows it.
func openAt(fd int, name string, flags int, mode uint32) (int, error) {
	for {
		got, err := unix.Openat(fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
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

// isFileAt tells whether a name is a regular file's.
func isFileAt(fd int, name string) bool {
	var st unix.Stat_t
	return statAt(fd, name, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}

// pwriteAll writes all of p at off.
func pwriteAll(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// preadFull fills p from off; a short file is an error.
func preadFull(fd int, p []byte, off int64) error {
	for len(p) > 0 {
		n, err := unix.Pread(fd, p, off)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return errShort
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// timesOf is the pair that utimensat takes: access time as it is, modification time as given.
func timesOf(mtime int64) [2]unix.Timespec {
	return [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(mtime)}
}

func mtimeOf(st *unix.Stat_t) int64 { return st.Mtim.Nano() }

func ctimeOf(st *unix.Stat_t) int64 { return st.Ctim.Nano() }

// setTimes sets the modification time of an open file.
func setTimes(fd int, mtime int64) error {
	ts := timesOf(mtime)
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// setTimesAt sets the modification time of one name, of a symlink itself if it is one.
func setTimesAt(fd int, name string, mtime int64) error {
	ts := timesOf(mtime)
	return unix.UtimesNanoAt(fd, name, ts[:], unix.AT_SYMLINK_NOFOLLOW)
}

// chmodAt changes the mode of one name and refuses symlinks. Kernels without fchmodat2 are served
// through the descriptor's name in /proc.
func chmodAt(fd int, name string, mode uint32) error {
	err := unix.Fchmodat(fd, name, mode, unix.AT_SYMLINK_NOFOLLOW)
	if err != unix.EOPNOTSUPP && err != unix.ENOSYS {
		return err
	}
	h, err := openAt(fd, name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(h)
	var st unix.Stat_t
	if err := unix.Fstat(h, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return unix.ELOOP
	}
	return unix.Chmod(fdPath(h, ""), mode)
}

// fdPath names what lies below an open directory through /proc, for the calls that have no form
// with a directory descriptor.
func fdPath(fd int, name string) string {
	if name == "" {
		return fmt.Sprintf("/proc/self/fd/%d", fd)
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
}

// syncFile makes an open file durable, its metadata too.
func syncFile(fd int) error { return unix.Fsync(fd) }

// freeBytes is what an ordinary user may still write on the file system of fd.
func freeBytes(fd int) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // narrower on some processors
}

// deviceOf is the device that a file lies on.
func deviceOf(st fs.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return sys.Dev
	}
	return 0
}
