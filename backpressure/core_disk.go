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
	writer    WriterSample
	counted   WriterSample // as of the last measurement of rate
	rate      average      // bytes a second while writing
	moved     time.Time    // when something was written last, or nothing waited
	writeback int64        // bytes that the kernel is writing
	inflight  int64
	searching int
	late      int // searching operations besides that do not count
	held      [works]hold
	others    others
}

// hold keeps a kind of work refused.
type hold struct {
	on    bool
	until int64 // bytes written, ever
}

// WriterSample is what has come in and what has become of it, ever.
type WriterSample struct {
	Received int64         `json:"in"`  // bytes that came in
	Written  int64         `json:"out"` // bytes of them that were written, or were not to be written
	Busy     time.Duration `json:"ns"`  // that writing took, all writers together
}

// NewDisk makes a disk without backlog.
func NewDisk(cfg DiskConfig) *Disk { return &Disk{cfg: cfg.withDefaults()} }

// writeSpan is the shortest time of writing over which a rate is measured: one write says little.
const writeSpan = 2 * time.Millisecond

// Writer takes in what the writer has done. Samples of several writers may come out of order: counts
// never go back.
func (d *Disk) Writer(now time.Time, s WriterSample) {
	written, waited := d.writer.Written, d.Backlog() > 0
	d.writer.Received = max(d.writer.Received, s.Received)
	d.writer.Written = min(max(d.writer.Written, s.Written), d.writer.Received)
	d.writer.Busy = max(d.writer.Busy, s.Busy)
	if d.writer.Written > written || !waited {
		d.moved = now
	}
	busy := d.writer.Busy - d.counted.Busy
	if busy < writeSpan {
		return
	}
	d.rate.add(float64(d.writer.Written-d.counted.Written) / busy.Seconds())
	d.counted = d.writer
}

// Inflight tells how many bytes have been requested of the network and are not written.
func (d *Disk) Inflight(n int64) { d.inflight = n }

// Writeback tells how many bytes the kernel is writing at this moment, whoever's; negative if unknown.
func (d *Disk) Writeback(n int64) { d.writeback = max(0, n) }

// SearchStarted tells that a searching operation is under way.
func (d *Disk) SearchStarted() {
	d.searching++
	d.others.searchStarted()
}

// SearchEnded tells that one has ended, and how long it kept the disk busy.
func (d *Disk) SearchEnded(now time.Time, took time.Duration) {
	d.searching = max(0, d.searching-1)
	d.others.searchEnded(now, took)
}

// SearchLate tells that one that is under way takes so long that others need not wait for it: perhaps its disk does not answer.
func (d *Disk) SearchLate() {
	d.searching = max(0, d.searching-1)
	d.late++
}

// LateEnded tells that one of which SearchLate was told has ended.
func (d *Disk) LateEnded() { d.late = max(0, d.late-1) }

// Sample takes in what the kernel says about the disk.
func (d *Disk) Sample(now time.Time, s DiskSample) {
	d.others.sample(now, s, d.cfg.Stall, d.searching+d.late)
}

// Backlog is the bytes received and not written.
func (d *Disk) Backlog() int64 { return d.writer.Received - d.writer.Written }

// stuck is how long nothing must have been written of what waits for searching to stop, however little
// it is.
const stuck = 200 * time.Millisecond

// Low is the backlog at which searching stops, High that at which nothing more is requested.
func (d *Disk) Low() int64 {
	return max(d.cfg.MinBacklog, int64(d.cfg.Behind.Seconds()*d.rate.value))
}

// High is four times Low. Once the writer's rate is known it also bounds the bytes in flight.
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
	case w <= Read && d.Backlog() > 0 && now.Sub(d.moved) >= stuck:
		return refuse(now, ReasonStuck, stuck/2)
	case w >= Bulk && d.rate.known && d.inflight >= d.High():
		return refuse(now, ReasonInflight, d.writing(d.inflight-d.High()+1))
	case w <= Read && d.searching >= d.cfg.Depth:
		return refuse(now, ReasonDepth, 10*time.Millisecond)
	case w <= Read && d.flushing() >= d.limit(w):
		return d.others.turn(now, d.searching, true)
	case w == Search && d.others.pressed:
		return d.others.turn(now, d.searching, !d.others.writing)
	}
	return allowed
}

// flushing is the bytes being written by the kernel that may be this program's: at most as many as it
// wrote. They slow the search down but don't stop it, as they may be somebody else's.
func (d *Disk) flushing() int64 { return min(d.writeback, d.writer.Written) }

// allowBacklog refuses at the limit, and then until the backlog of that moment is gone and half of
// the limit is free.
func (d *Disk) allowBacklog(now time.Time, w Work) Verdict {
	h, limit, backlog := &d.held[w], d.limit(w), d.Backlog()
	if backlog >= limit {
		if !h.on {
			*h = hold{on: true, until: d.writer.Received}
		}
	} else if h.on && d.writer.Written >= h.until && backlog <= limit/2 {
		h.on = false
	}
	if !h.on {
		return allowed
	}
	return refuse(now, ReasonBacklog, d.writing(max(h.until-d.writer.Written, backlog-limit/2)))
}

// writing is how long the disk needs for so many bytes.
func (d *Disk) writing(n int64) time.Duration {
	if !d.rate.known || d.rate.value <= 0 {
		return 10 * time.Millisecond
	}
	return seconds(float64(n) / d.rate.value)
}
