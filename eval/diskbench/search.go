package diskbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/costmodel/homes"
	"dfetch/diskscan"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/fetch"
)

// orders are the peers of a search by their --disk-order.
var orders = map[string]string{"dfetch": "cpc", "dfetch-bfs": "bfs", "dfetch-allstats": "allstats"}

// lastLook is how long a search goes on after it found something that does not suffice.
const lastLook = 3 * time.Second

// search measures one row of Table 3.
func (b *Bench) search(ctx context.Context, j *job, r *result.Result) (err error) {
	i := slices.IndexFunc(homes.Table3(), func(row homes.Row) bool { return "row-"+row.Name == j.State })
	order, ok := orders[j.Peer]
	if i < 0 || !ok {
		return j.unknown()
	}
	row := homes.Table3()[i]
	home, err := b.home(j.Size.Count)
	if err != nil {
		return err
	}
	r.Bytes, r.Files = j.Size.Total(), j.Size.Count
	file, err := b.wantedRecipe(ctx, j)
	if err != nil {
		return err
	}
	if err := writeUseful(home, row); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tidy(home)) }()
	trace := filepath.Join(j.dir, "trace")
	dest := filepath.Join(append([]string{home}, homes.WantedDir()...)...)
	cmd := exec.CommandContext(ctx, b.Dfetch, "get", "--json", "--fsync", "none", "--search", home, "--disk-order", order,
		"--trace", trace, file, dest+"/")
	cmd.Env = j.environment()
	if r.Receiver, err = runSearch(ctx, cmd, row.Similar == 100); err != nil {
		return err
	}
	return judgeSearch(ctx, j, row, trace, r)
}

// wantedRecipe makes the recipe of the wanted file, whose content is nowhere afterwards.
func (b *Bench) wantedRecipe(ctx context.Context, j *job) (string, error) {
	source := filepath.Join(j.dir, homes.WantedName)
	if err := os.WriteFile(source, wanted(), 0o644); err != nil {
		return "", err
	}
	if err := os.Chtimes(source, time.Time{}, time.Unix(0, homes.WantedTime)); err != nil {
		return "", err
	}
	file, err := b.makeRecipe(ctx, j, source)
	return file, errors.Join(err, os.Remove(source))
}

// runSearch runs dfetch get. One that can't complete the file is stopped a while after it found the useful one.
func runSearch(ctx context.Context, cmd *exec.Cmd, completes bool) (result.Usage, error) {
	events := &watcher{found: make(chan struct{})}
	cmd.Stdout = events
	p, err := proc.Start(cmd)
	if err != nil {
		return result.Usage{}, err
	}
	if completes {
		return p.Wait()
	}
	select {
	case <-events.found:
	case <-p.Done():
	}
	timer := time.NewTimer(lastLook)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.Done():
	}
	_ = unix.Kill(p.PID(), unix.SIGINT) // it may have ended
	usage, _ := p.Wait()                // it was stopped, or has searched all and found too little: no error
	return usage, context.Cause(ctx)
}

// watcher reads the events of a get until one tells of bytes from the disk.
type watcher struct {
	found chan struct{} // closed then
	line  []byte
	done  bool
}

// Write implements io.Writer.
func (w *watcher) Write(p []byte) (int, error) {
	n := len(p)
	for !w.done {
		line, rest, ok := bytes.Cut(p, []byte("\n"))
		w.line = append(w.line, line...)
		if !ok {
			break
		}
		if w.done = tellsOfDisk(w.line); w.done {
			close(w.found)
		}
		w.line, p = w.line[:0], rest
	}
	return n, nil
}

func tellsOfDisk(line []byte) bool {
	var e struct {
		Sources map[string]struct {
			Bytes int64 `json:"bytes"`
		} `json:"sources"`
	}
	return json.Unmarshal(line, &e) == nil && e.Sources["disk"].Bytes > 0
}

// judgeSearch puts what the trace tells beside the paper's figures.
func judgeSearch(ctx context.Context, j *job, row homes.Row, trace string, r *result.Result) error {
	h, err := opened(trace, readHunt)
	if err != nil {
		return err
	}
	if !h.found {
		r.Outcome, r.Reason = result.Wrong, fmt.Sprintf("the useful file was not hashed; %d directories and %d files were", h.stats, len(h.hashed))
		return nil
	}
	spent, err := opened(trace, timeDecisions)
	if err != nil {
		return err
	}
	share := float64(h.stats) / float64(dirsOf(j.Size.Count))
	r.Seconds = h.at.Seconds()
	r.Figures["stats"], r.Figures["dirs-%"], r.Figures["stats-beside"] = float64(h.stats), 100*share, float64(h.beside)
	r.Figures["hashed"], r.Figures["hashed-MB"] = float64(len(h.hashed)), float64(h.bytes())/1e6
	r.Figures["of-paper"] = max(share/row.Share, float64(len(h.hashed))/float64(row.Hashed), float64(h.bytes())/row.Bytes)
	r.Figures["planning-%"] = 100 * (spent.Deciding + spent.Listing).Seconds() / h.end.Seconds()
	r.Figures["deciding-%"] = 100 * spent.Deciding.Seconds() / h.end.Seconds()
	r.Figures["µs-an-entry"] = 1e6 * spent.Listing.Seconds() / float64(max(1, spent.Entries))
	return ctx.Err()
}

// timeDecisions makes a trace's decisions again and returns the processor time that they took.
func timeDecisions(trace io.Reader) (fetch.Spent, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return fetch.TimeReplay(trace, diskscan.ThreadTime)
}

// opened opens a trace for a function.
func opened[T any](trace string, read func(io.Reader) (T, error)) (got T, err error) {
	file, err := os.Open(trace)
	if err != nil {
		return got, err
	}
	defer file.Close()
	return read(file)
}

// hunt is what a search did until it had hashed the useful file.
type hunt struct {
	stats  int              // directories whose listing was decided on before the hashing of the useful file
	beside int              // that were decided on while it went on
	hashed map[uint32]int64 // bytes of each file
	found  bool
	at     time.Duration // since the start
	end    time.Duration // of the trace

	sizes   map[uint32]int64 // of the files that were listed
	hashing map[uint32]int64 // where the slice begins that was decided on last
	decided int              // listings so far
	before  map[uint32]int   // of them, when the hashing of a file was decided on
	begun   bool             // the useful file has shown itself
	useful  uint32
}

// readHunt reads a trace of get. The useful file is the first that had wanted chunks; it counts up to its last slice.
func readHunt(trace io.Reader) (*hunt, error) {
	h := &hunt{hashed: map[uint32]int64{}, before: map[uint32]int{}, sizes: map[uint32]int64{}, hashing: map[uint32]int64{}}
	lines := json.NewDecoder(trace)
	for {
		var line struct {
			At      time.Duration  `json:"at"`
			Event   *fetch.Event   `json:"ev"`
			Actions []fetch.Action `json:"act"`
		}
		err := lines.Decode(&line)
		if errors.Is(err, io.EOF) {
			h.sumUp()
			return h, nil
		}
		if err != nil {
			return h, fmt.Errorf("trace: %w", err)
		}
		h.end = line.At
		if h.found {
			continue
		}
		for _, a := range line.Actions {
			h.decide(a)
		}
		if line.Event != nil {
			h.happen(line.At, line.Event)
		}
	}
}

// decide takes in a decision.
func (h *hunt) decide(a fetch.Action) {
	switch a.Kind {
	case fetch.ActStat:
		h.decided++
	case fetch.ActHash:
		if _, again := h.before[a.ID]; !again {
			h.before[a.ID] = h.decided
		}
		h.hashing[a.ID] = a.Offset
	}
}

// happen takes in a listing, or the end of a slice.
func (h *hunt) happen(at time.Duration, e *fetch.Event) {
	switch e.Kind {
	case fetch.EvStated:
		for i, f := range e.Files {
			h.sizes[e.FirstFile+uint32(i)] = f.Size
		}
	case fetch.EvHashed:
		h.hashed[e.ID] = h.sizes[e.ID]
		if !e.Failed { // else the file has been read to its end
			h.hashed[e.ID] = h.sliceEnd(e.ID)
		}
		if e.Found > 0 && !h.begun {
			h.begun, h.useful = true, e.ID
		}
		if h.begun && e.ID == h.useful {
			h.at, h.found = at, e.Failed
		}
	}
}

// sliceEnd is where the slice of a file ends that was decided on last.
func (h *hunt) sliceEnd(file uint32) int64 { return min(h.hashing[file]+sliceBytes, h.sizes[file]) }

// sliceBytes is what one operation hashes of a file.
const sliceBytes = 8 << 20

// bytes is how much was hashed.
func (h *hunt) bytes() (sum int64) {
	for _, n := range h.hashed {
		sum += n
	}
	return sum
}

// sumUp counts the listings. A transfer that is complete may end without the last slice's event.
func (h *hunt) sumUp() {
	if h.begun && !h.found {
		h.found, h.hashed[h.useful] = true, h.sliceEnd(h.useful)
	}
	h.stats = h.before[h.useful]
	h.beside = h.decided - h.stats
}
