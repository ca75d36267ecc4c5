package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	namePrefix = "netlab"
	killRounds = 100
	killPause  = 20 * time.Millisecond
)

// owner tells a process from every other one before and after it.
type owner struct {
	pid   int
	start string // clock ticks from boot to its start
	boot  string // which boot
}

func self() (owner, error) {
	boot, err := bootID()
	if err != nil {
		return owner{}, err
	}
	start, err := startTime(os.Getpid())
	return owner{os.Getpid(), start, boot}, err
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("netlab: %w", err)
	}
	id, _, _ := strings.Cut(string(b), "-")
	return id, nil
}

// startTime is the 22nd field of the process's stat file; the second is a name
// in parentheses that may hold anything.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("netlab: %w", err)
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("netlab: /proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields[19], nil
}

// namespaceName is netlab-PID-START-BOOT-LAB-HOST.
func (o owner) namespaceName(lab int64, host string) string {
	return fmt.Sprintf("%s-%d-%s-%s-%d-%s", namePrefix, o.pid, o.start, o.boot, lab, host)
}

// parseOwner reads a name made by namespaceName; ok is false for any other.
func parseOwner(name string) (o owner, ok bool) {
	f := strings.Split(name, "-")
	if len(f) != 6 || f[0] != namePrefix {
		return owner{}, false
	}
	pid, err := strconv.Atoi(f[1])
	return owner{pid, f[2], f[3]}, err == nil && pid > 0
}

func (o owner) alive(boot string) bool {
	start, err := startTime(o.pid)
	return o.boot == boot && err == nil && start == o.start
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
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		o, ok := parseOwner(e.Name())
		if !ok || o.alive(boot) {
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
