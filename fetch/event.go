package fetch

import (
	"fmt"
	"time"

	"dfetch/backpressure"
	"dfetch/costmodel"
)

// SourceID numbers the sources of a transfer, 0 … maxSources-1, in the order in which they came up.
// A source that comes back after an interruption gets a new number.
type SourceID int

// maxSources bounds the sources of one transfer, returns included: a chunk notes them in 64 bits.
const maxSources = 64

// Range is a run of neighbouring ordinals.
type Range struct {
	First uint64 `json:"f"`
	Count uint32 `json:"n"`
}

// EventKind says what happened.
type EventKind string

// Kinds of events.
const (
	// EvPlanned: the chunks First, First+1, … are needed; Lens has their bytes. Ordinals only grow.
	EvPlanned EventKind = "planned"
	// EvPlanDone: no more chunks will be planned.
	EvPlanDone EventKind = "plan-done"
	// EvUp: a source can be asked.
	EvUp EventKind = "up"
	// EvDown: a source has ended. All that it was asked for has been answered before.
	EvDown EventKind = "down"
	// EvArrived: chunks in Ranges came from Source, verified and written. Writer: what was done until then.
	EvArrived EventKind = "arrived"
	// EvFailed: chunks in Ranges will not come from Source; Why tells the reason.
	EvFailed EventKind = "failed"
	// EvSample: a source's round trip was measured.
	EvSample EventKind = "sample"

	// EvFile: a file is needed whose chunks are planned next. Files are numbered from 0 in this order.
	EvFile EventKind = "file"
	// EvRoot: a directory of the disk, numbered ID, that the search may start from. Root is its path.
	EvRoot EventKind = "root"
	// EvDevice: reading from Device was measured, which gave Speed.
	EvDevice EventKind = "device"
	// EvStated: directory ID was listed, with Files numbered from FirstFile and Dirs from FirstDir. More:
	// it goes on.
	EvStated EventKind = "stated"
	// EvHashed: a slice of file ID was hashed. What it had was told by EvFound before.
	EvHashed EventKind = "hashed"
	// EvChecked: ids were looked up in the index; what it has lies in Runs, numbered from FirstFile.
	EvChecked EventKind = "checked"
	// EvRead: run ID of the index was read. What it had was told by EvFound before.
	EvRead EventKind = "read"
	// EvFound: chunks in Ranges were found on the disk, verified and written.
	EvFound EventKind = "found"
	// EvRecalled: chunks lie in Runs, numbered from FirstFile, that were hashed before they were wanted.
	EvRecalled EventKind = "recalled"
	// EvNear: the chunks in Ranges, a run of missing ones, are not where they would be. Units bytes of a
	// file are there instead.
	EvNear EventKind = "near"
	// EvFine: the fine lists of chunks in Ranges came from Source and were compared. Lens has the missing
	// bytes of each, in order. With Why they did not come.
	EvFine EventKind = "fine"
	// EvMachine: what the kernel says about the disk and the processor, and what the writer has done.
	EvMachine EventKind = "machine"
	// EvDecided: the last decision took Seconds. It is told of those that took long.
	EvDecided EventKind = "decided"
)

// Why is the class of a failure: it decides whether the same source may be asked again.
type Why string

// Classes of failure.
const (
	WhyCanceled Why = "canceled" // ask again anywhere
	WhyClosed   Why = "closed"   // the source ended; ask again anywhere
	WhyCorrupt  Why = "corrupt"  // the bytes did not match
	WhyChanged  Why = "changed"  // the file changed at the source
	WhyNotHeld  Why = "not-held" // the source doesn't have it
	WhyPatch    Why = "patch"    // its parts made something else; ask for all of it
)

// Event is something that happened. It is a value, so that a run can be recorded and replayed.
type Event struct {
	Kind   EventKind     `json:"k"`
	Source SourceID      `json:"s,omitempty"`
	First  uint64        `json:"first,omitempty"`
	Lens   []uint32      `json:"lens,omitempty"`
	Ranges []Range       `json:"r,omitempty"`
	Why    Why           `json:"why,omitempty"`
	RTT    time.Duration `json:"rtt,omitempty"`
	Name   string        `json:"name,omitempty"`
	Zoom   bool          `json:"zoom,omitempty"` // EvUp: the source gives fine lists

	Starved bool `json:"dry,omitempty"` // EvArrived: as sources.Batch has it

	InOrder bool `json:"o,omitempty"` // EvFound: by hashing a file, in the order of its content

	Group     uint32      `json:"g,omitempty"` // EvPlanned: the file's number; EvHashed: see Late
	File      *WantedFile `json:"file,omitempty"`
	ID        uint32      `json:"id,omitempty"`
	Root      []string    `json:"root,omitempty"`
	Device    uint8       `json:"dev,omitempty"`
	FirstFile uint32      `json:"ff,omitempty"`
	Files     []DiskFile  `json:"files,omitempty"`
	FirstDir  uint32      `json:"fd,omitempty"`
	Dirs      []string    `json:"dirs,omitempty"`
	Runs      []IndexRun  `json:"runs,omitempty"`
	More      bool        `json:"more,omitempty"`
	Seconds   float64     `json:"sec,omitempty"`   // what the operation took
	Units     int64       `json:"units,omitempty"` // entries listed, or bytes hashed without the holes
	Found     int         `json:"found,omitempty"` // wanted chunks in the slice
	Late      int         `json:"late,omitempty"`  // EvHashed: chunks in it that have come another way, the last one of Group and right before First
	Spent     float64     `json:"spent,omitempty"` // EvHashed, EvRead: seconds of the processor, with what was written; about, for EvRead
	Cached    bool        `json:"cached,omitempty"`
	Failed    bool        `json:"failed,omitempty"` // it can't be read any further
	// Stalled: the disk does not answer. With Failed the operation was abandoned; else it was not begun, as the one before it was.
	Stalled bool `json:"stalled,omitempty"`

	Speed *DeviceSpeed `json:"speed,omitempty"` // EvDevice

	Disk      *backpressure.DiskSample   `json:"disk,omitempty"`
	Writeback int64                      `json:"wb,omitempty"` // with Disk: bytes that the kernel is writing
	CPU       *backpressure.CPUSample    `json:"cpu,omitempty"`
	Writer    *backpressure.WriterSample `json:"w,omitempty"` // EvMachine, EvArrived
}

// DeviceSpeed is what reading from a device costs, past the page cache.
type DeviceSpeed struct {
	Seek    float64 `json:"seek"`  // seconds, for a small read at a distant place
	PerByte float64 `json:"byte"`  // seconds, in a long read
	Depth   int     `json:"depth"` // operations that it serves at once with gain
}

// WantedFile is a file that is needed, with the place that it will have on this machine.
type WantedFile struct {
	Dirs   []string `json:"dirs"`
	Name   string   `json:"name"`
	Tree   []string `json:"tree,omitempty"` // the directories that it has in its tree, if it is fetched without those above it
	Size   int64    `json:"size"`
	MTime  int64    `json:"mtime"`
	Chunks int64    `json:"chunks,omitempty"` // how many it has; 0: not known
}

// IndexRun is a stretch of a file that the index says holds wanted chunks.
type IndexRun struct {
	Device uint8           `json:"dev,omitempty"`
	Bytes  int64           `json:"b"`           // to read, gaps included
	Hits   []costmodel.Hit `json:"h"`           // Group is the number of a wanted file
	Ranges []Range         `json:"r,omitempty"` // the chunks
}

// DiskFile is a file that a listing showed.
type DiskFile struct {
	Name  string `json:"n"`
	Size  int64  `json:"s"`
	MTime int64  `json:"m"`
}

// ActionKind says what to do.
type ActionKind string

// Kinds of actions.
const (
	// ActRequest: ask Source for Ranges.
	ActRequest ActionKind = "request"
	// ActCancel: take the request for Ranges back from Source; they have come from elsewhere.
	ActCancel ActionKind = "cancel"
	// ActDrop: close Source; it brings nothing but bad data.
	ActDrop ActionKind = "drop"
	// ActGiveUp: no source has Ranges; Why is the last reason.
	ActGiveUp ActionKind = "give-up"
	// ActStat: list directory ID of the disk.
	ActStat ActionKind = "stat"
	// ActHash: hash the slice of file ID that begins at Offset, of about Count bytes. Those of one Batch that follow
	// each other are one operation on the disk.
	ActHash ActionKind = "hash"
	// ActCheck: look the next Count planned chunks up in the index.
	ActCheck ActionKind = "check"
	// ActRead: read run ID of the index.
	ActRead ActionKind = "read"
	// ActZoom: ask Source for the fine lists of Ranges and compare them.
	ActZoom ActionKind = "zoom"
	// ActNear: file ID of the disk is to be compared with the chunks in Ranges.
	ActNear ActionKind = "near"
)

// Action is a decision of the core, for the shell to carry out.
type Action struct {
	Kind   ActionKind `json:"k"`
	Source SourceID   `json:"s,omitempty"`
	Ranges []Range    `json:"r,omitempty"`
	Why    Why        `json:"why,omitempty"`
	ID     uint32     `json:"id,omitempty"`
	Offset int64      `json:"off,omitempty"`
	Count  int64      `json:"n,omitempty"`
	Batch  uint32     `json:"b,omitempty"`
}

// String is the action on one line, as `dfetch replay` prints it.
func (a Action) String() string {
	switch a.Kind {
	case ActGiveUp:
		return fmt.Sprintf("%s %s (%s)", a.Kind, formatRanges(a.Ranges), a.Why)
	case ActStat:
		return fmt.Sprintf("%s directory %d", a.Kind, a.ID)
	case ActHash:
		return fmt.Sprintf("%s file %d from %d", a.Kind, a.ID, a.Offset)
	case ActCheck:
		return fmt.Sprintf("%s %d chunks", a.Kind, a.Count)
	case ActRead:
		return fmt.Sprintf("%s run %d", a.Kind, a.ID)
	case ActNear:
		return fmt.Sprintf("%s file %d to %s", a.Kind, a.ID, formatRanges(a.Ranges))
	case ActDrop:
		return fmt.Sprintf("%s source %d", a.Kind, a.Source)
	default:
		return fmt.Sprintf("%s source %d %s", a.Kind, a.Source, formatRanges(a.Ranges))
	}
}

func formatRanges(rs []Range) string {
	s := ""
	for i, r := range rs {
		if i == 8 {
			return fmt.Sprintf("%s and %d more ranges", s, len(rs)-i)
		}
		if i > 0 {
			s += ","
		}
		if r.Count == 1 {
			s += fmt.Sprint(r.First)
		} else {
			s += fmt.Sprintf("%d-%d", r.First, r.First+uint64(r.Count)-1)
		}
	}
	return s
}

// appendOrdinal adds an ordinal to ranges, lengthening the last one when it is the next.
func appendOrdinal(rs []Range, ord uint64) []Range {
	if n := len(rs); n > 0 && rs[n-1].First+uint64(rs[n-1].Count) == ord {
		rs[n-1].Count++
		return rs
	}
	return append(rs, Range{First: ord, Count: 1})
}
