package diskbench

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dfetch/diskscan"
	"dfetch/eval/dataset"
	"dfetch/eval/result"
)

// hash cuts and hashes a cached file, as often at the same time as there are processors.
func (b *Bench) hash(ctx context.Context, j *job, r *result.Result) error {
	set, err := b.Store.Source(ctx, j.Scenario.Data, j.Size)
	if err != nil {
		return err
	}
	if err := dataset.Cache(set.Dir, true); err != nil {
		return err
	}
	disk, files, done, err := openFolder(ctx, set.Dir, diskscan.Config{})
	if err != nil {
		return err
	}
	defer done()
	workers := runtime.NumCPU()
	cpu, start := processorTime(), time.Now()
	var group errgroup.Group
	for range workers {
		group.Go(func() error { return hashFile(ctx, disk, files[0], nil, nil) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.Seconds = time.Since(start).Seconds()
	r.Receiver.CPU = (processorTime() - cpu).Seconds()
	r.Bytes, r.Files = int64(workers)*set.Bytes, set.Files
	r.Figures["MB-a-cpu-s"] = float64(r.Bytes) / 1e6 / r.Receiver.CPU
	return nil
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// openFolder opens a folder for searching, without the folders in it, and lists its files, one at least. done closes it.
func openFolder(ctx context.Context, dir string, cfg diskscan.Config) (_ *diskscan.Disk, files []diskscan.File, done func(), err error) {
	cfg.Scope = diskscan.OpenScope(ctx, diskscan.ScopeConfig{Roots: []string{dir}})
	disk, err := diskscan.New(cfg)
	if err != nil {
		cfg.Scope.Close()
		return nil, nil, nil, err
	}
	done = func() {
		disk.Close()
		cfg.Scope.Close()
	}
	for _, start := range cfg.Scope.Starts() {
		listing, err := disk.Stat(ctx, start, 0)
		if err != nil {
			done()
			return nil, nil, nil, err
		}
		for _, f := range listing.Files {
			files = append(files, listing.File(f))
		}
	}
	if len(files) == 0 {
		done()
		return nil, nil, nil, fmt.Errorf("%s: %w", dir, os.ErrNotExist)
	}
	return disk, files, done, nil
}

// hashFile hashes a whole file, slice by slice.
func hashFile(ctx context.Context, disk *diskscan.Disk, f diskscan.File, want diskscan.Want, sink diskscan.Sink) error {
	var at diskscan.HashState
	for {
		res, err := disk.Hash(ctx, f, at, want, sink)
		if err != nil || res.Done {
			return err
		}
		at = res.Next
	}
}
