package tree

import "golang.org/x/sys/unix"

// room is about how much an earlier run has allocated already of what an entry of so many bytes will occupy. An entry that was
// planned has none.
func (j *journal) room(number uint64, size int64) int64 {
	j.mu.Lock()
	_, staged := j.names[number]
	j.mu.Unlock()
	var st unix.Stat_t
	if !staged || statAt(j.stage.fd, stagedName(number), &st) != nil || !isReusable(&st) {
		return 0
	}
	return min(st.Blocks*blockUnit, size)
}

// isReusable says whether a staged file of an earlier run may be written to.
func isReusable(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 }

// blockUnit is the unit of st_blocks.
const blockUnit = 512

// claim takes what an earlier run left for an entry; found says whether a staged file exists, state is
// nil if nothing of it is to be trusted.
func (j *journal) claim(number uint64) (state *stagedState, found bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, found = j.names[number]
	state = j.loaded[number]
	delete(j.names, number)
	delete(j.loaded, number)
	return state, found
}

// resume takes over what an earlier run staged for f. It tells whether that is all of it. Leftovers
// that are of no use are removed.
func (j *journal) resume(f *File) bool {
	stage := j.stage
	state, found := j.claim(f.number)
	if m := f.dir.mount; m != nil {
		stage = m.open()
		state, found = nil, stage != nil && isFileAt(stage.fd, stagedName(f.number))
	}
	if !found {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fd, err := j.reopen(f, stage.fd, state)
	if err != nil {
		_ = removeAll(stage.fd, stagedName(f.number)) // if it stays, making the file anew says so
		return false
	}
	defer unix.Close(fd)
	f.staged, f.earlier = true, true
	for _, e := range dataRanges(fd, f.size) {
		for _, part := range f.trusted.without(e) {
			f.doubtful.add(part)
		}
	}
	f.t.count.resumed.Add(uint64(f.trusted.bytes()))
	f.ended = f.left == 0
	return f.ended
}

// reopen opens a staged file of an earlier run and takes from its state what may be trusted: all that
// the journal says if inode and size are as they were, else nothing. One that has a name elsewhere is somebody's
// copy, which may not be written to.
func (j *journal) reopen(f *File, dir int, state *stagedState) (int, error) {
	name := stagedName(f.number)
	var st unix.Stat_t
	if err := statAt(dir, name, &st); err != nil {
		return -1, err
	}
	if !isReusable(&st) {
		return -1, unix.EINVAL
	}
	if st.Mode&0o600 != 0o600 {
		if err := chmodAt(dir, name, 0o600); err != nil {
			return -1, err
		}
	}
	fd, err := openAt(dir, name, unix.O_RDWR, 0)
	if err != nil {
		return -1, err
	}
	f.ino = st.Ino
	if state != nil && state.ino == st.Ino && state.size == f.size && st.Size == f.size {
		j.trust(f, state)
	} else if err := unix.Ftruncate(fd, f.size); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (j *journal) trust(f *File, state *stagedState) {
	f.trusted = state.believed()
	f.done = append(extents(nil), f.trusted...)
	f.left -= f.trusted.bytes()
	f.inLog = true
	j.mu.Lock()
	j.live[f.number] = f
	j.mu.Unlock()
}
