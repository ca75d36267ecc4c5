package diskscan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// CopyResult says how the bytes of a range were brought over.
type CopyResult struct {
	Cloned  int64 // shared with the source on the disk
	Copied  int64 // by the kernel
	Written int64 // read and written
}

// Open opens a regular file of the scope for reading, for Copy. The caller closes it.
func (d *Disk) Open(ctx context.Context, f File) (*os.File, error) {
	var file *os.File
	err := d.run(ctx, d.scope.Device(f.Dir), func(o *operation) error {
		var st unix.Stat_t
		fd, err := d.scope.openFile(f, &st)
		if err != nil {
			return err
		}
		opened := os.NewFile(uintptr(fd), d.scope.FilePath(f))
		err = o.tell(func() { file = opened })
		if file != opened {
			opened.Close()
		}
		return err
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		d.countError(ctx, err)
		return nil, err
	}
	return file, nil
}

// Copy brings n bytes of one open file into another, in the cheapest way that works: the whole range is cloned if
// it is fit for that, else the kernel copies, else they are read and written. What a way did not do, the
// next one goes on with. The bytes are not verified: the caller hashes the destination afterwards. A source that is
// shorter is io.ErrUnexpectedEOF.
func Copy(ctx context.Context, dst, src *os.File, dstOff, srcOff, n int64) (CopyResult, error) {
	if n <= 0 {
		return CopyResult{}, nil
	}
	if clone(dst, src, dstOff, srcOff, n) {
		return CopyResult{Cloned: n}, nil
	}
	var res CopyResult
	var err error
	if res.Copied, err = copyInKernel(ctx, dst, src, dstOff, srcOff, n); err == nil && res.Copied < n {
		res.Written, err = copyByHand(ctx, dst, src, dstOff+res.Copied, srcOff+res.Copied, n-res.Copied)
	}
	if err != nil {
		err = fmt.Errorf("copy from %s: %w", src.Name(), err)
	}
	return res, err
}

// clone shares a range. File systems want it aligned to their blocks, and refuse otherwise.
func clone(dst, src *os.File, dstOff, srcOff, n int64) bool {
	r := unix.FileCloneRange{
		Src_fd: int64(src.Fd()), Src_offset: uint64(srcOff), Src_length: uint64(n), Dest_offset: uint64(dstOff),
	}
	return unix.IoctlFileCloneRange(int(dst.Fd()), &r) == nil
}

// copyStep bounds what one system call copies, so that a context is heard.
const copyStep = 8 << 20

// copyInKernel copies until the kernel won't; that alone is no error.
func copyInKernel(ctx context.Context, dst, src *os.File, dstOff, srcOff, n int64) (done int64, err error) {
	for done < n {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		from, to := srcOff+done, dstOff+done
		got, err := unix.CopyFileRange(int(src.Fd()), &from, int(dst.Fd()), &to, int(min(n-done, copyStep)), 0)
		switch {
		case err == unix.EINTR:
		case isFull(err):
			return done, err
		case err != nil || got <= 0:
			return done, nil
		default:
			done += int64(got)
		}
	}
	return done, nil
}

// isFull tells errors of the destination's file system that another way of writing meets too.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

var copyBuffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// copyByHand reads and writes.
func copyByHand(ctx context.Context, dst, src *os.File, dstOff, srcOff, n int64) (done int64, err error) {
	buf := copyBuffers.Get().(*[256 << 10]byte)
	defer copyBuffers.Put(buf)
	for done < n {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		part := buf[:min(n-done, int64(len(buf)))]
		if _, err := src.ReadAt(part, srcOff+done); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
		if _, err := dst.WriteAt(part, dstOff+done); err != nil {
			return done, err
		}
		done += int64(len(part))
	}
	return done, nil
}
