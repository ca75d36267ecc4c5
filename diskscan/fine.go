package diskscan

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// MaxStretch bounds what Fine reads at once.
const MaxStretch = 8 << 20

// Fine cuts a stretch of a file at fine grain, as recipe.Fine does, and returns what it read as well. The stretch ends
// with the file if that is shorter. It is an error if it is longer than MaxStretch.
func (d *Disk) Fine(ctx context.Context, f File, off, n int64) (list []recipe.FineEntry, data []byte, err error) {
	if off < 0 || n < 0 || n > MaxStretch {
		return nil, nil, fmt.Errorf("stretch of %d bytes from %d: at most %d are cut at once", n, off, MaxStretch)
	}
	err = d.run(ctx, d.scope.Device(f.Dir), func(o *operation) error {
		bytes := make([]byte, n)
		read, err := d.readStretch(o, f, off, bytes)
		if err != nil {
			return err
		}
		got := recipe.Fine(d.cfg.Hash, nil, bytes[:read])
		return o.tell(func() { list, data = got, bytes[:read] })
	})
	return list, data, err
}

func (d *Disk) readStretch(o *operation, f File, off int64, data []byte) (int, error) {
	var st unix.Stat_t
	fd, err := d.scope.openFile(f, &st)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	data = data[:max(0, min(int64(len(data)), st.Size-off))]
	n, err := d.cfg.Reader.ReadAt(fd, data, off)
	return n, errors.Join(err, o.step())
}

// Piece is a stretch of a file.
type Piece struct {
	Offset int64
	To     []byte // where its bytes go
}

// ReadPieces reads pieces of a file, all or none. The bytes are not checked: the file may have changed.
func (d *Disk) ReadPieces(ctx context.Context, f File, pieces []Piece) error {
	return d.run(ctx, d.scope.Device(f.Dir), func(o *operation) error {
		var st unix.Stat_t
		fd, err := d.scope.openFile(f, &st)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		// An operation that is left alone must not write into the caller's memory any more.
		var own []byte
		for _, p := range pieces {
			at := len(own)
			own = append(own, make([]byte, len(p.To))...)
			if _, err := d.cfg.Reader.ReadAt(fd, own[at:], p.Offset); err != nil {
				return fmt.Errorf("%d bytes from %d: %w", len(p.To), p.Offset, err)
			}
			if err := o.step(); err != nil {
				return err
			}
		}
		return o.tell(func() {
			for _, p := range pieces {
				own = own[copy(p.To, own):]
			}
		})
	})
}
