package backpressure

import "time"

// Work is a kind of work that ends on the disk, in the order of giving way.
type Work uint8

// Kinds of work, the first to give way first.
const (
	Search Work = iota // STAT, HASH, CACHE-CHECK
	Read               // CACHE-READ
	Bulk               // requests to UDP bulk and web sources
	Swarm              // requests to other receivers
	Sender             // requests to the sender
	works
)

// DiskConfig sets the disk's limits. Zero values mean the defaults.
type DiskConfig struct {
	MinBacklog int64         // the search's limit on bytes received and not on disk, at least; 0 = 1 MiB
	Behind     time.Duration // the same as a time of writing; 0 = 50 ms
	Depth      int           // searching operations at one time; 0 = 4
	Stall      float64       // share of time that others may wait for the disk; 0 = 0.1
}

func (c DiskConfig) withDefaults() DiskConfig {
	if c.MinBacklog <= 0 {
		c.MinBacklog = 1 << 20
	}
	if c.Behind <= 0 {
		c.Behind = 50 * time.Millisecond
	}
	if c.Depth <= 0 {
		c.Depth = 4
	}
	if c.Stall <= 0 {
		c.Stall = 0.1
	}
	return c
}

// Disk decides what the disk may take. It is not safe for concurrent use.
type Disk struct {
	cfg       DiskConfig
	received  int64   // bytes, ever
	written   int64   // bytes on disk, ever
	rate      average // bytes a second while writing
	writeback int64   // bytes that the kernel is writing
	inflight  int64
	searching int
	held      [works]hold
	others    others
}

// hold keeps a kind of work refused.
type hold struct {
	on    bool
	until int64 // bytes written, ever
}

// NewDisk makes a disk without backlog.
func NewDisk(cfg DiskConfig) *Disk { return &Disk{cfg: cfg.withDefaults()} }

// Received tells of bytes that came in and are to be written.
func (d *Disk) Received(n int64) { d.received += n }

// Written tells of bytes that have reached the disk, or will not be written after all, and how long
// the writer was busy with them; 0 if that is not known.
func (d *Disk) Written(n int64, busy time.Duration) {
	d.written = min(d.written+n, d.received)
	if busy > 0 && n > 0 {
		d.rate.add(float64(n) / busy.Seconds())
	}
}

// Inflight tells how many bytes have been requested of the network and have not come.
func (d *Disk) Inflight(n int64) { d.inflight = n }

// Writeback tells how many bytes the kernel is writing at this moment, whoever's; negative if unknown.
// They count against reading and searching only: what is requested of the network is held up by the
// writer itself when the kernel makes it wait.
func (d *Disk) Writeback(n int64) { d.writeback = max(0, n) }

// SearchStarted tells that a searching operation is under way.
func (d *Disk) SearchStarted() {
	d.searching++
	d.others.searchStarted()
}

// SearchEnded tells that one has ended, and how long it took.
func (d *Disk) SearchEnded(now time.Time, took time.Duration) {
	d.searching = max(0, d.searching-1)
	d.others.searchEnded(now, took)
}

// Sample takes in what the kernel says about the disk.
func (d *Disk) Sample(now time.Time, s DiskSample) { d.others.sample(now, s, d.cfg.Stall, d.searching) }

// Backlog is the bytes received and not on disk.
func (d *Disk) Backlog() int64 { return d.received - d.written }

// backlog is what counts as backlog for a kind of work. Of the bytes being written at most as many as
// this program wrote are its own.
func (d *Disk) backlog(w Work) int64 {
	if w >= Bulk {
		return d.Backlog()
	}
	return d.Backlog() + min(d.writeback, d.written)
}

// Low is the backlog at which searching stops, High that at which nothing more is requested.
func (d *Disk) Low() int64 {
	return max(d.cfg.MinBacklog, int64(d.cfg.Behind.Seconds()*d.rate.value))
}

// High is four times Low. It also bounds the bytes in flight.
func (d *Disk) High() int64 { return 4 * d.Low() }

// limit is the backlog at which a kind of work stops: Low for the first to give way, High for the last.
func (d *Disk) limit(w Work) int64 {
	low := d.Low()
	return low + 3*low*int64(w)/int64(works-1)
}

// Allow says whether the disk may take more work of the kind.
func (d *Disk) Allow(now time.Time, w Work) Verdict {
	if v := d.allowBacklog(now, w); !v.Allow {
		return v
	}
	switch {
	case w >= Bulk && d.inflight >= d.High():
		return refuse(now, ReasonInflight, d.writing(d.inflight-d.High()+1))
	case w == Search && d.searching >= d.cfg.Depth:
		return refuse(now, ReasonDepth, 10*time.Millisecond)
	case w == Search:
		return d.others.allow(now, d.searching)
	}
	return allowed
}

// allowBacklog refuses at the limit, and then until the backlog of that moment is gone and half of
// the limit is free.
func (d *Disk) allowBacklog(now time.Time, w Work) Verdict {
	h, limit, backlog := &d.held[w], d.limit(w), d.backlog(w)
	if backlog >= limit {
		if !h.on {
			*h = hold{on: true, until: d.received}
		}
	} else if h.on && d.written >= h.until && backlog <= limit/2 {
		h.on = false
	}
	if !h.on {
		return allowed
	}
	return refuse(now, ReasonBacklog, d.writing(max(h.until-d.written, backlog-limit/2)))
}

// writing is how long the disk needs for so many bytes.
func (d *Disk) writing(n int64) time.Duration {
	if !d.rate.known || d.rate.value <= 0 {
		return 10 * time.Millisecond
	}
	return seconds(float64(n) / d.rate.value)
}
