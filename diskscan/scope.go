package diskscan

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stagingName is the directory that a transfer keeps unfinished files in. It is never searched.
const stagingName = ".dfetch"

// IsStaging says whether a directory of that name is never searched, as it holds unfinished files of a transfer.
func IsStaging(name string) bool { return name == stagingName }

// ScopeConfig says what may be searched. It is not modified after OpenScope.
type ScopeConfig struct {
	Dest     string   // the destination, which need not exist; empty: none
	File     bool     // the destination is one file
	Siblings bool     // search what lies beside the destination, on its file system
	Roots    []string // directories that the user names, searched as they are
	// Trusted: the recipe's author may learn what the disk holds. Otherwise siblings are searched in the public
	// scope only, and IndexRoots is ignored.
	Trusted bool
	// IndexRoots are directories that index hits may be read from, but that are not searched.
	IndexRoots []string
	// Held has files that lost their names since the search began; nil: none.
	Held Held
	// Timeout is how long a directory may take to open; zero or negative is 5 seconds.
	Timeout time.Duration
	// MaxDirs bounds the directories that are listed; zero or negative is 1<<20.
	MaxDirs int
}

// Errors of operations on files and directories. None of them says anything about another file.
var (
	ErrOutside    = errors.New("outside the search scope")
	ErrNotRegular = errors.New("not a regular file")
	ErrSeen       = errors.New("directory was listed before")
	ErrTooMany    = errors.New("too many directories")
)

// Dir names a directory of a scope. What is made in the destination after the search began is in none: the transfer
// makes it.
type Dir struct {
	Root int    // its root, a number that the scope gave
	Path string // slash path below the root; "" for the root itself
	Ino  uint64 // as the listing above it showed it; 0: unknown
}

// File names a regular file as a listing showed it.
type File struct {
	Dir   Dir
	Name  string
	Size  int64
	MTime int64 // nanoseconds since 1970
	Ino   uint64
}

// Refusal is a directory that can't be searched, and why.
type Refusal struct {
	Path string
	Err  error
}

// root is an open directory below which files are found.
type root struct {
	path   string // absolute, without symlinks
	fd     int
	dev    uint64
	ino    uint64
	fs     uint64 // identity of the file system across restarts, as far as there is one
	public bool   // only what the world may read
	dest   bool   // the destination
	start  bool   // is searched; otherwise index hits alone are read from it
	began  int64  // of the search, nanoseconds since 1970: what was made in it later is left out; 0: nothing is
	except string // this name directly in it is not entered
	only   string // if not empty, this name directly in it is all there is
}

// Scope is what may be searched: open directories and rules. It is safe for concurrent use until Close.
type Scope struct {
	roots   []root
	refused []Refusal
	opener  opener
	held    Held
	maxDirs int
	private []string // directories that would be roots for a trusted recipe

	mu     sync.Mutex
	seen   map[seenDir]struct{}
	closed bool
}

// seenDir is a directory that was listed. A public listing does not replace a full one.
type seenDir struct {
	dev, ino uint64
	public   bool
}

// OpenScope opens the roots. What can't be opened, is on a file system that is never searched or
// does not answer in time is left out, see Refused. A scope without any root is not an error.
func OpenScope(ctx context.Context, cfg ScopeConfig) *Scope {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.MaxDirs <= 0 {
		cfg.MaxDirs = 1 << 20
	}
	s := &Scope{maxDirs: cfg.MaxDirs, held: cfg.Held, seen: map[seenDir]struct{}{}}
	if cfg.Dest != "" {
		s.addDest(ctx, &cfg)
	}
	s.addAll(ctx, cfg.Timeout, cfg.Roots, root{start: true})
	if cfg.Trusted {
		s.addAll(ctx, cfg.Timeout, cfg.IndexRoots, root{})
	} else {
		s.private = append(s.private, cfg.IndexRoots...)
	}
	s.openUp()
	return s
}

// isPrivate says whether a file would be read if the recipe was trusted, though it is not.
func (s *Scope) isPrivate(path string) bool { return withinAny(path, s.private) }

// Refused lists what was to be searched and can't be.
func (s *Scope) Refused() []Refusal { return s.refused }

// Starts are the directories that a search begins with: the destination, the user's, the siblings'.
func (s *Scope) Starts() []Dir {
	var dirs []Dir
	for i := range s.roots {
		if s.roots[i].start && !s.roots[i].public {
			dirs = append(dirs, Dir{Root: i})
		}
	}
	for i := range s.roots {
		if s.roots[i].start && s.roots[i].public {
			dirs = append(dirs, Dir{Root: i})
		}
	}
	return dirs
}

// Path is the absolute path of a directory.
func (s *Scope) Path(d Dir) string { return filepath.Join(s.roots[d.Root].path, d.Path) }

// FilePath is the absolute path of a file.
func (s *Scope) FilePath(f File) string { return filepath.Join(s.Path(f.Dir), f.Name) }

// Device is the number of the device that a directory lies on.
func (s *Scope) Device(d Dir) uint64 { return s.roots[d.Root].dev }

// Public says whether a directory is searched for what the world may read only.
func (s *Scope) Public(d Dir) bool { return s.roots[d.Root].public }

// InDest says whether a directory is in the destination. For a file as destination, that file alone is.
func (s *Scope) InDest(d Dir) bool { return s.roots[d.Root].dest }

// Close closes the roots. No operation may be under way. What the scope knows of the roots can be asked all the
// same: who puts an operation on a closed Disk says first where.
func (s *Scope) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for i := range s.roots {
		unix.Close(s.roots[i].fd)
	}
}

// skips says whether an entry of a directory is outside the scope by its name alone.
func (r *root) skips(dir, name string) bool {
	return r.leavesOut(dir, name) || r.public && isDotted(name)
}

// leavesOut is skips whoever is asked for.
func (r *root) leavesOut(dir, name string) bool {
	switch {
	case IsStaging(name):
		return true
	case dir == "" && name == r.except && name != "":
		return true
	}
	return dir == "" && r.only != "" && name != r.only
}

// isDotted says whether a name begins with a dot, by which programs hide their files.
func isDotted(name string) bool { return strings.HasPrefix(name, ".") }

// madeSince says whether what was made then was made since the search began. What seems to be from the future was made
// under another clock.
func (r *root) madeSince(then int64) bool {
	return r.began > 0 && then > r.began && then <= time.Now().UnixNano()
}

// publicFile and publicDir are the permission bits that the world must have.
const (
	publicFile = 0o004
	publicDir  = 0o005
)

// allows says whether what was opened may be read.
func (r *root) allows(st *unix.Stat_t) bool {
	switch {
	case st.Dev != r.dev:
		return false
	case !r.public:
		return true
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return st.Mode&publicDir == publicDir
	}
	return st.Mode&publicFile == publicFile
}

// openDir opens a directory of the scope.
func (s *Scope) openDir(d Dir, st *unix.Stat_t) (int, error) {
	return s.open(d, d.Path, dirFlags, st)
}

// openFile opens a regular file of the scope and looks at it.
func (s *Scope) openFile(f File, st *unix.Stat_t) (int, error) {
	fd, _, err := s.openVersion(f, st)
	return fd, err
}

// openVersion is openFile, but where another file has the name now, or none, one that is held is opened
// instead.
func (s *Scope) openVersion(f File, st *unix.Stat_t) (fd int, held bool, err error) {
	fd, err = s.open(f.Dir, join(f.Dir.Path, f.Name), fileFlags, st)
	if f.Ino != 0 && (err != nil || st.Ino != f.Ino) {
		if old, ok := s.openHeld(f, st); ok {
			if err == nil {
				unix.Close(fd)
			}
			return old, true, nil
		}
	}
	if err == nil && !isRegular(st) {
		unix.Close(fd)
		err = ErrNotRegular
	}
	if err != nil {
		return -1, false, err
	}
	return fd, false, nil
}

// open opens a path below a root if the scope's rules let it.
func (s *Scope) open(d Dir, rel string, flags int, st *unix.Stat_t) (int, error) {
	r := &s.roots[d.Root]
	if err := r.checkNames(rel); err != nil {
		return -1, err
	}
	if r.public {
		return s.openPublic(r, rel, flags, st)
	}
	fd, err := s.opener.open(r.fd, rel, flags)
	if err != nil {
		return -1, err
	}
	return fd, r.admit(fd, st)
}

// admit looks at what was opened; it closes what may not be read.
func (r *root) admit(fd int, st *unix.Stat_t) error {
	err := unix.Fstat(fd, st)
	if err == nil && !r.allows(st) {
		err = ErrOutside
	}
	if err != nil {
		unix.Close(fd)
	}
	return err
}

// checkNames applies the rules on names to all components of a path.
func (r *root) checkNames(rel string) error {
	dir := ""
	for rest := rel; rest != ""; {
		name, more, _ := strings.Cut(rest, "/")
		if name == ".." || r.skips(dir, name) {
			return ErrOutside
		}
		dir, rest = name, more
	}
	return nil
}

// openPublic opens component by component, since each directory on the way must be open to the world.
func (s *Scope) openPublic(r *root, rel string, flags int, st *unix.Stat_t) (int, error) {
	if rel == "" {
		fd, err := s.opener.open(r.fd, "", flags)
		if err != nil {
			return -1, err
		}
		return fd, unix.Fstat(fd, st)
	}
	dir, rest := r.fd, rel
	for {
		name, more, below := strings.Cut(rest, "/")
		want := flags
		if below {
			want = dirFlags
		}
		next, err := s.opener.open(dir, name, want)
		closeUnless(dir, r.fd)
		if err != nil {
			return -1, err
		}
		if err := r.admit(next, st); err != nil || !below {
			return next, err
		}
		dir, rest = next, more
	}
}

// enter notes that a directory is listed. The error is ErrSeen if it was before.
func (s *Scope) enter(r *root, st *unix.Stat_t) error {
	if r.only != "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := seenDir{st.Dev, st.Ino, r.public}
	_, full := s.seen[seenDir{st.Dev, st.Ino, false}]
	if _, same := s.seen[key]; same || full {
		return ErrSeen
	}
	if len(s.seen) >= s.maxDirs {
		return ErrTooMany
	}
	s.seen[key] = struct{}{}
	return nil
}

// locate finds the root that a file is to be opened through: one without restrictions if there is one, the destination before others
// on its device, and else the deepest, since what lies on a mount can be opened through a root on that mount alone.
func (s *Scope) locate(abs string) (File, bool) {
	best := -1
	for i := range s.roots {
		r := &s.roots[i]
		if !within(abs, r.path) || r.checkNames(strings.TrimPrefix(abs[len(r.path):], "/")) != nil {
			continue
		}
		if best < 0 || r.goesBefore(&s.roots[best]) {
			best = i
		}
	}
	if best < 0 {
		return File{}, false
	}
	rel := strings.TrimPrefix(abs[len(s.roots[best].path):], "/")
	dir, name := filepath.Split(rel)
	return File{Dir: Dir{Root: best, Path: strings.TrimSuffix(dir, "/")}, Name: name}, name != ""
}

// goesBefore says whether a file that lies in both roots is to be opened through this one.
func (r *root) goesBefore(other *root) bool {
	switch {
	case r.public != other.public:
		return other.public
	case r.dev == other.dev && r.dest != other.dest:
		return r.dest
	}
	return len(r.path) > len(other.path)
}

// locateDir finds the root that a directory is to be opened through: it is one, or lies below it.
func (s *Scope) locateDir(abs string) (Dir, bool) {
	for i := range s.roots {
		if s.roots[i].path == abs {
			return Dir{Root: i}, true
		}
	}
	f, ok := s.locate(abs)
	return Dir{Root: f.Dir.Root, Path: join(f.Dir.Path, f.Name)}, ok
}

// within says whether abs lies below the directory dir.
func within(abs, dir string) bool {
	if dir == "/" {
		return strings.HasPrefix(abs, "/")
	}
	return strings.HasPrefix(abs, dir) && strings.HasPrefix(abs[len(dir):], "/")
}
