package tree

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// pieceBytes is how much one worker reads at a time.
const pieceBytes = 1 << 20

// checkedFile is a file whose pieces are read by several workers.
type checkedFile struct {
	fd      int
	path    string
	users   atomic.Int32
	differs atomic.Bool // reported once
}

func (f *checkedFile) done() {
	if f.users.Add(-1) == 0 {
		unix.Close(f.fd)
	}
}

// piece is a run of neighbouring chunks, or one hole, or a whole file that lies in the recipe.
type piece struct {
	file   *checkedFile
	off    int64
	len    int64
	refs   []recipe.Ref
	hole   bool
	inline []byte
}

// file compares a regular file: metadata at once, content by the workers.
func (v *verifier) file(ctx context.Context, dfd int, name string, st *unix.Stat_t, it recipe.Item) error {
	v.meta(xattrTarget{fd: dfd, name: name}, st, it)
	v.noteInode(st, it.Path)
	e := it.Entry
	if st.Size != e.Size {
		v.differ(it.Path, "size", "size is %d, want %d", st.Size, e.Size)
		return nil
	}
	if e.Size == 0 {
		return nil
	}
	fd, err := openAt(dfd, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		v.differ(it.Path, "unreadable", "can't be opened: %v", err)
		return nil
	}
	f := &checkedFile{fd: fd, path: it.Path}
	f.users.Add(1)
	defer f.done()
	if len(e.Inline) > 0 {
		return v.send(ctx, &piece{file: f, len: e.Size, inline: slices.Clone(e.Inline)})
	}
	return v.sendChunks(ctx, f, e)
}

// noteInode remembers a file that has several names, and reports one that should be separate.
func (v *verifier) noteInode(st *unix.Stat_t, path string) {
	if v.Root.Mask < recipe.MaskUnix || st.Nlink < 2 {
		return
	}
	key := Inode{st.Dev, st.Ino}
	if first, ok := v.inodes[key]; ok {
		v.differ(path, "hardlink", "is the same file as %q and should not be", first)
	} else if len(v.inodes) < maxInodes {
		v.inodes[key] = path
	}
}

func (v *verifier) send(ctx context.Context, p *piece) error {
	p.file.users.Add(1)
	select {
	case v.work <- p:
		return nil
	case <-ctx.Done():
		p.file.done()
		return context.Cause(ctx)
	}
}

// sendChunks cuts a file's chunk list into pieces.
func (v *verifier) sendChunks(ctx context.Context, f *checkedFile, e *recipe.Entry) error {
	p := &piece{file: f}
	flush := func() error {
		if p.len == 0 {
			return nil
		}
		full := p
		p = &piece{file: f, off: full.off + full.len}
		return v.send(ctx, full)
	}
	err := recipe.Chunks(ctx, v.Nodes, e, func(off int64, r recipe.Ref) error {
		if r.Hole || p.len+r.Bytes > pieceBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		p.off = off - p.len
		p.len += r.Bytes
		if r.Hole {
			p.hole = true
			return flush()
		}
		p.refs = append(p.refs, r)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

func (v *verifier) readAll(ctx context.Context) error {
	buf := make([]byte, pieceBytes)
	for p := range v.work {
		if ctx.Err() == nil {
			v.bytes.Add(uint64(p.len))
			buf = v.read(p, buf)
		}
		p.file.done()
	}
	return ctx.Err()
}

// read compares one piece. The buffer comes back, grown if a chunk needed it.
func (v *verifier) read(p *piece, buf []byte) []byte {
	switch {
	case p.hole:
		v.readHole(p, buf)
		return buf
	case int64(len(buf)) < p.len:
		buf = make([]byte, p.len)
	}
	data := buf[:p.len]
	if err := preadFull(p.file.fd, data, p.off); err != nil {
		v.content(p.file, "unreadable", "can't be read at %d: %v", p.off, err)
		return buf
	}
	if p.inline != nil && !bytes.Equal(data, p.inline) {
		v.content(p.file, "content", "content differs")
	}
	off := p.off
	for _, r := range p.refs {
		if v.Root.Hash.Chunk(data[:r.Bytes]) != r.ID {
			v.content(p.file, "content", "content differs in the %d bytes at %d", r.Bytes, off)
		}
		data, off = data[r.Bytes:], off+r.Bytes
	}
	return buf
}

// readHole checks that a range is zeros; what the file system keeps as a hole is not read.
func (v *verifier) readHole(p *piece, buf []byte) {
	for off, end := p.off, p.off+p.len; off < end; {
		data, err := unix.Seek(p.file.fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO || err == nil && data >= end {
			return
		}
		if err == nil {
			off = data
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if err := preadFull(p.file.fd, b, off); err != nil {
			v.content(p.file, "unreadable", "can't be read at %d: %v", off, err)
			return
		}
		if bytes.Count(b, []byte{0}) != len(b) {
			v.content(p.file, "content", "content differs in the %d bytes at %d: zeros expected", len(b), off)
			return
		}
		off += int64(len(b))
	}
}

// content reports a file's content once.
func (v *verifier) content(f *checkedFile, what, format string, args ...any) {
	if !f.differs.Swap(true) {
		v.differ(f.path, what, format, args...)
	}
}
