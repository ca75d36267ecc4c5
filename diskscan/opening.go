package diskscan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"dfetch/diskscan/lsm"
)

// openDir opens the index in its directory; false if that can't be.
func (x *Index) openDir() bool {
	err := x.takeLock()
	if err != nil {
		x.note = fmt.Errorf("index %s: %w", x.cfg.Dir, err)
		return (isReadOnly(err) || errors.Is(err, ErrLocked)) && x.openRows(true)
	}
	if x.openRows(false) {
		return true
	}
	x.releaseLock()
	return false
}

// openRows opens the rows in the index's directory.
func (x *Index) openRows(readOnly bool) bool {
	dir := filepath.Join(x.cfg.Dir, rowsDir)
	err := error(nil)
	if !readOnly {
		_ = os.RemoveAll(filepath.Join(x.cfg.Dir, formerDir)) // if it stays it takes room and nothing else
		err = os.Mkdir(dir, 0o700)
	}
	if err == nil || errors.Is(err, os.ErrExist) {
		x.db, err = lsm.Open(lsm.Config{Dir: dir, ReadOnly: readOnly, Thorough: x.cfg.Wait})
	}
	if err != nil {
		x.note = errors.Join(x.note, fmt.Errorf("index %s: %w", x.cfg.Dir, err))
		return false
	}
	x.mode = IndexShared
	if readOnly {
		x.mode = IndexReadOnly
	}
	return true
}

// Directories in an index's own: that of its rows, and one in which former builds kept them in another form.
const (
	rowsDir   = "rows"
	formerDir = "badger"
)

// ErrLocked says that another process has the index open.
var ErrLocked = errors.New("another dfetch has it open")

func isReadOnly(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// takeLock makes the directory and locks it.
func (x *Index) takeLock() error {
	if err := os.MkdirAll(x.cfg.Dir, 0o700); err != nil {
		return err
	}
	fd, err := unix.Open(filepath.Join(x.cfg.Dir, "lock"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		if err == unix.EWOULDBLOCK {
			return ErrLocked
		}
		return err
	}
	x.lock = fd
	return nil
}

func (x *Index) releaseLock() {
	if x.lock >= 0 {
		unix.Close(x.lock)
	}
	x.lock = -1
}

func (x *Index) openMemory() {
	x.mode = IndexMemory
	x.db = lsm.New()
}
