package netlab

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dfetch/eval/owner"
)

const (
	defaultMTU = 1500
	defaultCC  = "cubic"
	maxEngines = 4
	// slotsPerEngine leaves a free slot to an engine that wakes.
	slotsPerEngine = 2
	deviceQueue    = 10000 // packets a device holds until an engine reads them
)

// Config is how a lab is made. The zero Config is useful.
type Config struct {
	// Seed makes losses, jitter and reordering repeat. Each direction of each
	// wire has its own sequence, by the order in which the wires are made.
	Seed uint64
	// MTU of every wire. Zero means 1500; IPv6 needs 1280.
	MTU int
	// CongestionControl of TCP on every host. Empty means cubic.
	CongestionControl string
	// TCPBufferMax is the largest send and receive buffer that TCP may give
	// itself on every host. Zero leaves the kernel's figures.
	TCPBufferMax int
	// NoRealtime keeps the forwarding threads at normal priority.
	NoRealtime bool
}

// Validate says which field makes no sense.
func (c Config) Validate() error {
	if c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535) {
		return fmt.Errorf("netlab: MTU %d is not within 1280..65535", c.MTU)
	}
	if c.TCPBufferMax < 0 || c.TCPBufferMax > 1<<30 {
		return fmt.Errorf("netlab: TCP buffer maximum %d is not within 0..1 GiB", c.TCPBufferMax)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.CongestionControl == "" {
		c.CongestionControl = defaultCC
	}
	return c
}

// Lab is a set of hosts and wires. Its methods may be called from any goroutine.
type Lab struct {
	cfg     Config
	owner   owner.Owner
	serial  int64
	epoch   time.Time
	engines []*engine

	mu     sync.Mutex // guards what follows
	hosts  []*Host
	wires  []*Wire
	closed bool
}

// Wire joins two hosts.
type Wire struct {
	lab      *Lab
	a, b     *port
	up, down *direction
	mu       sync.Mutex // guards settings
	settings Settings
}

var serial atomic.Int64

// New makes an empty lab, after sweeping what dead processes left behind. It
// must be closed.
func New(cfg Config) (*Lab, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := Supported(); err != nil {
		return nil, err
	}
	if _, err := Sweep(); err != nil {
		return nil, err
	}
	me, err := owner.Self()
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg.withDefaults(), owner: me, serial: serial.Add(1), epoch: time.Now()}
	if err := l.startEngines(min(runtime.NumCPU(), maxEngines)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) startEngines(n int) error {
	for range n {
		e, err := startEngine(l.now, !l.cfg.NoRealtime)
		if err != nil {
			return err
		}
		reserveProcs(slotsPerEngine)
		l.engines = append(l.engines, e)
	}
	return nil
}

func (l *Lab) now() time.Duration { return time.Since(l.epoch) }

// Link joins a and b by a wire and gives every host that a or b reaches a route
// to what the other reaches. Settings.Up is from a to b.
func (l *Lab) Link(a, b *Host, s Settings) (*Wire, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case a == b || a.lab != l || b.lab != l:
		return nil, fmt.Errorf("netlab: %s and %s are not two hosts of this lab", a.name, b.name)
	case a.portTo(b) != nil:
		return nil, fmt.Errorf("netlab: %s and %s are linked already", a.name, b.name)
	}
	w := &Wire{lab: l, settings: s}
	if err := w.plug(a, b); err != nil {
		return nil, err
	}
	w.run()
	l.wires = append(l.wires, w)
	return w, l.route(a)
}

// plug makes the devices at both ends.
func (w *Wire) plug(a, b *Host) (err error) {
	if w.a, err = a.addPort(b); err != nil {
		return err
	}
	if w.b, err = b.addPort(a); err != nil {
		a.dropPort(w.a)
		return err
	}
	return nil
}

// run hands the directions to two engines in turn.
func (w *Wire) run() {
	l, n := w.lab, len(w.lab.wires)
	full := w.settings.withDefaults()
	up := NewLink(full.Up, l.cfg.Seed<<16+uint64(2*n))
	down := NewLink(full.Down, l.cfg.Seed<<16+uint64(2*n+1))
	w.up = newDirection(w.a.fd, w.b.fd, l.cfg.MTU, l.now, up)
	w.down = newDirection(w.b.fd, w.a.fd, l.cfg.MTU, l.now, down)
	l.engines[(2*n)%len(l.engines)].add(w.up)
	l.engines[(2*n+1)%len(l.engines)].add(w.down)
}

// Hosts returns the hosts in the order in which they were made.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// Settings returns what the wire was last set to, before defaults. What a
// script changes later does not show.
func (w *Wire) Settings() Settings {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings
}

// Set changes the wire now, and ends a script that plays.
func (w *Wire) Set(s Settings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settings = s
	full := s.withDefaults()
	w.up.set(full.Up)
	w.down.set(full.Down)
	w.wake()
	return nil
}

// Play starts a script: each step takes effect At after this call, to the
// nanosecond in what it does to packets. It ends a script that plays.
func (w *Wire) Play(steps []Step) error {
	up, down := make([]linkStep, len(steps)), make([]linkStep, len(steps))
	for i, s := range steps {
		if err := s.Settings.Validate(); err != nil {
			return err
		}
		if s.At < 0 || i > 0 && s.At < steps[i-1].At {
			return fmt.Errorf("netlab: step %d at %v is not after the one before", i, s.At)
		}
		full := s.Settings.withDefaults()
		up[i], down[i] = linkStep{s.At, full.Up}, linkStep{s.At, full.Down}
	}
	start := w.lab.now()
	w.up.play(start, up)
	w.down.play(start, down)
	w.wake()
	return nil
}

func (w *Wire) wake() {
	for _, e := range w.lab.engines {
		e.ring()
	}
}

// WireCounters are the counters of a wire between hosts A and B.
type WireCounters struct {
	A, B     string
	Up, Down Counters
}

// Counters returns the wire's counters, with what the kernel dropped in them.
func (w *Wire) Counters() (WireCounters, error) {
	c := WireCounters{A: w.a.host.name, B: w.b.host.name, Up: w.up.counters(), Down: w.down.counters()}
	a, errA := w.a.drops()
	b, errB := w.b.drops()
	c.Up.DeviceDrops = a.sent + b.received
	c.Down.DeviceDrops = b.sent + a.received
	return c, errors.Join(errA, errB)
}

// Counters returns every wire's counters in the order in which they were made.
func (l *Lab) Counters() ([]WireCounters, error) {
	l.mu.Lock()
	wires := slices.Clone(l.wires)
	l.mu.Unlock()
	all := make([]WireCounters, len(wires))
	var errs []error
	for i, w := range wires {
		c, err := w.Counters()
		all[i] = c
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Close kills what runs on the hosts and removes all of the lab. Counters are to
// be read before. A second call does nothing.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	errs := []error{l.killAll()}
	for _, e := range l.engines {
		errs = append(errs, e.stop())
	}
	releaseProcs(slotsPerEngine * len(l.engines))
	for _, h := range l.hosts {
		errs = append(errs, h.remove())
	}
	return errors.Join(errs...)
}

func (l *Lab) killAll() error {
	if len(l.hosts) == 0 {
		return nil
	}
	ids := make(map[nsID]bool)
	for _, h := range l.hosts {
		id, err := fileID(fmt.Sprintf("/proc/self/fd/%d", h.ns.file.Fd()))
		if err != nil {
			return fmt.Errorf("netlab: %w", err)
		}
		ids[id] = true
	}
	return killInside(ids)
}

var errClosed = errors.New("netlab: the lab is closed")
