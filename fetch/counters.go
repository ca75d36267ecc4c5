package fetch

import (
	"sync"
	"sync/atomic"
)

// counters are what progress and report read. Safe for concurrent use.
type counters struct {
	writeTime  atomic.Int64  // nanoseconds that workers spent in writing
	planFiles  atomic.Uint64 // regular files that were planned
	planBytes  atomic.Uint64 // their sizes
	planChunks atomic.Uint64 // their chunk references
	wholeBytes atomic.Uint64 // sizes of files that need no chunks: right, resumed whole, or in the recipe
	holeBytes  atomic.Uint64 // holes of files that need chunks
	resumed    atomic.Uint64 // bytes of chunks that an earlier run had staged
	duplicate  atomic.Uint64
	planDone   atomic.Bool

	mu    sync.Mutex
	kinds map[string]*SourceReport
}

func newCounters() *counters {
	return &counters{kinds: map[string]*SourceReport{}}
}

// arrived counts chunks that a kind of source delivered, once for each place that they serve. What a patch
// took from this machine's disk counts as the disk's.
func (c *counters) arrived(kind string, all []claimed) {
	var bytes, chunks, own uint64
	for i := range all {
		got := &all[i]
		n := uint64(got.want.Len)
		if got.dup {
			c.duplicate.Add(n)
			continue
		}
		times := uint64(1 + len(got.more))
		bytes += (n - uint64(got.own)) * times
		own += uint64(got.own) * times
		chunks += times
	}
	if chunks > 0 {
		c.add(kind, bytes, chunks)
	}
	if own > 0 {
		c.add("disk", own, 0)
	}
}

func (c *counters) add(kind string, bytes, chunks uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.kinds[kind]
	if r == nil {
		r = &SourceReport{}
		c.kinds[kind] = r
	}
	r.Bytes += bytes
	r.Chunks += chunks
}

// bySource is a copy of the counts by kind of source.
func (c *counters) bySource() map[string]SourceReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]SourceReport, len(c.kinds))
	for k, r := range c.kinds {
		out[k] = *r
	}
	return out
}
