package diskscan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"
)

// openDir opens the index in its directory; false if that can't be.
func (x *Index) openDir() bool {
	if err := x.takeLock(); err != nil {
		x.note = fmt.Errorf("index %s: %w", x.cfg.Dir, err)
		return isReadOnly(err) && x.openReadOnly()
	}
	if x.openMarked() {
		x.mode = IndexShared
		return true
	}
	x.releaseLock()
	return false
}

// Marks in the directory of an index. One lies there while the database is being opened, and one while it
// is open. What they tell when they are found, with nobody holding the lock: the database
// brought a process down, or was not closed.
const (
	markOpening = "opening"
	markOpen    = "open"
)

// openMarked opens the database. A damaged one is deleted and made anew.
func (x *Index) openMarked() bool {
	err := x.openChecked()
	if err != nil {
		x.note = fmt.Errorf("index %s: damaged, made anew: %w", x.cfg.Dir, err)
		if err = os.RemoveAll(x.dataDir()); err == nil {
			_ = os.Remove(x.mark(markOpening))
			err = x.openChecked()
		}
	}
	if err != nil {
		x.note = fmt.Errorf("index %s: %w", x.cfg.Dir, err)
	}
	return err == nil
}

// errBroken says that an earlier process did not get to the end of opening the database.
var errBroken = errors.New("it was not opened to the end last time")

// openChecked opens the database if it looks sound.
func (x *Index) openChecked() error {
	if _, err := os.Lstat(x.mark(markOpening)); err == nil {
		return errBroken
	}
	if err := checkTables(x.dataDir()); err != nil {
		return err
	}
	_, err := os.Lstat(x.mark(markOpen))
	doubtful := err == nil
	for _, mark := range []string{markOpening, markOpen} {
		if err := os.WriteFile(x.mark(mark), nil, 0o600); err != nil {
			return err
		}
	}
	if x.db, err = openBadger(badgerOptions(x.dataDir(), doubtful, x.tableSize(doubtful))); err != nil {
		return err
	}
	return os.Remove(x.mark(markOpening))
}

func (x *Index) mark(name string) string { return filepath.Join(x.cfg.Dir, name) }

func (x *Index) dataDir() string { return filepath.Join(x.cfg.Dir, "badger") }

// errLocked says that another process has the index open.
var errLocked = errors.New("another dfetch has it open")

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
			return errLocked
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

func (x *Index) openReadOnly() bool {
	if err := checkTables(x.dataDir()); err != nil {
		return false
	}
	db, err := openBadger(badgerOptions(x.dataDir(), true, maxTable).WithReadOnly(true))
	if err != nil {
		return false
	}
	x.db, x.mode = db, IndexReadOnly
	return true
}

func (x *Index) openMemory() {
	x.mode, x.cfg.Max = IndexMemory, min(x.cfg.Max, memoryMax)
	db, err := openBadger(badgerOptions("", false, maxTable))
	if err != nil {
		x.note = errors.Join(x.note, err)
	}
	x.db = db
}

// openBadger opens a database, whatever its files hold.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%v", p)
		}
	}()
	return badger.Open(o)
}

// Sizes of the table in memory that takes what is written. It is filled with zeros when the index is opened, so a
// transfer, which writes little, has a small one.
const (
	minTable = 1 << 20
	maxTable = 16 << 20
)

// tableSize is the size of the table in memory. What was not closed may have a large one to be read back.
func (x *Index) tableSize(doubtful bool) int64 {
	if x.cfg.Wait || doubtful {
		return maxTable
	}
	return minTable
}

// Sizes that concern the log of long values. No row is so long, but the log is there, and each opening makes its
// file anew.
const (
	longValue = 128 << 10
	logSize   = 1<<20 + 1
)

// badgerOptions are settings for some tens of megabytes of memory; "" is a database in memory. A doubtful
// one is read through when it is opened.
func badgerOptions(dir string, doubtful bool, table int64) badger.Options {
	o := badger.DefaultOptions(dir).WithInMemory(dir == "").WithLogger(nil).
		WithMemTableSize(table).WithNumMemtables(2).WithBlockCacheSize(32 << 20).WithIndexCacheSize(32 << 20).
		WithNumVersionsToKeep(1).WithDetectConflicts(false).WithSyncWrites(false).WithMetricsEnabled(false).
		WithCompression(options.None).WithNumGoroutines(1).WithNumCompactors(2).
		WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(16).
		WithChecksumVerificationMode(options.OnBlockRead)
	if doubtful {
		o = o.WithChecksumVerificationMode(options.OnTableAndBlockRead)
	}
	if dir != "" {
		o = o.WithValueLogFileSize(logSize).WithValueThreshold(longValue)
	}
	return o
}
