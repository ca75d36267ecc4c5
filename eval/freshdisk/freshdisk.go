// Package freshdisk gives a run an empty ext4 file system of its own.
//
// The speed at which ext4 makes files depends on what was deleted in the minutes before: it does not use such an inode
// again soon, and looks for others one by one. Two runs of the same program differ by half for that alone, and which of
// them pays depends on their order. A fresh file system has no such past.
//
//  1. Make lays an image beside the runs' folders, with its tables written out, and mounts it by way of a loop device.
//  2. Close unmounts it and removes both.
//  3. What a killed process left carries its owner's name, and Sweep, which Make calls, removes it.
//
// It needs root, loop devices and mkfs.ext4. The image shares the disk and the page cache with all else, so it is no
// measure of a disk's own speed.
package freshdisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"dfetch/eval/owner"
)

// ErrNone says that this machine gives no file system of one's own.
var ErrNone = errors.New("no file system of its own")

const (
	prefix      = "freshdisk"
	imageEnding = ".img"
)

// disks counts this process's disks.
var disks atomic.Int64

// Disk is a mounted file system.
type Disk struct{ dir string }

// Make makes one with room for at least so many bytes of content in a folder. It removes what dead owners left there. It
// must be closed. Where there can be none, the error is ErrNone with the reason.
func Make(folder string, bytes int64) (*Disk, error) {
	me, err := owner.Self()
	if err != nil {
		return nil, fmt.Errorf("freshdisk: %w", err)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, fmt.Errorf("freshdisk: %w", err)
	}
	if err := Sweep(folder); err != nil {
		return nil, err
	}
	d := &Disk{filepath.Join(folder, me.Name(prefix, strconv.FormatInt(disks.Add(1), 10)))}
	if err := d.make(bytes); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// make lays the image and mounts it. Blocks, inodes and the journal take some room of their own.
func (d *Disk) make(bytes int64) error {
	if err := os.Mkdir(d.dir, 0o777); err != nil {
		return fmt.Errorf("freshdisk: %w", err)
	}
	image, err := os.Create(d.image())
	if err != nil {
		return fmt.Errorf("freshdisk: %w", err)
	}
	err = image.Truncate(bytes + bytes/4 + 256<<20)
	if err = errors.Join(err, image.Close()); err != nil {
		return fmt.Errorf("freshdisk: %w", err)
	}
	// Tables that are not written now are written while a run is measured.
	if err := tool("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", d.image()); err != nil {
		return err
	}
	return tool("mount", "-o", "loop", d.image(), d.dir)
}

func tool(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s: %w: %s", ErrNone, name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Dir is the root of the file system, an absolute path.
func (d *Disk) Dir() string { return d.dir }

func (d *Disk) image() string { return d.dir + imageEnding }

// Close unmounts the file system and removes it. Nothing in it may be in use.
func (d *Disk) Close() error { return remove(d.dir, 0) }

// remove takes away a file system, mounted or not.
func remove(dir string, flags int) error {
	err := unix.Unmount(dir, flags)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("freshdisk: unmount %s: %w", dir, err)
	}
	for _, name := range []string{dir, dir + imageEnding} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("freshdisk: %w", err)
		}
	}
	return nil
}

// Sweep removes the file systems in a folder whose owners are gone. Nothing else may remove them: they may be mounted.
func Sweep(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("freshdisk: %w", err)
	}
	var errs []error
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), imageEnding)
		o, ok := owner.Parse(prefix, name)
		if !ok {
			continue
		}
		alive, err := o.Alive()
		if err == nil && !alive {
			err = remove(filepath.Join(folder, name), unix.MNT_DETACH) // a killed run's receiver may still be in it
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
