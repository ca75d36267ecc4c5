package result

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Version is of the lines' meaning.
const Version = 1

// Outcome tells how a run ended.
type Outcome string

// Outcomes. Only OK has figures to compare.
const (
	OK      Outcome = "ok"
	Gap     Outcome = "gap"      // it could not be tried; Reason says why
	TimeBox Outcome = "time box" // it was stopped; Seconds is the box
	Wrong   Outcome = "wrong"    // it ended without error, and the result differs from the source
	Failed  Outcome = "failed"   // the command, or the lab around it, gave an error
)

// Missing is the error of what can't be measured here, such as a program that
// is not installed. A run that meets it is a Gap, not a failure.
type Missing struct{ Reason string }

// Error returns the reason.
func (m Missing) Error() string { return m.Reason }

// Missingf makes a Missing.
func Missingf(format string, args ...any) error { return Missing{fmt.Sprintf(format, args...)} }

// Result is one run of one cell.
type Result struct {
	V       int     `json:"v"`
	Cell    string  `json:"cell"` // its name: scenario/key=value/…/peer=name
	Group   string  `json:"group"`
	Peer    string  `json:"peer"`
	Round   int     `json:"round"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"`
	// Seconds is the time until the last receiver's command ended; First and
	// Mean are over the receivers.
	Seconds float64 `json:"seconds"`
	First   float64 `json:"first_s,omitempty"`
	Mean    float64 `json:"mean_s,omitempty"`
	// Bytes is the size of the source, not of what was transferred.
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
	// WireDown and WireUp are IP bytes that the sender's link took from and gave
	// to the sender; what was lost later is in them. −1 where no link was measured.
	WireDown int64 `json:"wire_down"`
	WireUp   int64 `json:"wire_up"`
	Receiver Usage `json:"receiver"`
	Sender   Usage `json:"sender"`
	// LateMax is how late the emulator delivered at worst, a measure of noise.
	LateMax float64 `json:"late_max_s,omitempty"`
	// DeviceDrops and DeliveryRefused are packets that the emulator's devices lost, and no setting of a link.
	DeviceDrops     int64 `json:"device_drops,omitempty"`
	DeliveryRefused int64 `json:"delivery_refused,omitempty"`
	// Publishing is the seconds before the run that the publisher's work took. Not in Seconds, and 0 in old results.
	Publishing float64 `json:"publishing_s,omitempty"`
	// Load is the machine's load average when the run began.
	Load float64 `json:"load"`
	// Sources are content bytes by source, where the program tells them.
	Sources  map[string]int64 `json:"sources,omitempty"`
	Timeline []Point          `json:"timeline,omitempty"`
	// Figures are what else was measured, by name and unit.
	Figures map[string]float64 `json:"figures,omitempty"`
	Started time.Time          `json:"started"`
	// Program is of dfetch's file, Setup of what the cell's name leaves open, such as the network's figures: the first
	// digits of hashes. Runs that differ in them are not of one cell. Empty in results that are older than they.
	Program string `json:"program,omitempty"`
	Setup   string `json:"setup,omitempty"`
	// Versions are of the programs of others that ran: "zsync 0.6.2, zsyncmake 0.6.2". Empty where none did, and in
	// results that are older than this field, as is FileSystem, the kind of the first receiver's, such as ext4.
	Versions   string `json:"versions,omitempty"`
	FileSystem string `json:"file_system,omitempty"`
	Where
}

// Late tells whether the emulator was so late at worst that the time says little: more than 20 ms, and more than a
// thirtieth of the run.
func (r Result) Late() bool { return r.LateMax > max(0.02, r.Seconds/30) }

// Alike tells whether two runs of a cell are of the same program and setup.
func (r Result) Alike(o Result) bool { return r.Program == o.Program && r.Setup == o.Setup }

// Usage is what processes took. Several receivers' CPU and reads are summed;
// memory is that of the largest process.
type Usage struct {
	CPU       float64 `json:"cpu_s"`
	PeakBytes int64   `json:"peak_bytes"`
	DiskRead  int64   `json:"disk_read"` // bytes that came from the device
}

// Add adds the usage of another process.
func (u *Usage) Add(v Usage) {
	u.CPU += v.CPU
	u.DiskRead += v.DiskRead
	u.PeakBytes = max(u.PeakBytes, v.PeakBytes)
}

// Point is a moment of a transfer: content bytes by source so far.
type Point struct {
	T       float64          `json:"t"`
	Sources map[string]int64 `json:"sources"`
}

// Append adds one line to the file of that name. What a crash or a full disk left of an earlier line goes.
func Append(name string, r Result) error {
	r.V = Version
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	err = dropTorn(f)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
	}
	return errors.Join(err, f.Close())
}

// dropTorn cuts off a last line that is not whole.
func dropTorn(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var last [1]byte
	end := size
	for ; end > 0; end-- {
		if _, err := f.ReadAt(last[:], end-1); err != nil {
			return err
		}
		if last[0] == '\n' {
			break
		}
	}
	if end == size {
		return nil
	}
	return f.Truncate(end)
}

// Read returns a file's results in order. A file that is not there has none; a
// last line that a crash cut short is left out.
func Read(name string) ([]Result, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Result
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	var broken error
	for n := 1; lines.Scan(); n++ {
		if broken != nil {
			return nil, broken
		}
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			broken = fmt.Errorf("%s:%d: %w", name, n, err)
			continue
		}
		if r.V != Version {
			return nil, fmt.Errorf("%s:%d: version %d, want %d", name, n, r.V, Version)
		}
		out = append(out, r)
	}
	return out, lines.Err()
}
