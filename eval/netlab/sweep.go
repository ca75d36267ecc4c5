package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/eval/owner"
)

const (
	namePrefix = "netlab"
	killRounds = 100
	killPause  = 20 * time.Millisecond
)

// namespaceName is netlab-PID-START-BOOT-LAB-HOST.
func namespaceName(o owner.Owner, lab int64, host string) string {
	return o.Name(namePrefix, fmt.Sprintf("%d-%s", lab, host))
}

// Sweep removes the namespaces of labs whose process is gone, and kills what
// still runs in them. It returns their names. Labs of living processes, of this
// one too, are left alone.
func Sweep() (removed []string, err error) {
	entries, err := os.ReadDir(namespaceDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("netlab: %w", err)
	}
	var errs []error
	for _, e := range entries {
		o, ok := owner.Parse(namePrefix, e.Name())
		if !ok {
			continue
		}
		if alive, err := o.Alive(); alive || err != nil {
			errs = append(errs, err)
			continue
		}
		if err := sweepOne(e.Name()); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, e.Name())
	}
	return removed, errors.Join(errs...)
}

func sweepOne(name string) error {
	id, err := fileID(filepath.Join(namespaceDir, name))
	if err == nil {
		err = killInside(map[nsID]bool{id: true})
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return deleteNamespace(name)
}

// nsID identifies a namespace by its file.
type nsID struct{ dev, ino uint64 }

func fileID(path string) (nsID, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nsID{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return nsID{st.Dev, st.Ino}, nil
}

// killInside kills every process in the namespaces and waits until all are gone.
func killInside(ids map[nsID]bool) error {
	for range killRounds {
		n, err := killRound(ids)
		if err != nil || n == 0 {
			return err
		}
		time.Sleep(killPause)
	}
	return fmt.Errorf("netlab: processes in a lab's namespaces don't die")
}

func killRound(ids map[nsID]bool) (found int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("netlab: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || !inside(pid, ids) {
			continue
		}
		found++
		killOne(pid, ids)
	}
	return found, nil
}

func inside(pid int, ids map[nsID]bool) bool {
	id, err := fileID(fmt.Sprintf("/proc/%d/ns/net", pid))
	return err == nil && ids[id]
}

// killOne looks again once it holds the process: the number may be another's by now.
func killOne(pid int, ids map[nsID]bool) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone
	}
	defer unix.Close(fd)
	if inside(pid, ids) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) // fails if it is gone
	}
}
