package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dfetch/eval/dataset"
	"dfetch/eval/diskbench"
	"dfetch/eval/freshdisk"
	"dfetch/eval/netlab"
	"dfetch/eval/peer"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// Bench runs single cells. Its fields must be set; it may be used for several
// cells at once.
type Bench struct {
	Networks map[string]netlab.Settings
	Store    *dataset.Store
	// Work is a folder for the runs' own folders, which they remove, at the latest when Close is called.
	Work string
	// Dfetch and Lab are absolute paths of the programs.
	Dfetch, Lab string
	Where       result.Where
	// Program is a short hash of the file Dfetch.
	Program string

	mu   sync.Mutex
	kept []string // folders of runs that are still there
}

// Removing thousands of files slows the making of others down for minutes on ext4, which does not use
// an inode again soon after its file was deleted and looks for others one by one. So the folders of runs
// with manyFiles are kept, keptRuns of them at most.
const (
	manyFiles = 1000
	keptRuns  = 24
)

// folder makes a run's folder, on a file system of its own if the cell wants that, and gives what removes it.
func (b *Bench) folder(cell scenarios.Cell, set dataset.Set) (dir string, clear func() error, err error) {
	if !cell.Scenario.FreshDisk {
		dir, err = os.MkdirTemp(b.Work, "run-")
		return dir, func() error { return b.clear(dir, set.Files) }, err
	}
	disk, err := freshdisk.Make(b.Work, (set.Bytes+set.Files*fileRoom)*int64(cell.Scenario.Receivers)*freshCopies)
	if errors.Is(err, freshdisk.ErrNone) {
		err = result.Missingf("%v", err)
	}
	if err != nil {
		return "", nil, err
	}
	return disk.Dir(), disk.Close, nil
}

// fileRoom is what a small file takes beside its content, freshCopies how often a peer may have the data on its disk: old, new, and what is
// being written.
const (
	fileRoom    = 4096
	freshCopies = 3
)

// clear removes a run's folder, or keeps it until later.
func (b *Bench) clear(dir string, files int64) error {
	if files < manyFiles {
		return os.RemoveAll(dir)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, dir)
	if len(b.kept) <= keptRuns {
		return nil
	}
	old := b.kept[0]
	b.kept = b.kept[1:]
	return os.RemoveAll(old)
}

// Close removes what runs have left.
func (b *Bench) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, dir := range b.kept {
		errs = append(errs, os.RemoveAll(dir))
	}
	b.kept = nil
	return errors.Join(errs...)
}

// Run measures one cell. Whatever goes wrong is in the result.
func (b *Bench) Run(ctx context.Context, cell scenarios.Cell, round int) result.Result {
	r := result.Result{
		Cell: cell.Name(), Group: cell.Group(), Peer: cell.Peer, Round: round, Outcome: result.OK,
		Started: time.Now().UTC().Truncate(time.Second), Load: result.LoadAverage(), Where: b.Where,
	}
	r.Program, r.Setup = b.identity(cell)
	err := b.run(ctx, cell, &r)
	if missing := (result.Missing{}); errors.As(err, &missing) {
		r.Outcome, r.Reason = result.Gap, missing.Reason
	} else if err != nil {
		r.Outcome, r.Reason = result.Failed, err.Error()
	}
	return r
}

// identity is what a result's Program and Setup are for a cell.
func (b *Bench) identity(cell scenarios.Cell) (program, setup string) {
	if strings.HasPrefix(cell.Peer, "dfetch") || cell.Scenario.Bench != "" {
		program = b.Program
	}
	return program, cell.Setup(b.Networks)
}

// run is a run from an empty folder to the verdict.
func (b *Bench) run(ctx context.Context, cell scenarios.Cell, r *result.Result) (err error) {
	if cell.Scenario.Bench != "" {
		r.FileSystem = result.FileSystem(b.Work)
		disk := diskbench.Bench{Store: b.Store, Work: b.Work, Dfetch: b.Dfetch, Lab: b.Lab}
		return disk.Run(ctx, cell, r)
	}
	p, ok := peer.Find(cell.Peer)
	if !ok {
		return result.Missingf("the lab knows no peer %s", cell.Peer)
	}
	set, err := b.Store.Source(ctx, cell.Scenario.Data, cell.Size)
	if err != nil {
		return err
	}
	r.Bytes, r.Files = set.Bytes, set.Files
	dir, clear, err := b.folder(cell, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clear()) }()
	job := peer.Job{Set: set, Scratch: filepath.Join(dir, "s"), Dfetch: b.Dfetch, Lab: b.Lab, Rate: b.Networks[cell.Net].Down.Rate}
	for i := range cell.Scenario.Receivers {
		job.Receivers = append(job.Receivers, peer.Receiver{Dir: filepath.Join(dir, fmt.Sprintf("r%d", i+1))})
	}
	if err := p.Check(job); err != nil {
		return err
	}
	r.Versions, r.FileSystem = peer.Versions(p), result.FileSystem(dir)
	if err := prepare(ctx, cell, job); err != nil {
		return err
	}
	net, err := b.network(cell, p, &job)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	return b.measure(ctx, cell, p, job, net, r)
}

// prepare makes the folders and the receivers' initial states.
func prepare(ctx context.Context, cell scenarios.Cell, job peer.Job) error {
	if err := os.Mkdir(job.Scratch, 0o777); err != nil {
		return err
	}
	if err := dataset.Cache(job.Set.Dir, true); err != nil {
		return err
	}
	for i, to := range job.Receivers {
		if err := os.Mkdir(to.Dir, 0o777); err != nil {
			return err
		}
		if err := job.Set.Populate(ctx, cell.StateOf(i), to.Dir); err != nil {
			return err
		}
		if err := dataset.Cache(to.Dir, cell.Cache == "warm"); err != nil {
			return err
		}
	}
	if cell.Scenario.Share > 1 {
		return nil // others run, and would write on
	}
	return dataset.Flush(job.Scratch)
}

// publishBox is the time that a publisher may take before the run.
const publishBox = 20 * time.Minute

var errPublish = fmt.Errorf("publishing took more than %v", publishBox)

// measure starts the peer, times the receivers and judges what they have.
func (b *Bench) measure(ctx context.Context, cell scenarios.Cell, p peer.Peer, job peer.Job, net network, r *result.Result) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	box := time.AfterFunc(publishBox, func() { cancel(errPublish) })
	begun := time.Now()
	session, err := p.Start(ctx, job)
	box.Stop()
	r.Publishing = time.Since(begun).Seconds()
	if err != nil {
		return err
	}
	before, err := net.sent()
	if err != nil {
		return errors.Join(err, closed(session))
	}
	err = b.timed(ctx, cell, session, job, net, r)
	after, countErr := net.sent()
	r.WireDown, r.WireUp = after.minus(before, net)
	r.LateMax = after.late.Seconds()
	r.DeviceDrops, r.DeliveryRefused = after.dropped-before.dropped, after.refused-before.refused
	r.Sender = session.Close()
	if err = errors.Join(err, countErr); err != nil || r.Outcome != result.OK {
		return err
	}
	for i, to := range job.Receivers {
		if err := judge(session, job.Set, i, to); err != nil {
			r.Outcome, r.Reason = result.Wrong, err.Error()
			return nil
		}
	}
	if err := tell(session, len(job.Receivers), r); err != nil {
		return err
	}
	if found := r.Sources["disk"]; found > 0 && nothingToFind(cell) {
		r.Outcome, r.Reason = result.Wrong, fmt.Sprintf("%d bytes were found on the disk of receivers that had nothing", found)
	}
	return nil
}

// nothingToFind tells whether a receiver's disk has nothing of use. All hosts share
// this machine's disk: a search that left a receiver's folder would find the
// source itself. Releases may hold the same content twice.
func nothingToFind(cell scenarios.Cell) bool {
	return (cell.State == "empty" || cell.State == "useless") && !strings.Contains(cell.Scenario.Data, ":")
}

func closed(s peer.Session) error { s.Close(); return nil }

// judge tells whether receiver i has what it should.
func judge(session peer.Session, set dataset.Set, i int, to peer.Receiver) error {
	if j, ok := session.(peer.Judge); ok {
		return j.Judge(i)
	}
	return set.Verify(to.Dest())
}

// tell adds what a session tells of its first receiver, and sums up all of them.
func tell(session peer.Session, receivers int, r *result.Result) error {
	teller, ok := session.(peer.Storyteller)
	if !ok {
		return nil
	}
	r.Sources = map[string]int64{}
	for i := range receivers {
		sources, timeline, err := teller.Story(i)
		if err != nil {
			return err
		}
		if i == 0 {
			r.Timeline = timeline
		}
		for name, n := range sources {
			r.Sources[name] += n
		}
	}
	return nil
}
