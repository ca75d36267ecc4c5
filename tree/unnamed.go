package tree

import (
	"golang.org/x/sys/unix"
)

// Without fsync, a small file in a directory that this run has made needs no name in staging: it is made
// without one and gets its live name when it is complete. That spares a name in one directory and a rename
// out of it. If this run is killed, the kernel removes what has no name.

// probeUnnamed tells whether files can be made without a name on a staging directory's file system, and
// be given one by this process.
func probeUnnamed(stage *staging) bool {
	const probe = "new-probe" // removed by the next run if this one is killed here
	fd, err := makeUnnamed(stage.fd, 0o600)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Linkat(fd, "", stage.fd, probe, unix.AT_EMPTY_PATH) != nil {
		return false
	}
	return unix.Unlinkat(stage.fd, probe, 0) == nil
}

// makeUnnamed makes a file with this mode, as far as the umask and the directory's ACL let it.
func makeUnnamed(dir int, mode uint32) (int, error) {
	return openAt(dir, ".", unix.O_RDWR|unix.O_TMPFILE, mode)
}

// mayBeUnnamed tells whether the file needs no name in staging.
func (f *File) mayBeUnnamed() bool { return f.t.unnamed && f.dir.fresh && f.dir.mount == nil }

// writeUnnamed makes a file that arrived in one piece and gives it its live name. Nobody else can open it before, so
// it has its mode from the start: mostly that spares changing it.
func (f *File) writeUnnamed(data []byte) error {
	dfd, err := f.t.acquireDir(f.dir)
	if err != nil {
		return wrap("open directory of", f.Path(), err)
	}
	defer f.t.releaseDir(f.dir)
	fd, err := makeUnnamed(dfd, f.meta.mode&0o777)
	if err != nil {
		return wrap("make", f.Path(), err)
	}
	defer unix.Close(fd)
	if err = pwriteAll(fd, data, 0); err == nil {
		f.t.cfg.fault("staged")
		err = f.prepare(fd, statOf(fd), false)
	}
	if err != nil {
		return wrap("make", f.Path(), err)
	}
	if err = unix.Linkat(fd, "", dfd, f.name, unix.AT_EMPTY_PATH); err == nil {
		return f.committed()
	}
	// Somebody else took the name meanwhile, and a rename replaces what it is.
	if err = unix.Linkat(fd, "", f.t.stage.fd, stagedName(f.number), unix.AT_EMPTY_PATH); err != nil {
		return wrap("name", f.Path(), err)
	}
	return f.commit()
}

// statOf is what an open file is; nil if that can't be told.
func statOf(fd int) *unix.Stat_t {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return nil
	}
	return &st
}
