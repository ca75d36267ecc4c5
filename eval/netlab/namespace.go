package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	namespaceDir = "/var/run/netns"
	threadNS     = "/proc/thread-self/ns/net"
	ipTimeout    = 30 * time.Second
)

// namespace is a named network namespace and a handle on it.
type namespace struct {
	name string
	file *os.File
}

func addNamespace(name string) (*namespace, error) {
	if err := runIP("", "netns", "add", name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(namespaceDir, name))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("netlab: %w", err), deleteNamespace(name))
	}
	return &namespace{name: name, file: f}, nil
}

// remove deletes the name; the namespace goes with the last process and
// descriptor in it.
func (n *namespace) remove() error {
	n.file.Close()
	return deleteNamespace(n.name)
}

func deleteNamespace(name string) error {
	path := filepath.Join(namespaceDir, name)
	// A file of before the last boot has no mount on it.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("netlab: unmounting %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("netlab: %w", err)
	}
	return nil
}

// do runs f on a thread inside the namespace. Goroutines that f starts are
// outside; sockets that f makes stay inside wherever they are used.
func (n *namespace) do(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- n.enter(f) }()
	return <-result
}

func (n *namespace) enter(f func() error) error {
	runtime.LockOSThread()
	outside, err := os.Open(threadNS)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netlab: %w", err)
	}
	defer outside.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netlab: entering namespace %s: %w", n.name, err)
	}
	err = f()
	// A thread that can't go back stays locked, and so ends with this goroutine.
	if unix.Setns(int(outside.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// ip runs the lines as one batch of ip commands inside the namespace.
func (n *namespace) ip(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return runIP(strings.Join(lines, "\n")+"\n", "-n", n.name, "-batch", "-")
}

func runIP(input string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), ipTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("netlab: ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
