package recipe

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ErrChanged says that a file changed while it was read.
var ErrChanged = errors.New("file changed while it was read")

// fileSource reads an open file.
type fileSource struct {
	fd     int
	sparse bool // fewer blocks than its size needs: worth asking for holes
}

// ReadAt reads as io.ReaderAt says.
func (f *fileSource) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(f.fd, p[done:], off+int64(done))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return done, err
		case n == 0:
			return done, io.EOF
		}
		done += max(n, 0)
	}
	return done, nil
}

// NextData asks the file system where data follow.
func (f *fileSource) NextData(off int64) (int64, error) {
	if !f.sparse {
		return off, nil
	}
	d, err := unix.Seek(f.fd, off, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, io.EOF
	}
	return d, err
}

// content reads files: it is what one worker of a build owns.
type content struct {
	b     *build
	small *elements // for files that one goroutine reads
	src   fileSource
}

// run completes the entries of a batch.
func (c *content) run(ctx context.Context, bt *batch) error {
	for i := range bt.steps {
		s := &bt.steps[i]
		if s.kind != stepFile {
			continue
		}
		if err := c.complete(ctx, s); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s.err = err
		}
		s.dir.release()
	}
	return nil
}

// complete gives a file's entry its content: what the last recipe says if the file is unchanged,
// otherwise what is read. A file that changes meanwhile is read twice, then given up.
func (c *content) complete(ctx context.Context, s *step) error {
	if s.old != nil && c.reuse(ctx, s) == nil {
		c.b.tally.reuse(s.entry.Size)
		return nil
	}
	err := c.read(ctx, s)
	if errors.Is(err, ErrChanged) {
		err = c.read(ctx, s)
	}
	return err
}

// reuse copies the list nodes that the last recipe has for the file.
func (c *content) reuse(ctx context.Context, s *step) error {
	data, err := c.copyNodes(ctx, s.old.Content)
	if err != nil {
		return err
	}
	s.entry.Inline, s.entry.Content = s.old.Inline, s.old.Content
	s.data = data + int64(len(s.old.Inline))
	if c.b.meta.mask < MaskFull {
		return nil
	}
	fd, err := openFile(s)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	s.entry.Xattrs, err = c.b.meta.xattrsOf(fd)
	return err
}

// copyNodes returns the bytes of data, without holes, that a list covers.
func (c *content) copyNodes(ctx context.Context, l List) (data int64, err error) {
	if l.Level == 0 {
		for _, ref := range l.Refs {
			if !ref.Hole {
				data += ref.Bytes
			}
		}
		return data, nil
	}
	for _, ref := range l.Refs {
		raw, err := c.b.cfg.Reuse.Node(ctx, KindList, ref.ID)
		if err != nil {
			return 0, err
		}
		below, err := DecodeList(raw)
		if err != nil {
			return 0, err
		}
		if below.Level != l.Level-1 {
			return 0, bad("", "list node %s is of level %d", ref.ID, below.Level)
		}
		if _, err := c.b.store.put(KindList, raw); err != nil {
			return 0, err
		}
		n, err := c.copyNodes(ctx, below)
		if err != nil {
			return 0, err
		}
		data += n
	}
	return data, nil
}

// openFile opens a file without following a symlink or waiting at a fifo.
func openFile(s *step) (int, error) {
	fd, err := openat(s.dir.fd, s.open, unix.O_NONBLOCK)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return -1, s.fail("open", ErrChanged)
	}
	return fd, s.fail("open", err)
}

func (c *content) read(ctx context.Context, s *step) error {
	fd, err := openFile(s)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return s.fail("stat", err)
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG {
		return s.fail("read", ErrChanged)
	}
	s.entry = c.b.meta.entry(s.entry.Name, &before)
	c.src = fileSource{fd: fd, sparse: before.Blocks*512 < before.Size}
	readErr := c.fill(ctx, s)
	if s.entry.Xattrs, err = c.b.meta.xattrsOf(fd); err != nil {
		return s.fail("read", err)
	}
	if c.b.afterRead != nil {
		c.b.afterRead(s.path())
	}
	if err := unix.Fstat(fd, &after); err != nil {
		return s.fail("stat", err)
	}
	if before.Size != after.Size || before.Mtim != after.Mtim || errors.Is(readErr, io.ErrUnexpectedEOF) {
		return s.fail("read", ErrChanged)
	}
	return s.fail("read", readErr)
}

// fill reads the open file into its entry.
func (c *content) fill(ctx context.Context, s *step) (err error) {
	e := &s.entry
	e.Inline, e.Content, s.data = nil, List{}, 0
	if e.Size <= MaxInline {
		return c.inline(s)
	}
	list := NewListBuilder(c.b.store.put)
	emit := func(ref Ref) error {
		if !ref.Hole {
			s.data += ref.Bytes
		}
		c.b.tally.read(ref.Bytes)
		return list.Add(ref)
	}
	if e.Size < 2*defaultSegment {
		err = c.small.cutAll(ctx, &c.src, e.Size, emit)
	} else {
		err = c.b.cutLarge(ctx, &c.src, e.Size, emit)
	}
	if err != nil {
		return err
	}
	e.Content, err = list.Finish()
	return err
}

func (c *content) inline(s *step) error {
	if s.entry.Size == 0 {
		return nil
	}
	s.entry.Inline = make([]byte, s.entry.Size)
	s.data = s.entry.Size
	c.b.tally.read(s.data)
	_, err := c.src.ReadAt(s.entry.Inline, 0)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// cutLarge cuts one large file at a time: its segments keep all processors busy.
func (b *build) cutLarge(ctx context.Context, src *fileSource, size int64, emit func(Ref) error) error {
	select {
	case b.large <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.large }()
	cfg := CutConfig{Source: src, Size: size, Profile: b.cfg.Profile, Hash: b.cfg.Hash, Workers: b.cfg.Workers}
	return Cut(ctx, cfg, emit)
}

// fail names the file that an error is about; nil stays nil.
func (s *step) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: s.path(), Err: err}
}

// openat opens a name of a directory for reading, itself and not what a symlink points to.
func openat(dirfd int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|flags, 0)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
