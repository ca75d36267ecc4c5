package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

const (
	blockBytes      = 1 << 20
	syncEvery       = 8 // blocks
	defaultFileSize = 256 << 20
)

// errEnough ends a disk load that wrote all it may.
var errEnough = errors.New("load: byte limit reached")

// Disk is a load of bulk writes.
type Disk struct {
	Cycle
	// Dir is where it writes, to one file without a name: nothing is left behind,
	// even by a crash.
	Dir string
	// FileBytes is the file's size; writing starts over at its end. It is what
	// the load takes of the disk's space. Zero means 256 MiB.
	FileBytes int64
	// MaxBytes ends the load when so much was written. Zero means no such limit.
	MaxBytes int64
	// Seed makes the bytes, which don't compress.
	Seed uint64
}

// DiskReport is what a disk load did.
type DiskReport struct {
	Bytes int64
	Busy  time.Duration
	Took  time.Duration
}

// Run writes until the first of the limits or until ctx ends, neither of which is
// an error. Every 8 MiB are synced to the disk.
func (d Disk) Run(ctx context.Context) (report DiskReport, err error) {
	if err := d.validate(); err != nil {
		return report, err
	}
	f, err := anonymous(d.Dir)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := writer{file: f, limit: d.MaxBytes, size: d.FileBytes, block: noise(d.Seed)}
	if w.size == 0 {
		w.size = defaultFileSize
	}
	start := time.Now()
	report.Busy, err = d.Cycle.withDefaults().run(ctx, w.piece)
	if errors.Is(err, errEnough) {
		err = nil
	}
	report.Bytes, report.Took = w.written, time.Since(start)
	return report, err
}

func (d Disk) validate() error {
	if d.FileBytes < 0 || d.MaxBytes < 0 {
		return fmt.Errorf("load: disk sizes %d, %d are negative", d.FileBytes, d.MaxBytes)
	}
	return d.Cycle.Validate()
}

// anonymous makes a file without a name.
func anonymous(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".load-*")
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("load: %w", err), f.Close())
	}
	return f, nil
}

func noise(seed uint64) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, blockBytes)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

type writer struct {
	file    *os.File
	block   []byte
	size    int64
	limit   int64
	written int64
	at      int64
	blocks  int
}

// piece writes one block, less at the file's end and at the limit.
func (w *writer) piece() error {
	n := min(int64(len(w.block)), w.size-w.at)
	if w.limit > 0 {
		n = min(n, w.limit-w.written)
	}
	if _, err := w.file.WriteAt(w.block[:n], w.at); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	w.written += n
	w.at = (w.at + n) % w.size
	w.blocks++
	enough := w.limit > 0 && w.written >= w.limit
	if enough || w.blocks%syncEvery == 0 {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	if enough {
		return errEnough
	}
	return nil
}
