package diskscan

import "golang.org/x/sys/unix"

// Held are files that lost their names to others but can still be read. It is called by several goroutines.
type Held interface {
	// HeldIn lists the held files that were in a directory, and the directories in it that are gone and had more.
	HeldIn(dev, ino uint64) ([]FileInfo, []HeldDir)
	// OpenHeld opens one for reading. The caller closes the descriptor.
	OpenHeld(dev, ino uint64) (fd int, ok bool)
}

// HeldDir is a directory that lost its name, with held files in it at some depth.
type HeldDir struct {
	Name string
	Ino  uint64
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

// addHeld adds to the listing of a directory what was in it when the transfer began. It says whether that was anything.
func (s *Scope) addHeld(res *StatResult, dir Dir, ino uint64) bool {
	r := &s.roots[dir.Root]
	if s.held == nil || r.only != "" {
		return false
	}
	files, dirs := s.held.HeldIn(r.dev, ino)
	if r.public {
		dirs = nil // whether the world could read them can't be seen any more
	}
	if len(files)+len(dirs) == 0 {
		return false
	}
	listed := res.inodes()
	for _, f := range files {
		if !listed[f.Ino] && !r.skips(dir.Path, f.Name) {
			res.Files = append(res.Files, f)
		}
	}
	for _, h := range dirs {
		if !listed[h.Ino] && !r.skips(dir.Path, h.Name) {
			res.Dirs = append(res.Dirs, Dir{Root: dir.Root, Path: join(dir.Path, h.Name), Ino: h.Ino})
		}
	}
	return true
}

// inodes are those of what was listed.
func (r *StatResult) inodes() map[uint64]bool {
	m := make(map[uint64]bool, len(r.Files)+len(r.Dirs))
	for _, f := range r.Files {
		m[f.Ino] = true
	}
	for _, d := range r.Dirs {
		m[d.Ino] = true
	}
	return m
}

// addGone lists a directory that was gone before it was listed, by what is held of it; nothing in a public root.
func (s *Scope) addGone(res *StatResult, dir Dir) bool {
	r := &s.roots[dir.Root]
	if s.held == nil || dir.Ino == 0 || r.public {
		return false
	}
	return s.enter(r, &unix.Stat_t{Dev: r.dev, Ino: dir.Ino}) == nil && s.addHeld(res, dir, dir.Ino)
}
