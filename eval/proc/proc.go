package proc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dfetch/eval/result"
)

// Process is a program that runs.
type Process struct {
	cmd   *exec.Cmd
	floor int64        // this process's own peak when the program started
	seen  atomic.Int64 // the program's peak, as it was sampled
	done  chan struct{}
	usage result.Usage
	err   error

	stderr tail
}

// Start starts cmd. Its standard error is kept for messages, unless cmd has a
// place for it. The program is waited for; it must end by itself, by cmd's
// context or by Stop. It is killed when this process ends, however it ends; what
// it has started itself is left to Sweep.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, floor: peak("self"), done: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = &p.stderr
	}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = 2 * time.Second // a grandchild may hold standard error open
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := setMark(cmd); err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the program and waits for it on one thread: the kernel sends the
// signal of a parent's death when the thread that started the program ends, which
// must not be before the program has.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.wait()
	}
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the program's end and returns what it used; the error is about
// how it ended and quotes its standard error. It may be called more than once.
func (p *Process) Wait() (result.Usage, error) {
	<-p.done
	return p.usage, p.err
}

// Stop asks the program to end, kills it if it has not after five seconds, and
// returns what it used. How it ended is no error.
func (p *Process) Stop() result.Usage {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it fails if the program has ended
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return p.usage
}

// Run starts cmd and waits for it.
func Run(cmd *exec.Cmd) (result.Usage, error) {
	p, err := Start(cmd)
	if err != nil {
		return result.Usage{}, err
	}
	return p.Wait()
}

func (p *Process) wait() {
	defer close(p.done)
	ended := make(chan struct{})
	var sampler sync.WaitGroup
	sampler.Go(func() { p.sample(ended) })
	err := p.cmd.Wait()
	close(ended)
	sampler.Wait()
	p.usage = p.used()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		p.err = p.explain(err)
	}
}

func (p *Process) explain(err error) error {
	p.stderr.mu.Lock()
	defer p.stderr.mu.Unlock()
	if text := bytes.TrimSpace(p.stderr.kept); len(text) > 0 {
		return fmt.Errorf("%s: %w: %s", p.cmd.Args[0], err, lastLines(string(text)))
	}
	return fmt.Errorf("%s: %w", p.cmd.Args[0], err)
}

// lastLines are a text's last three lines, as one.
func lastLines(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

func (p *Process) used() result.Usage {
	state := p.cmd.ProcessState
	u := result.Usage{CPU: (state.UserTime() + state.SystemTime()).Seconds(), PeakBytes: p.seen.Load()}
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		u.DiskRead = int64(r.Inblock) * 512                //nolint:unconvert // narrower on some processors
		if most := int64(r.Maxrss) << 10; most > p.floor { //nolint:unconvert // narrower on some processors
			u.PeakBytes = max(u.PeakBytes, most)
		}
	}
	return u
}

// sample looks at the program's peak memory until ended is closed.
func (p *Process) sample(ended <-chan struct{}) {
	pid := strconv.Itoa(p.PID())
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-tick.C:
			p.seen.Store(max(p.seen.Load(), familyPeak(pid, 0)))
		}
	}
}

// familyPeak is the largest peak among a process and its children, to a depth
// that ends a loop of process ids used anew.
func familyPeak(pid string, depth int) int64 {
	most := peak(pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil || depth > 4 {
		return most
	}
	for child := range bytes.FieldsSeq(children) {
		most = max(most, familyPeak(string(child), depth+1))
	}
	return most
}

// peak returns VmHWM of a process, 0 if it is gone.
func peak(pid string) int64 {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(text, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// tail keeps the last bytes that a program wrote.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailBytes = 600

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if extra := len(t.kept) - tailBytes; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(b), nil
}

// AwaitPort waits until the process's network namespace has a socket that
// listens on the TCP address, or is bound to the UDP address, or to its port on
// all addresses. The address must be of IPv4.
func (p *Process) AwaitPort(ctx context.Context, network string, at netip.AddrPort) error {
	return p.await(ctx, fmt.Sprintf("listen on %s %s", network, at), func() bool {
		return bound(p.PID(), network, at) || bound(p.PID(), network+"6", at)
	})
}

// AwaitLine waits until the program has written a line to a file, and returns it.
func (p *Process) AwaitLine(ctx context.Context, name string) (line string, err error) {
	err = p.await(ctx, "write a line", func() bool {
		text, _ := os.ReadFile(name) // none yet is as good as an error
		first, _, ok := bytes.Cut(text, []byte("\n"))
		line = string(first)
		return ok
	})
	return line, err
}

// await looks every 10 ms whether something has come true.
func (p *Process) await(ctx context.Context, what string, ready func() bool) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it could %s: %w", p.cmd.Args[0], what, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s did not %s: %w", p.cmd.Args[0], what, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// bound looks for a socket in the tables that the kernel shows of a process's
// namespace: state 0A is a TCP socket that listens, 07 a bound UDP one.
func bound(pid int, network string, at netip.AddrPort) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, network))
	if err != nil {
		return false
	}
	state := "0A"
	if network[:3] == "udp" {
		state = "07"
	}
	a := at.Addr().As4() // the tables have the number in this machine's order
	exact := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a[:]), at.Port())
	port := fmt.Sprintf(":%04X", at.Port())
	for line := range bytes.Lines(text) {
		f := bytes.Fields(line)
		if len(f) < 4 || string(f[3]) != state {
			continue
		}
		if local := string(f[1]); local == exact || strings.Trim(strings.TrimSuffix(local, port), "0") == "" {
			return true
		}
	}
	return false
}
