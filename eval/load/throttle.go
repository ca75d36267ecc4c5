package load

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/eval/owner"
)

// ErrNoThrottle says that this machine has no control group that limits a disk.
var ErrNoThrottle = errors.New("no control group here limits the disk")

const (
	groupPrefix = "dfetchlab"
	endRounds   = 250
	endPause    = 20 * time.Millisecond
)

// groups counts this process's control groups.
var groups atomic.Int64

// hierarchy is a mounted tree of control groups that has disk limits.
type hierarchy struct {
	dir string
	v2  bool
}

// Throttle is a control group whose processes share a limit of bytes a second, for reading and for writing each, on
// one disk. With control groups of version 1, what is written through the page cache is not held back. The group
// carries its owner's name: the next one removes those of processes that were killed.
type Throttle struct {
	group  string // its folder
	device string // MAJOR:MINOR
	v2     bool
}

// NewThrottle makes a group that is limited on the disk that holds dir. It removes what dead owners left. It must be
// closed. Where there is no such limit, the error is ErrNoThrottle with the reason.
func NewThrottle(dir string, bytesPerSecond int64) (*Throttle, error) {
	h, err := findHierarchy()
	if err != nil {
		return nil, err
	}
	device, err := diskOf(dir)
	if err != nil {
		return nil, err
	}
	me, err := owner.Self()
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := h.sweep(); err != nil {
		return nil, err
	}
	t := &Throttle{group: filepath.Join(h.dir, me.Name(groupPrefix, strconv.FormatInt(groups.Add(1), 10))), device: device, v2: h.v2}
	if err := os.Mkdir(t.group, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoThrottle, err)
	}
	if err := t.Set(bytesPerSecond); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrNoThrottle, err), t.Close())
	}
	return t, nil
}

// Set changes the limit, which must be positive.
func (t *Throttle) Set(bytesPerSecond int64) error {
	if bytesPerSecond <= 0 {
		return fmt.Errorf("load: a disk of %d bytes a second", bytesPerSecond)
	}
	if t.v2 {
		return t.write("io.max", fmt.Sprintf("%s rbps=%d wbps=%d", t.device, bytesPerSecond, bytesPerSecond))
	}
	line := fmt.Sprintf("%s %d", t.device, bytesPerSecond)
	return errors.Join(t.write("blkio.throttle.read_bps_device", line), t.write("blkio.throttle.write_bps_device", line))
}

func (t *Throttle) write(file, text string) error {
	if err := os.WriteFile(filepath.Join(t.group, file), []byte(text), 0o644); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

// Wrap makes a command that was not started yet enter the group before its program begins.
func (t *Throttle) Wrap(cmd *exec.Cmd) {
	enter := []string{"sh", "-c", `echo $$ > "$0" && exec "$@"`, filepath.Join(t.group, "cgroup.procs"), cmd.Path}
	cmd.Args = append(enter, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

// Close kills what is still in the group and removes it.
func (t *Throttle) Close() error { return removeGroup(t.group) }

// sweep removes the groups whose owners are gone, and kills what still runs in them.
func (h hierarchy) sweep() error {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	var errs []error
	for _, e := range entries {
		o, ok := owner.Parse(groupPrefix, e.Name())
		if !ok {
			continue
		}
		alive, err := o.Alive()
		if err == nil && !alive {
			err = removeGroup(filepath.Join(h.dir, e.Name()))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeGroup ends a group's processes and removes it. One that is gone already is no error.
func removeGroup(group string) error {
	for range endRounds {
		err := os.Remove(group) // fails while a process is in it
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("load: %w", err)
		}
		killGroup(group)
		time.Sleep(endPause)
	}
	return fmt.Errorf("load: processes in %s don't end", group)
}

// killGroup kills the processes that a group lists. A number may be another process's by the time of the signal, so
// the list is read again once the process is held.
func killGroup(group string) {
	for _, pid := range members(group) {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone
		}
		if slices.Contains(members(group), pid) {
			_ = unix.PidfdSendSignal(fd, syscall.SIGKILL, nil, 0) // fails if it is gone
		}
		unix.Close(fd)
	}
}

func members(group string) (pids []int) {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// findHierarchy looks for version 2 with the io controller, then for version 1 with blkio.
func findHierarchy() (hierarchy, error) {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return hierarchy{}, fmt.Errorf("load: %w", err)
	}
	return pickHierarchy(string(text), func(dir string) bool {
		controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if err != nil || !hasWord(string(controllers), "io") {
			return false
		}
		// The root hands the controller to its groups. If it already does, this changes nothing.
		return os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+io"), 0o644) == nil
	})
}

// pickHierarchy chooses among the mounts of /proc/mounts; usable tells of one of version 2 whether it limits disks.
func pickHierarchy(mounts string, usable func(dir string) bool) (hierarchy, error) {
	var v1 string
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch {
		case f[2] == "cgroup2" && usable(f[1]):
			return hierarchy{f[1], true}, nil
		case f[2] == "cgroup" && hasWord(strings.ReplaceAll(f[3], ",", " "), "blkio"):
			v1 = f[1]
		}
	}
	if v1 == "" {
		return hierarchy{}, fmt.Errorf("%w: neither io of version 2 nor blkio of version 1 is mounted", ErrNoThrottle)
	}
	return hierarchy{dir: v1}, nil
}

func hasWord(text, word string) bool { return slices.Contains(strings.Fields(text), word) }

// diskOf is the number of the whole disk that holds dir: limits are not for partitions.
func diskOf(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", fmt.Errorf("load: %s: %w", dir, err)
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	device := "/sys/dev/block/" + number
	if _, err := os.Stat(device); err != nil {
		return "", fmt.Errorf("%w: %s lies on no disk of its own (device %s)", ErrNoThrottle, dir, number)
	}
	if _, err := os.Stat(device + "/partition"); err != nil {
		return number, nil
	}
	whole, err := filepath.EvalSymlinks(device)
	if err != nil {
		return "", fmt.Errorf("load: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(whole), "dev"))
	if err != nil {
		return "", fmt.Errorf("load: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
