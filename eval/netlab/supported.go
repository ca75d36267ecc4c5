package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Supported tells why a lab can't be made here, nil if it can. It tries: a
// network namespace with a TUN device in it, gone when it returns.
func Supported() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("netlab: needs root (effective user is %d)", os.Geteuid())
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("netlab: needs the ip command (package iproute2): %w", err)
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread and its namespace end here
		result <- tryNamespace()
	}()
	return <-result
}

func tryNamespace() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("netlab: no new network namespace: %w", err)
	}
	fd, err := openTUN("probe")
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
