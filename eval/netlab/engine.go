package netlab

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// nap is the pause between two looks while packets flow: they gather in the
	// devices meanwhile, so that a core isn't spent on looking.
	nap = 50 * time.Microsecond
	// timerSlack is how late the kernel may wake an engine.
	timerSlack = time.Microsecond
	// realtimePriority keeps an engine's timing right on a busy machine.
	realtimePriority = 10
)

// engine is an OS thread that runs some directions.
type engine struct {
	clock func() time.Duration
	bell  int // eventfd: a direction was added or changed, or stop

	mu   sync.Mutex
	dirs []*direction // replaced, never changed in place

	stopped atomic.Bool
	done    chan struct{}
	failed  error // why it ended early; read after done
}

func startEngine(clock func() time.Duration, realtime bool) (*engine, error) {
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("netlab: eventfd: %w", err)
	}
	e := &engine{clock: clock, bell: bell, done: make(chan struct{})}
	go e.run(realtime)
	return e, nil
}

func (e *engine) add(d *direction) {
	e.mu.Lock()
	e.dirs = append(e.dirs[:len(e.dirs):len(e.dirs)], d)
	e.mu.Unlock()
	e.ring()
}

func (e *engine) directions() []*direction {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dirs
}

// ring makes the engine look again at once.
func (e *engine) ring() {
	_, _ = unix.Write(e.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // a full eventfd rings too
}

// stop ends the engine's thread; its directions' descriptors may be closed then.
func (e *engine) stop() error {
	e.stopped.Store(true)
	e.ring()
	<-e.done
	unix.Close(e.bell)
	return e.failed
}

func (e *engine) run(realtime bool) {
	defer close(e.done)
	// Never unlocked: the thread ends with the goroutine, and its priority too.
	runtime.LockOSThread()
	tuneThread(realtime)
	poll := newPoller(e.bell)
	looks := newLooks()
	for !e.stopped.Load() {
		dirs := e.directions()
		poll.watch(dirs)
		late := looks.look(e.clock())
		worked, wake := step(dirs, poll, late)
		if e.failed = poll.wait(e.pause(looks, worked, wake)); e.failed != nil {
			return
		}
	}
}

// step reads from the devices that have packets and delivers what is due. After a
// late look every device may have got some since the poller looked.
func step(dirs []*direction, poll *poller, late time.Duration) (worked bool, wake time.Duration) {
	wake = Never
	for i, d := range dirs {
		if poll.ready(i) || late > nap {
			worked = d.fill(late) || worked
		}
	}
	for _, d := range dirs {
		w, at := d.drain()
		worked = worked || w
		wake = min(wake, at)
	}
	return worked, wake
}

// pause naps while packets flow, and returns how long to wait for packets.
func (e *engine) pause(looks *looks, worked bool, wake time.Duration) time.Duration {
	wait := looks.plan(worked, wake-e.clock())
	if !worked {
		return wait
	}
	if wait > 0 {
		rawNap(wait)
	}
	return 0
}

// tuneThread makes the thread wake on time. Without the right to it the thread
// stays as it is: the lab then is less exact on a busy machine.
func tuneThread(realtime bool) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack.Nanoseconds()), 0, 0, 0)
	if realtime {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority,
		}, 0)
	}
}

// poller waits for packets in any direction's device, for the bell or the time.
type poller struct {
	fds []unix.PollFd // the bell's, then each direction's
}

func newPoller(bell int) *poller {
	return &poller{fds: []unix.PollFd{{Fd: int32(bell), Events: unix.POLLIN}}}
}

// watch takes in the directions that were added since the last call.
func (p *poller) watch(dirs []*direction) {
	for _, d := range dirs[len(p.fds)-1:] {
		p.fds = append(p.fds, unix.PollFd{Fd: int32(d.in), Events: unix.POLLIN})
	}
	for i, d := range dirs {
		if d.dead {
			p.fds[i+1].Fd = -1
		}
	}
}

func (p *poller) ready(i int) bool { return p.fds[i+1].Revents != 0 }

func (p *poller) wait(d time.Duration) error {
	if err := p.look(d); err != nil && err != unix.EINTR {
		return fmt.Errorf("netlab: ppoll: %w", err)
	}
	if p.fds[0].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(int(p.fds[0].Fd), b[:]) // clears the bell
	}
	return nil
}

func (p *poller) look(d time.Duration) error {
	if d <= 0 {
		if errno := rawPoll(p.fds); errno != 0 {
			return errno
		}
		return nil
	}
	t := unix.NsecToTimespec(int64(min(d, time.Hour)))
	_, err := unix.Ppoll(p.fds, &t, nil)
	return err
}
