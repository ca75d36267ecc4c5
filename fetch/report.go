package fetch

import (
	"runtime"
	"syscall"
	"time"

	"dfetch/recipe"
)

// ReportVersion is the version of the report's keys.
const ReportVersion = 1

// Report says what a transfer did. Its JSON keys are a contract (docs/json.md).
type Report struct {
	Version      int                     `json:"v"`
	Recipe       string                  `json:"recipe"`
	Files        uint64                  `json:"files"`
	Bytes        uint64                  `json:"bytes"`
	Chunks       uint64                  `json:"chunks"`
	ElapsedS     float64                 `json:"elapsed_s"`
	Exit         int                     `json:"exit"`
	Sources      map[string]SourceReport `json:"sources"`
	DiskOps      DiskOps                 `json:"disk_ops"`
	SharedBytes  uint64                  `json:"shared_bytes"`
	ResumedBytes uint64                  `json:"resumed_bytes"`
	Duplicate    uint64                  `json:"duplicate_bytes"`
	Rejected     uint64                  `json:"rejected_chunks"`
	ZoomBytes    uint64                  `json:"zoom_bytes"`
	LimitedBy    string                  `json:"limited_by"`
	FilesRight   uint64                  `json:"files_right"`
	FilesWritten uint64                  `json:"files_written"`
	Deleted      uint64                  `json:"deleted"`
	Failed       uint64                  `json:"failed"`
	Failures     []string                `json:"failures,omitempty"`
	Error        string                  `json:"error,omitempty"`
	RecipeBytes  uint64                  `json:"recipe_bytes"`
	Explained    []Explanation           `json:"explained,omitempty"`
	Unexplained  uint64                  `json:"unexplained,omitempty"` // files that were asked for beyond those
}

// SourceReport is what one kind of source brought.
type SourceReport struct {
	Bytes     uint64 `json:"bytes"`  // content bytes that it was the first to deliver
	Chunks    uint64 `json:"chunks"` // chunks of them
	WireBytes uint64 `json:"wire_bytes,omitempty"`
	ZoomBytes uint64 `json:"zoom_bytes,omitempty"` // of WireBytes: fine lists
}

// DiskOps counts operations of the search of the receiver's own disk.
type DiskOps struct {
	Stat       uint64 `json:"stat"`
	Hash       uint64 `json:"hash"`
	HashBytes  uint64 `json:"hash_bytes"`
	CacheCheck uint64 `json:"cache_check"`
	CacheRead  uint64 `json:"cache_read"`
	Stale      uint64 `json:"stale"`     // chunks that were not where the index knew them
	Changed    uint64 `json:"changed"`   // files that changed while they were read
	Private    uint64 `json:"private"`   // entries beside the destination that not every user may read
	Denied     uint64 `json:"denied"`    // entries that may not be read
	Errors     uint64 `json:"errors"`    // operations that failed otherwise
	Abandoned  uint64 `json:"abandoned"` // operations on disks that did not answer
}

// report sums the run up.
func (t *transfer) report(err error) *Report {
	elapsed := time.Since(t.start)
	r := &Report{
		Version: ReportVersion, Recipe: recipe.FormatID(recipe.BLAKE3, t.cfg.Recipe), ElapsedS: elapsed.Seconds(),
		Sources: t.sourceReports(), SharedBytes: t.result.ClonedBytes, ResumedBytes: t.result.ResumedBytes, Duplicate: t.stats.duplicate.Load(),
		Rejected: uint64(t.dial.traffic().rejected), RecipeBytes: uint64(t.nodeIn), LimitedBy: t.limitedBy(elapsed),
		FilesRight: t.result.RightFiles, FilesWritten: t.result.Files, Deleted: t.result.Deleted, Failed: t.result.FailedCount,
	}
	r.DiskOps = t.diskOps()
	if t.root != nil {
		r.Recipe = recipe.FormatID(t.root.Hash, t.cfg.Recipe)
		c := t.wanted()
		r.Files, r.Bytes, r.Chunks = c.Files, c.Bytes, c.Chunks
	}
	r.ZoomBytes = r.Sources["sender"].ZoomBytes
	for _, f := range t.result.Failed {
		r.Failures = append(r.Failures, f.String())
	}
	if len(t.cfg.Explain) > 0 {
		r.Explained, r.Unexplained = t.explain.explained(t.whyNetwork()), t.explain.more
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

func (t *transfer) diskOps() DiskOps {
	d := t.found
	return DiskOps{
		Stat: uint64(d.Stat), Hash: uint64(d.Hash), HashBytes: uint64(d.HashBytes),
		CacheCheck: uint64(d.CacheCheck), CacheRead: uint64(d.CacheRead), Stale: uint64(d.Stale), Changed: uint64(d.Changed),
		Private: uint64(d.Private), Denied: uint64(d.Denied), Errors: uint64(d.Errors), Abandoned: uint64(d.Abandoned),
	}
}

// sourceReports credits each byte to where it came from. Content that lies in the recipe came with
// it; holes need nothing from anywhere and count as the destination's.
func (t *transfer) sourceReports() map[string]SourceReport {
	out := make(map[string]SourceReport)
	for _, kind := range []string{"dest", "disk", "sender", "udp", "swarm", "web"} {
		out[kind] = SourceReport{}
	}
	for kind, s := range t.stats.bySource() {
		out[kind] = s
	}
	dest, sender := out["dest"], out["sender"]
	dest.Bytes += t.result.RightBytes + t.result.ResumedBytes + t.stats.holeBytes.Load()
	inline := t.stats.wholeBytes.Load() + t.stats.resumed.Load() - min(t.result.RightBytes+t.result.ResumedBytes, t.stats.wholeBytes.Load()+t.stats.resumed.Load())
	sender.Bytes += inline
	sent := t.dial.traffic()
	sender.WireBytes, sender.ZoomBytes = uint64(sent.wire), uint64(sent.zoomed)
	out["dest"], out["sender"] = dest, sender
	if t.root != nil {
		dest.Chunks = restOf(t.wanted(), out)
		out["dest"] = dest
	}
	return out
}

// wanted counts what is to be at the destination: what was planned, if that is a part of the recipe and
// known already, else what the root says.
func (t *transfer) wanted() recipe.Counts {
	c := t.root.Counts
	if s := t.stats; s.planDone.Load() && !t.cfg.Select.all() {
		c.Files, c.Bytes, c.Chunks = s.planFiles.Load(), s.planBytes.Load(), s.planChunks.Load()
	}
	return c
}

// restOf is how many chunks no source has brought, once all bytes are accounted for.
func restOf(want recipe.Counts, by map[string]SourceReport) (chunks uint64) {
	var bytes uint64
	for _, s := range by {
		bytes += s.Bytes
		chunks += s.Chunks
	}
	if bytes != want.Bytes {
		return 0
	}
	return want.Chunks - min(chunks, want.Chunks)
}

// limitedBy guesses what held the transfer back: the processor if it was nearly always busy with this
// process, the disk if the workers mostly wrote, else the network.
func (t *transfer) limitedBy(elapsed time.Duration) string {
	var ru syscall.Rusage
	cores := float64(runtime.GOMAXPROCS(0))
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) == nil {
		busy := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
		if busy.Seconds() > 0.85*cores*elapsed.Seconds() {
			return "cpu"
		}
	}
	if time.Duration(t.stats.writeTime.Load()).Seconds() > 0.5*cores*elapsed.Seconds() {
		return "disk"
	}
	return "network"
}
