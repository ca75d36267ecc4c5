// Package owner gives names to what outlives a process that is killed, such as namespaces and control groups, so that
// the next process finds what has no owner any more.
//
// A name is PREFIX-PID-START-BOOT-REST: the owner's process id, when it started, and which boot. Two processes never
// have the same three. REST is the caller's, without a rule but that it is not empty.
package owner

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Owner tells a process from every other one before and after it.
type Owner struct {
	PID   int
	Start string // clock ticks from boot to its start
	Boot  string // which boot, the first group of the kernel's id
}

// Self is this process.
func Self() (Owner, error) {
	boot, err := bootID()
	if err != nil {
		return Owner{}, err
	}
	start, err := startTime(os.Getpid())
	return Owner{os.Getpid(), start, boot}, err
}

// Name is a name for something of this owner.
func (o Owner) Name(prefix, rest string) string {
	return fmt.Sprintf("%s-%d-%s-%s-%s", prefix, o.PID, o.Start, o.Boot, rest)
}

// Parse reads a name made by Name with this prefix; ok is false for any other.
func Parse(prefix, name string) (o Owner, ok bool) {
	f := strings.SplitN(name, "-", 5)
	if len(f) != 5 || f[0] != prefix || f[4] == "" {
		return Owner{}, false
	}
	pid, err := strconv.Atoi(f[1])
	return Owner{pid, f[2], f[3]}, err == nil && pid > 0
}

// Alive says whether the owner still runs. The error is that this can't be told.
func (o Owner) Alive() (bool, error) {
	boot, err := bootID()
	if err != nil {
		return false, err
	}
	start, err := startTime(o.PID)
	return o.Boot == boot && err == nil && start == o.Start, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("which boot this is: %w", err)
	}
	id, _, _ := strings.Cut(string(b), "-")
	return id, nil
}

// startTime is the 22nd field of the process's stat file; the second is a name
// in parentheses that may hold anything.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", fmt.Errorf("when process %d started: %w", pid, err)
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fields[19], nil
}
