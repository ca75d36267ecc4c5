package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/eval/result"
)

// helperEnv makes the test binary do what a test wants of a program.
const helperEnv = "PROC_TEST_HELPER"

func TestMain(m *testing.M) {
	switch os.Getenv(helperEnv) {
	case "memory":
		useMemory()
	case "listen":
		listen()
	case "parent":
		parent()
	}
	goleak.VerifyTestMain(m)
}

// useMemory holds 200 MiB until its standard input ends. They are not Go's, so
// that the race detector keeps no shadow of them.
func useMemory() {
	_, err := unix.Mmap(-1, 0, 200<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(l.Addr().String() + "\n")
	select {}
}

// family is a program that starts another one, and tells both process ids.
const family = "sleep 600 & echo $$ $!; wait"

// parent starts a family and lasts.
func parent() {
	cmd := exec.Command("sh", "-c", family)
	cmd.Stdout = os.Stdout
	if _, err := Start(cmd); err != nil {
		os.Exit(1)
	}
	select {}
}

func helper(t *testing.T, what string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+what)
	return cmd
}

// runUntilSeen runs a program that uses memory until the sampler has seen it.
func runUntilSeen(t *testing.T, cmd *exec.Cmd) (result.Usage, error) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if err := p.await(t.Context(), "be seen", func() bool { return p.seen.Load() >= 200<<20 }); err != nil {
		t.Error(err)
	}
	stdin.Close()
	return p.Wait()
}

func TestUsage(t *testing.T) {
	u, err := runUntilSeen(t, helper(t, "memory"))
	if err != nil {
		t.Fatal(err)
	}
	if u.PeakBytes < 200<<20 || u.PeakBytes > 300<<20 {
		t.Errorf("peak %d MiB, want a little above 200", u.PeakBytes>>20)
	}
	if u.CPU <= 0 || u.CPU > 30 {
		t.Errorf("CPU %v s", u.CPU)
	}
}

// A shell's child counts, though the shell is what was started.
func TestUsageOfChildren(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `"$0"; exit 0`, os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=memory")
	u, err := runUntilSeen(t, cmd)
	if err != nil || u.PeakBytes < 200<<20 {
		t.Errorf("peak %d MiB, %v", u.PeakBytes>>20, err)
	}
}

func TestErrorsQuoteTheProgram(t *testing.T) {
	_, err := Run(exec.CommandContext(t.Context(), "sh", "-c", "echo it is broken >&2; exit 3"))
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(err.Error(), "it is broken") {
		t.Errorf("got %v", err)
	}
	if _, err := Run(exec.CommandContext(t.Context(), "/does/not/exist")); err == nil {
		t.Error("a program that is not there runs")
	}
}

func TestTailIsBounded(t *testing.T) {
	var b tail
	for range 1000 {
		b.Write([]byte("0123456789"))
	}
	b.Write([]byte("end"))
	if len(b.kept) != tailBytes || !strings.HasSuffix(string(b.kept), "789end") {
		t.Errorf("kept %d bytes, %q", len(b.kept), b.kept)
	}
}

func TestAwaitPortAndStop(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := helper(t, "listen")
	cmd.Stdout = out
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	line, err := p.AwaitLine(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	at, err := netip.ParseAddrPort(line)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitPort(t.Context(), "tcp", at); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	other := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), at.Port())
	if err := p.AwaitPort(ctx, "tcp", other); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody listens on %v: %v", other, err)
	}
	p.Stop()
	if err := p.AwaitPort(t.Context(), "tcp", at); err == nil {
		t.Error("a stopped program listens")
	}
}

// ends tells whether a process ends within a time.
func ends(t *testing.T, pid int, within time.Duration) bool {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return pollsIn(t, fd, within)
}

func pollsIn(t *testing.T, fd int, within time.Duration) bool {
	t.Helper()
	until := time.Now().Add(within)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(0, time.Until(until)).Milliseconds()))
		if err == nil {
			return n > 0
		}
		if !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// readFamily reads two process ids that run.
func readFamily(t *testing.T, r io.Reader) (child, grandchild int) {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &child, &grandchild); err != nil || ends(t, child, 0) || ends(t, grandchild, 0) {
		t.Fatalf("processes %q don't run, %v", line, err)
	}
	return child, grandchild
}

// TestProgramsEndWithTheirParent: a parent that is killed leaves nothing running but what its programs have started, and
// that is swept. What a living parent has started is left alone.
func TestProgramsEndWithTheirParent(t *testing.T) {
	for range 5 {
		if sweptWithParent(t) {
			return
		}
	}
	t.Error("no sweep told that it ended a process")
}

// sweptWithParent kills a program's parent and sweeps, and says whether the sweep told so: another process may have been quicker.
func sweptWithParent(t *testing.T) bool {
	t.Helper()
	cmd, ours := helper(t, "parent"), exec.CommandContext(t.Context(), "sh", "-c", family)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, grandchild := readFamily(t, out)
	ourOut, err := ours.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	_, ourGrandchild := readFamily(t, ourOut)
	defer func() { _ = unix.Kill(ourGrandchild, unix.SIGKILL) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if !ends(t, child, 10*time.Second) {
		_ = unix.Kill(child, unix.SIGKILL)
		t.Error("the program has survived its parent")
	}
	swept, err := Sweep()
	if err != nil {
		t.Error(err)
	}
	if !ends(t, grandchild, 10*time.Second) {
		_ = unix.Kill(grandchild, unix.SIGKILL)
		t.Error("what the program has started has survived the sweep")
	}
	if ends(t, ourGrandchild, 100*time.Millisecond) {
		t.Error("what a living process has started was swept")
	}
	return swept > 0
}

// TestProgramsOutliveTheCallersThread: the end of the thread that called Start is not the end of the parent.
func TestProgramsOutliveTheCallersThread(t *testing.T) {
	started := make(chan *Process, 1)
	thread := make(chan int, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		p, err := Start(exec.CommandContext(t.Context(), "sleep", "600"))
		if err != nil {
			t.Error(err)
		}
		started <- p
		thread <- unix.Gettid()
	}()
	p, id := <-started, <-thread
	if p == nil {
		return
	}
	defer p.Stop()
	for gone := false; !gone; runtime.Gosched() {
		_, err := os.Stat("/proc/self/task/" + strconv.Itoa(id))
		gone = errors.Is(err, os.ErrNotExist) || id == os.Getpid() // the first thread never ends
	}
	if ends(t, p.PID(), 100*time.Millisecond) {
		t.Error("the program ended with the thread of its caller")
	}
}
