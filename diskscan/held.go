package diskscan

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Held are files that lost their names to others but can still be read. It is called by several goroutines.
type Held interface {
	// HeldIn lists the held files that were in a directory.
	HeldIn(dev, ino uint64) []FileInfo
	// OpenHeld opens one for reading. The caller closes the descriptor.
	OpenHeld(dev, ino uint64) (fd int, ok bool)
}

// openHeld opens the file that a listing showed, if it is held. The scope allowed its directory when that
// was listed; what a file may be asked by its mode still holds.
func (s *Scope) openHeld(f File, st *unix.Stat_t) (int, bool) {
	if s.held == nil {
		return -1, false
	}
	r := &s.roots[f.Dir.Root]
	fd, ok := s.held.OpenHeld(r.dev, f.Ino)
	if !ok {
		return -1, false
	}
	var found unix.Stat_t // st stays as it is if this is not the file
	if err := r.admit(fd, &found); err != nil {
		return -1, false
	}
	*st = found
	return fd, true
}

// addHeld adds to a listing the files that were in the directory when the transfer began.
func (s *Scope) addHeld(res *StatResult, r *root, dir *unix.Stat_t) {
	if s.held == nil || r.only != "" {
		return
	}
	for _, f := range s.held.HeldIn(dir.Dev, dir.Ino) {
		listed := slices.ContainsFunc(res.Files, func(o FileInfo) bool { return o.Ino == f.Ino })
		if !listed {
			res.Files = append(res.Files, f)
		}
	}
}
