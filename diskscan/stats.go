package diskscan

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Stats are what a Disk has done so far.
type Stats struct {
	Stat       int64 `json:"stat"`        // directories listed
	Entries    int64 `json:"entries"`     // of these directories
	Hash       int64 `json:"hash"`        // slices of files cut and hashed
	HashBytes  int64 `json:"hash_bytes"`  // their bytes, holes included
	CacheCheck int64 `json:"cache_check"` // sweeps through the index
	CheckedIDs int64 `json:"checked_ids"` // ids that were looked up
	CacheRead  int64 `json:"cache_read"`  // runs read because of index hits
	ReadBytes  int64 `json:"read_bytes"`  // bytes of these runs, gaps included
	Found      int64 `json:"found"`       // chunks handed over
	FoundBytes int64 `json:"found_bytes"`
	Stale      int64 `json:"stale"`     // index hits whose file had changed, or whose bytes were others
	Changed    int64 `json:"changed"`   // files that changed while they were read
	Untrusted  int64 `json:"untrusted"` // index hits that are followed for trusted recipes alone
	Private    int64 `json:"private"`   // entries that not every user may read, or with a leading dot, where that counts
	Denied     int64 `json:"denied"`    // entries that may not be read
	Skipped    int64 `json:"skipped"`   // entries outside the scope, neither directory nor file, or seen before
	Errors     int64 `json:"errors"`    // operations that failed otherwise
	Abandoned  int64 `json:"abandoned"` // operations that did not come back in time
	Running    int64 `json:"running"`   // operations under way, abandoned ones included
}

type counters struct {
	stat, entries, hash, hashBytes, check, checked, read, readBytes, found, foundBytes atomic.Int64
	stale, changed, untrusted, private, denied, skipped, errors, abandoned, running    atomic.Int64
}

// Stats returns the counts so far.
func (d *Disk) Stats() Stats {
	c := &d.count
	return Stats{
		Stat: c.stat.Load(), Entries: c.entries.Load(), Hash: c.hash.Load(), HashBytes: c.hashBytes.Load(),
		CacheCheck: c.check.Load(), CheckedIDs: c.checked.Load(), CacheRead: c.read.Load(), ReadBytes: c.readBytes.Load(),
		Found: c.found.Load(), FoundBytes: c.foundBytes.Load(), Stale: c.stale.Load(), Changed: c.changed.Load(),
		Untrusted: c.untrusted.Load(), Private: c.private.Load(), Denied: c.denied.Load(), Skipped: c.skipped.Load(), Errors: c.errors.Load(),
		Abandoned: c.abandoned.Load(), Running: c.running.Load(),
	}
}

// countError counts an operation that failed, unless its caller ended it. What did not come back is counted
// where it was abandoned.
func (d *Disk) countError(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrStalled), errors.Is(err, ErrClosed):
	case isDenied(err):
		d.count.denied.Add(1)
	case isSkipped(err):
		d.count.skipped.Add(1)
	default:
		d.count.errors.Add(1)
	}
}

func isDenied(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

// isSkipped says whether something is left alone on purpose: it is another mount, for example.
func isSkipped(err error) bool {
	return errors.Is(err, ErrSeen) || errors.Is(err, ErrOutside) || errors.Is(err, unix.EXDEV)
}
