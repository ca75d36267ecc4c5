package tree

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// folding says which names a file system takes for one.
type folding struct {
	letters bool // upper and lower case
	forms   bool // composed and decomposed Unicode
}

// probeFolding tries it in an empty directory of the destination's file system.
func probeFolding(fd int) *folding {
	return &folding{
		letters: sameName(fd, "new-probe-a", "new-probe-A"),
		forms:   sameName(fd, "new-probe-\u00e9", "new-probe-e\u0301"),
	}
}

func sameName(fd int, a, b string) bool {
	h, err := openAt(fd, a, unix.O_RDONLY|unix.O_CREAT, 0o600)
	if err != nil {
		return false
	}
	unix.Close(h)
	var st unix.Stat_t
	same := statAt(fd, b, &st) == nil
	_ = unix.Unlinkat(fd, a, 0) // goes with the staging directory at the latest
	return same
}

// key is equal for names that the file system takes for one.
func (f *folding) key(name string) string {
	if f.letters {
		name = cases.Fold().String(name)
	}
	if f.letters || f.forms {
		name = norm.NFC.String(name)
	}
	return name
}

func (f *folding) folds() bool { return f.letters || f.forms }

// check refuses a name that the file system takes for an earlier one of the same directory. Names are
// remembered only where the file system folds.
func (f *folding) check(dir *dirNode, name string) error {
	if !f.folds() {
		return nil
	}
	key := f.key(name)
	if first, ok := dir.names[key]; ok {
		return fmt.Errorf("this file system can't keep its name apart from %q", first)
	}
	if dir.names == nil {
		dir.names = make(map[string]string)
	}
	dir.names[strings.Clone(key)] = strings.Clone(name)
	return nil
}
