package diskscan

import (
	"context"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// DeviceCost is what reading from a device costs, measured past the page cache.
type DeviceCost struct {
	Seek    time.Duration // a read of 4 KiB at a distant place
	PerByte float64       // seconds a byte of a long read, one reader
	Depth   int           // operations that the device serves at once with gain
}

// MinProbeFile is the size of the smallest file by which Calibrate measures a device.
const MinProbeFile = 16 << 20

// What a calibration reads, and how long at most.
const (
	probes       = 8
	abreast      = 4 // reads at once
	probeBytes   = 4 << 10
	streamBytes  = 1 << 20
	probeTime    = 25 * time.Millisecond
	rotatingSeek = 3 * time.Millisecond // no faster rotating disk
	quickSeek    = 300 * time.Microsecond
	alonePause   = 200 * time.Millisecond // until the other operations of the device have ended
	maxAttempts  = 4                      // in which they do not end in time, or so
)

// Calibrate measures the device of a file of MinProbeFile or more by a few reads of it that bypass the page cache,
// in some tens of milliseconds at most and while no other operation reads from it, and sets how many operations run at once
// there. A device is measured once. It says false if it was, if the file's first bytes lie in the page cache, or if the file or its file
// system is not fit for that; then nothing changes.
func (d *Disk) Calibrate(ctx context.Context, f File) (DeviceCost, bool) {
	dev := d.scope.Device(f.Dir)
	at := d.devices.get(dev)
	if at.tried.Load() || f.Size < MinProbeFile || !d.mostlyCold(ctx, dev, f) || at.attempts.Add(1) > maxAttempts {
		return DeviceCost{}, false
	}
	var cost DeviceCost
	err := d.runIn(ctx, dev, slots{share: deviceSlots, patience: alonePause}, func(o *operation) error {
		var st unix.Stat_t
		fd, err := d.scope.openFile(f, &st)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if st.Size < MinProbeFile || at.tried.Swap(true) {
			return nil
		}
		got, err := measure(o, fd, st.Size)
		if err != nil {
			return err
		}
		return o.tell(func() { cost = got })
	})
	if err != nil || cost.Depth == 0 {
		return DeviceCost{}, false
	}
	at.cost.Store(&cost)
	at.share.Store(int64(deviceSlots / cost.Depth))
	return cost, true
}

// mostlyCold says whether the first bytes of a file lie on the disk and not in memory. It waits for no other operation to end.
func (d *Disk) mostlyCold(ctx context.Context, dev uint64, f File) bool {
	mostly := false
	err := d.run(ctx, dev, func(o *operation) error {
		var st unix.Stat_t
		fd, err := d.scope.openFile(f, &st)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		is := st.Size >= MinProbeFile && coldUpTo(cold(fd, 0, MinProbeFile), MinProbeFile) >= MinProbeFile/2
		return o.tell(func() { mostly = is })
	})
	return err == nil && mostly
}

// DeviceCost is what Calibrate measured for the device of a directory, false if nothing.
func (d *Disk) DeviceCost(dir Dir) (DeviceCost, bool) {
	if c := d.devices.get(d.scope.Device(dir)).cost.Load(); c != nil {
		return *c, true
	}
	return DeviceCost{}, false
}

// measure reads a few places of an open file.
func measure(o *operation, fd int, size int64) (DeviceCost, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return DeviceCost{}, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags|unix.O_DIRECT); err != nil {
		return DeviceCost{}, nil // the file system has no such reads
	}
	buf := aligned(streamBytes)
	seek, err := measureSeeks(o, fd, size, buf[:probeBytes])
	if err != nil {
		return DeviceCost{}, err
	}
	four := seek
	if seek >= rotatingSeek {
		if four, err = measureAbreast(fd, size); err != nil {
			return DeviceCost{}, err
		}
	}
	begin := time.Now()
	if _, err := preadFull(fd, buf, size/3&^(streamBytes-1)); err != nil {
		return DeviceCost{}, err
	}
	stream := time.Since(begin)
	stream = max(stream-seek, stream/2) // one seek is part of it
	return DeviceCost{Seek: seek, PerByte: stream.Seconds() / streamBytes, Depth: depthFor(seek, four)}, o.step()
}

// measureAbreast is the time of a few small reads all over the file that begin together.
func measureAbreast(fd int, size int64) (time.Duration, error) {
	var all errgroup.Group
	begin := time.Now()
	for i := range int64(abreast) {
		all.Go(func() error {
			off := (size/abreast*i + size/(2*abreast)) &^ (probeBytes - 1)
			_, err := preadFull(fd, aligned(probeBytes), off)
			return err
		})
	}
	err := all.Wait()
	return time.Since(begin), err
}

// measureSeeks is the median time of small reads all over the file.
func measureSeeks(o *operation, fd int, size int64, buf []byte) (time.Duration, error) {
	var times []time.Duration
	begin := time.Now()
	for i := range int64(probes) {
		if err := o.step(); err != nil {
			return 0, err
		}
		// Odd steps of three eighths of the file, so that neither direction helps.
		off := (size / probes * (i * 3 % probes)) &^ (probeBytes - 1)
		at := time.Now()
		if _, err := preadFull(fd, buf, off); err != nil {
			return 0, err
		}
		times = append(times, time.Since(at))
		if time.Since(begin) > probeTime {
			break
		}
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// depthFor is how many readers a device is given that takes so long for one small read, and for a few at once. A rotating one is
// best left to one: it has one head. What is as slow and serves them at once is far away, or busy.
func depthFor(seek, abreast time.Duration) int {
	switch {
	case seek >= rotatingSeek && abreast >= 2*seek:
		return 1
	case seek > quickSeek:
		return 4
	}
	return 16
}

// aligned makes a buffer that reads past the page cache take.
func aligned(n int) []byte {
	const align = 4096
	raw := make([]byte, n+align)
	skip := -uintptr(unsafe.Pointer(&raw[0])) & (align - 1)
	return raw[skip : int(skip)+n : int(skip)+n]
}
