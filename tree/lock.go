package tree

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "lock"

// takeLock makes this process the only one that works on the destination. dir is the staging
// directory that all recipes of the destination share. The lock file of a holder that just finished
// may be gone from the directory when the lock is had; then the next file is taken.
func takeLock(dir int, dest string, now time.Time) (int, error) {
	for {
		fd, err := openAt(dir, lockName, unix.O_RDWR|unix.O_CREAT, 0o600)
		if err != nil {
			return -1, wrap("lock", dest, err)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			held := lockHolder(fd, dest)
			unix.Close(fd)
			if errors.Is(err, unix.EWOULDBLOCK) {
				return -1, held
			}
			return -1, wrap("lock", dest, err)
		}
		if sameFile(fd, dir, lockName) {
			if err := writeHolder(fd, dest, now); err != nil {
				unix.Close(fd)
				return -1, err
			}
			return fd, nil
		}
		unix.Close(fd)
	}
}

func sameFile(fd, dir int, name string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && statAt(dir, name, &b) == nil && a.Ino == b.Ino && a.Dev == b.Dev
}

func writeHolder(fd int, dest string, now time.Time) error {
	text := fmt.Sprintf("%d %d\n", os.Getpid(), now.Unix())
	if err := unix.Ftruncate(fd, 0); err != nil {
		return wrap("lock", dest, err)
	}
	if err := pwriteAll(fd, []byte(text), 0); err != nil {
		return wrap("lock", dest, err)
	}
	return nil
}

func lockHolder(fd int, dest string) *LockedError {
	e := &LockedError{Dest: dest}
	buf := make([]byte, 64)
	n, _ := unix.Pread(fd, buf, 0)
	var since int64
	if _, err := fmt.Sscanf(string(buf[:max(n, 0)]), "%d %d", &e.PID, &since); err != nil {
		return &LockedError{Dest: dest}
	}
	e.Since = time.Unix(since, 0)
	return e
}
