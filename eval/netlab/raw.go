package netlab

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls here don't tell the Go scheduler that the thread is in the kernel, so
// an engine keeps its scheduler slot over them and is never late for want of one.
// None of them blocks for longer than a nap: the garbage collector waits that
// long for an engine, no more.

func rawRead(fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

func rawWrite(fd int, b []byte) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno
}

// rawNap sleeps, less if a signal comes.
func rawNap(d time.Duration) {
	t := unix.NsecToTimespec(int64(min(d, nap)))
	_, _, _ = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
}

// rawPoll looks without waiting.
func rawPoll(fds []unix.PollFd) unix.Errno {
	var t unix.Timespec
	_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)),
		uintptr(unsafe.Pointer(&t)), 0, 0, 0)
	return errno
}
