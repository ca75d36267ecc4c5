package diskscan

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"dfetch/recipe"
)

// Config says how a Disk works. It is not modified after New.
type Config struct {
	Scope   *Scope         // what may be read; the caller closes it after the Disk
	Index   *Index         // of the same profile and hash; nil: none. The caller closes it after the Disk
	Profile recipe.Profile // zero: recipe.Rabin16
	Hash    recipe.Hash    // zero: BLAKE3
	Slice   int64          // bytes of a file that one Hash reads; zero or negative: 8 MiB
	// Stall ends an operation that makes no progress for so long; zero or negative: 20 seconds.
	Stall time.Duration
	// Buffers bounds the bytes that are handed over and not released yet; zero or negative: 32 MiB.
	Buffers int64
	// Remember is how many hashed chunks Recall knows of at most, at about 50 bytes each; zero or negative: none.
	Remember int
	Reader   Reader // how files are read; nil: by system calls
	// Follows says what the files that are hashed are expected to hold; nil: nothing is expected.
	Follows recipe.Follows
	// Processors is how many goroutines hash at once, unless more operations than that are under way; zero or
	// negative: as many as run at once.
	Processors int
	// Opened is told of each directory before it is listed, while it is open; nil for no one.
	Opened func(path string, fd int)
}

func (c Config) withDefaults() Config {
	if c.Profile == (recipe.Profile{}) {
		c.Profile = recipe.Rabin16
	}
	if c.Hash == 0 {
		c.Hash = recipe.BLAKE3
	}
	if c.Slice <= 0 {
		c.Slice = 8 << 20
	}
	if c.Stall <= 0 {
		c.Stall = 20 * time.Second
	}
	if c.Buffers <= 0 {
		c.Buffers = 32 << 20
	}
	if c.Reader == nil {
		c.Reader = kernel{}
	}
	if c.Processors <= 0 {
		c.Processors = processors()
	}
	c.Buffers = max(c.Buffers, 4*batchSize(c.Profile))
	return c
}

// Why an operation did not come to its end.
var (
	// ErrStalled: it made no progress for the stall time. Its goroutines and its slot stay taken.
	ErrStalled = errors.New("no progress")
	// ErrClosed: the Disk is closed.
	ErrClosed = errors.New("disk search is closed")
)

// Disk carries out operations on what a scope allows. Its methods may be called from many goroutines.
type Disk struct {
	cfg     Config
	scope   *Scope
	index   *Index
	memory  *memory // nil: none
	count   counters
	devices devices
	ahead   ahead
	readers sync.Pool    // *recipe.ElementReader
	hashing atomic.Int64 // goroutines that hash
	buffers buffers
	starts  sync.RWMutex // held for writing while Close forbids new operations
	running sync.WaitGroup
	closed  context.Context
	close   context.CancelCauseFunc
}

// New makes a Disk. It refuses a profile or hash that recipe refuses, and an index of another one.
func New(cfg Config) (*Disk, error) {
	cfg = cfg.withDefaults()
	reader, err := recipe.NewElementReader(cfg.Profile, cfg.Hash)
	if err != nil {
		return nil, fmt.Errorf("disk search: %w", err)
	}
	if cfg.Index != nil && cfg.Index.profile != keyOfProfile(cfg.Profile, cfg.Hash) {
		return nil, fmt.Errorf("disk search: the index is of another chunker than %q with %s", cfg.Profile.Name, cfg.Hash)
	}
	d := &Disk{cfg: cfg, scope: cfg.Scope, index: cfg.Index}
	if cfg.Remember > 0 {
		d.memory = newMemory(cfg.Remember)
	}
	d.readers.New = func() any {
		r, _ := recipe.NewElementReader(cfg.Profile, cfg.Hash) // as above
		return r
	}
	d.readers.Put(reader)
	d.buffers = newBuffers(cfg.Buffers, int(batchSize(cfg.Profile)))
	d.closed, d.close = context.WithCancelCause(context.Background())
	return d, nil
}

// closing is how long Close waits at most: a disk that gives nothing for so long may not answer at all.
const closing = 2 * time.Second

// Close ends all operations and waits for their goroutines, but not long, and not for those that have stalled already. With an error some are left, which use the scope and the index still. It may be called twice.
func (d *Disk) Close() error {
	d.starts.Lock()
	d.close(ErrClosed)
	d.starts.Unlock()
	ended := make(chan struct{})
	go func() {
		d.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(min(closing, d.cfg.Stall))
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	if left := d.count.running.Load(); left > 0 {
		return fmt.Errorf("disk search: %d operations did not end: %w", left, ErrStalled)
	}
	return nil
}

// operation is what the goroutine that works and the one that waits for it share.
type operation struct {
	ctx      context.Context
	progress atomic.Int64 // grows with every step
	waiting  atomic.Int32 // >0: waits for the caller, not for the disk

	mu   sync.RWMutex
	left bool // nobody waits any more
}

// step notes progress; the error is why the operation is to end.
func (o *operation) step() error {
	o.progress.Add(1)
	return context.Cause(o.ctx)
}

// tell calls the caller's function unless the caller has gone on. The stall clock stands meanwhile.
func (o *operation) tell(fn func()) error {
	o.waiting.Add(1)
	defer o.waiting.Add(-1)
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.left {
		return errLeft
	}
	fn()
	return o.step()
}

var errLeft = errors.New("operation was abandoned")

// leave makes sure that the caller hears nothing more.
func (o *operation) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
}

// run carries out work in a slot of a device. It returns when work does, ctx ends, or work stalls; in the
// two last cases the goroutine goes on alone, and keeps its slot until it is done.
func (d *Disk) run(ctx context.Context, dev uint64, work func(*operation) error) error {
	return d.runIn(ctx, dev, slots{d.devices.get(dev).share.Load(), 2 * d.cfg.Stall}, work)
}

// slots are those that an operation takes of a device, and how long it waits for them.
type slots struct {
	share    int64
	patience time.Duration
}

// runIn is run where work takes other slots.
func (d *Disk) runIn(ctx context.Context, dev uint64, in slots, work func(*operation) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(d.closed, func() { cancel(ErrClosed) })
	defer stop()
	release, err := d.devices.acquire(ctx, dev, in)
	if err != nil {
		cancel(nil)
		return err
	}
	o := &operation{ctx: ctx}
	ended := sync.OnceFunc(d.running.Done)
	done, over := make(chan error, 1), make(chan struct{})
	if !d.mayStart() {
		cancel(nil)
		release()
		return ErrClosed
	}
	go func() {
		defer ended()
		defer d.count.running.Add(-1)
		defer cancel(nil)
		defer release()
		defer close(over)
		done <- work(o)
	}()
	err = d.await(o, done, cancel)
	if errors.Is(err, ErrStalled) {
		d.devices.get(dev).hangsUntil(over)
		ended() // Close need not wait for it
	}
	return err
}

// growStack has the stack of a goroutine that is to hash grow at one go, while there is little on it to move.
//
//go:noinline
func growStack() {
	var space [12 << 10]byte
	runtime.KeepAlive(&space)
}

// mayStart counts one more operation, unless the Disk is closed.
func (d *Disk) mayStart() bool {
	d.starts.RLock()
	defer d.starts.RUnlock()
	if d.closed.Err() != nil {
		return false
	}
	d.running.Add(1)
	d.count.running.Add(1)
	return true
}

// await waits for an operation as long as it makes progress.
func (d *Disk) await(o *operation, done <-chan error, cancel context.CancelCauseFunc) error {
	timer := time.NewTimer(d.cfg.Stall)
	defer timer.Stop()
	last := o.progress.Load()
	for {
		select {
		case err := <-done:
			return err
		case <-o.ctx.Done():
			return d.abandon(o, done, context.Cause(o.ctx))
		case <-timer.C:
		}
		now := o.progress.Load()
		if now == last && o.waiting.Load() == 0 {
			cancel(ErrStalled)
			return d.abandon(o, done, ErrStalled)
		}
		last = now
		timer.Reset(d.cfg.Stall)
	}
}

// abandon leaves an operation, or takes its result if it has one after all.
func (d *Disk) abandon(o *operation, done <-chan error, cause error) error {
	o.leave()
	select {
	case err := <-done:
		if errors.Is(err, errLeft) {
			return cause // it ended because it was left
		}
		return err
	default:
		if errors.Is(cause, ErrStalled) {
			d.count.abandoned.Add(1)
		}
		return cause
	}
}

// deviceSlots is what the semaphore of each device is divided into.
const deviceSlots = 16

// maxDevices bounds the devices that are told apart; the rest share one.
const maxDevices = 64

// devices holds what is known of each device.
type devices struct {
	mu   sync.Mutex
	list map[uint64]*device
}

// device is one disk as the kernel numbers them.
type device struct {
	slots    *semaphore.Weighted
	share    atomic.Int64 // slots that one operation takes
	lines    lines        // one after the other, for streams
	cost     atomic.Pointer[DeviceCost]
	tried    atomic.Bool  // it was measured, or can't be
	attempts atomic.Int32 // to measure it
	hung     atomic.Int32 // operations that have stalled and not come back
}

// hangsUntil notes an operation that has stalled, until it is over after all.
func (d *device) hangsUntil(over <-chan struct{}) {
	d.hung.Add(1)
	go func() {
		<-over
		d.hung.Add(-1)
	}()
}

// hangs says whether the device does not answer.
func (d *device) hangs() bool { return d.hung.Load() > 0 }

func (ds *devices) get(dev uint64) *device {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	if ds.list == nil {
		ds.list = map[uint64]*device{}
	}
	if _, known := ds.list[dev]; !known && len(ds.list) >= maxDevices {
		dev = 0
	}
	d := ds.list[dev]
	if d == nil {
		d = &device{slots: semaphore.NewWeighted(deviceSlots)}
		d.share.Store(deviceSlots / defaultDepth)
		ds.list[dev] = d
	}
	return d
}

// defaultDepth is how many operations run at once on a device that was not measured.
const defaultDepth = 4

// hungPatience is how long an operation waits at most for slots of a device on which others hang: these may never give theirs back.
const hungPatience = time.Second

// acquire waits for slots of a device. All slots may be taken by operations that never come back.
func (ds *devices) acquire(ctx context.Context, dev uint64, in slots) (release func(), err error) {
	d := ds.get(dev)
	if d.hangs() {
		in.patience = min(in.patience, hungPatience)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, in.patience, ErrStalled)
	defer cancel()
	if err := d.slots.Acquire(ctx, in.share); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { d.slots.Release(in.share) }, nil
}

// buffers are the pieces of memory in which chunks are handed over.
type buffers struct {
	size int
	free chan []byte   // buffers not in use
	room chan struct{} // one token for each buffer that may still be made
}

func newBuffers(total int64, size int) buffers {
	n := int(total / int64(size))
	b := buffers{size: size, free: make(chan []byte, n), room: make(chan struct{}, n)}
	for range n {
		b.room <- struct{}{}
	}
	return b
}

// get waits for a buffer. It is empty and holds size bytes.
func (b *buffers) get(o *operation) ([]byte, error) {
	select {
	case buf := <-b.free:
		return buf[:0], nil
	default:
	}
	o.waiting.Add(1)
	defer o.waiting.Add(-1)
	select {
	case buf := <-b.free:
		return buf[:0], nil
	case <-b.room:
		return make([]byte, 0, b.size), nil
	case <-o.ctx.Done():
		return nil, context.Cause(o.ctx)
	}
}

func (b *buffers) put(buf []byte) { b.free <- buf }

// claimProcessors takes one processor, and up to most-1 more that hash nothing.
func (d *Disk) claimProcessors(most int) (n int, release func()) {
	d.hashing.Add(1)
	for n = 1; n < most && d.claimProcessor(); n++ {
	}
	return n, func() { d.hashing.Add(-int64(n)) }
}

// claimProcessor takes a processor that hashes nothing; false if there is none.
func (d *Disk) claimProcessor() bool {
	if d.hashing.Add(1) <= int64(d.cfg.Processors) {
		return true
	}
	d.hashing.Add(-1)
	return false
}

// processors is how many goroutines can hash at once.
func processors() int { return runtime.GOMAXPROCS(0) }

// onThread runs work on one thread, and tells what it took of the processor; 0 if the system does not tell.
func onThread(work func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := ThreadTime()
	work()
	return ThreadTime() - before
}

// ThreadTime is the processor time of the thread that this runs on; 0 if it is not known. A goroutine that moved to
// another thread between two calls gets a difference that means nothing.
func ThreadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
