package diskbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"

	"dfetch/diskscan"
	"dfetch/eval/dataset"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/fetch"
	"dfetch/recipe"
)

// indexed measures one cell of Table 2.
func (b *Bench) indexed(ctx context.Context, j *job, r *result.Result) error {
	set, err := b.Store.Source(ctx, j.Scenario.Data, j.Size)
	if err != nil {
		return err
	}
	r.Bytes, r.Files = set.Bytes, set.Files
	switch j.State + " " + j.Peer {
	case "disk dfetch":
		return b.fromIndex(ctx, j, set, r)
	case "disk sequential":
		return b.sequential(ctx, j, set, r)
	case "model dfetch":
		return b.modelled(ctx, j, set, readRuns, r)
	case "model naive":
		return b.modelled(ctx, j, set, readNaively, r)
	}
	return j.unknown()
}

// fromIndex runs dfetch get on content that is indexed and not in memory.
func (b *Bench) fromIndex(ctx context.Context, j *job, set dataset.Set, r *result.Result) error {
	file, err := b.makeRecipe(ctx, j, set.Path())
	if err != nil {
		return err
	}
	if _, err := b.dfetch(ctx, j, "index", "add", set.Dir); err != nil {
		return err
	}
	if err := errors.Join(dataset.Flush(j.dir), dataset.Cache(set.Dir, false), dataset.Cache(filepath.Join(j.dir, "cache"), false)); err != nil {
		return err
	}
	report := filepath.Join(j.dir, "report")
	start := time.Now()
	r.Receiver, err = b.dfetch(ctx, j, "get", "-q", "--fsync", "none", "--trust-recipe", "--report", report, file, filepath.Join(j.dir, "dst")+"/")
	r.Seconds = time.Since(start).Seconds()
	if err != nil {
		return err
	}
	return judgeReport(report, r)
}

// judgeReport sees that all came by way of the index.
func judgeReport(name string, r *result.Result) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var report fetch.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	r.Figures["reads"], r.Figures["hashed-MB"] = float64(report.DiskOps.CacheRead), float64(report.DiskOps.HashBytes)/1e6
	r.Sources = map[string]int64{"disk": int64(report.Sources["disk"].Bytes)}
	if report.Sources["disk"].Bytes != report.Bytes || report.DiskOps.CacheRead == 0 {
		r.Outcome, r.Reason = result.Wrong, fmt.Sprintf("%d of %d bytes came from the disk, in %d reads by the index",
			report.Sources["disk"].Bytes, report.Bytes, report.DiskOps.CacheRead)
	}
	return nil
}

// sequential copies and hashes the file from its start to its end, in a process of its own.
func (b *Bench) sequential(ctx context.Context, j *job, set dataset.Set, r *result.Result) error {
	if err := errors.Join(dataset.Flush(j.dir), dataset.Cache(set.Dir, false)); err != nil {
		return err
	}
	start := time.Now()
	usage, err := proc.Run(exec.CommandContext(ctx, b.Lab, "copy", set.Path(), filepath.Join(j.dir, "copy")))
	r.Seconds, r.Receiver = time.Since(start).Seconds(), usage
	return err
}

// CopyAndHash copies a file in pieces of 1 MiB and hashes what it copies: the plain way to which reading by the index is
// compared.
func CopyAndHash(from, to string) (sum []byte, err error) {
	in, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return nil, err
	}
	h := blake3.New()
	// Neither end may take the copy into its own hands.
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(out, h)}, struct{ io.Reader }{in}, make([]byte, 1<<20))
	return h.Sum(nil), errors.Join(err, out.Close())
}

// modelled reads an indexed file by way of the model's disk.
func (b *Bench) modelled(ctx context.Context, j *job, set dataset.Set, read reading, r *result.Result) error {
	x := diskscan.OpenIndex(diskscan.IndexConfig{Dir: filepath.Join(j.dir, "index"), Wait: true})
	defer x.Close()
	if _, err := diskscan.Update(ctx, diskscan.UpdateConfig{Index: x, Roots: []string{set.Dir}}); err != nil {
		return err
	}
	chunks, err := chunksOf(ctx, set.Dir)
	if err != nil {
		return err
	}
	m := newModel()
	disk, files, done, err := openFolder(ctx, set.Dir, diskscan.Config{Index: x, Reader: m})
	if err != nil {
		return err
	}
	defer done()
	got, err := read(ctx, m, disk, filepath.Join(set.Dir, files[0].Name), chunks)
	if err != nil {
		return err
	}
	if got != set.Bytes {
		return fmt.Errorf("%d of %d bytes were read", got, set.Bytes)
	}
	r.Seconds = m.took().Seconds()
	return nil
}

// reading brings all chunks of a file, and returns how many bytes those had that were right.
type reading func(ctx context.Context, m *model, d *diskscan.Disk, path string, chunks []diskscan.Chunk) (int64, error)

// chunksOf are the chunks of a folder's one file, in order.
func chunksOf(ctx context.Context, dir string) (chunks []diskscan.Chunk, err error) {
	disk, files, done, err := openFolder(ctx, dir, diskscan.Config{})
	if err != nil {
		return nil, err
	}
	defer done()
	var mu sync.Mutex
	err = hashFile(ctx, disk, files[0], func(diskscan.Chunk) bool { return true }, func(f *diskscan.Found) {
		mu.Lock()
		defer mu.Unlock()
		chunks = append(chunks, f.Chunks...)
		f.Release()
	})
	return chunks, err
}

// readRuns asks the index in one sweep and reads the runs that it gives, as dfetch get does.
func readRuns(ctx context.Context, m *model, d *diskscan.Disk, _ string, chunks []diskscan.Chunk) (int64, error) {
	var ids []recipe.ID
	for _, c := range chunks {
		ids = append(ids, c.ID)
	}
	m.sweep(int64(len(ids)))
	sweep, err := d.Check(ctx, ids)
	if err != nil {
		return 0, err
	}
	var read atomic.Int64
	for _, run := range sweep.Runs {
		_, err := d.Read(ctx, run, nil, func(f *diskscan.Found) {
			read.Add(int64(len(f.Data)))
			m.save(int64(len(f.Data)))
			f.Release()
		})
		if err != nil {
			return read.Load(), err
		}
	}
	return read.Load(), nil
}

// readNaively reads one chunk after the other in the order of the recipe, each for itself.
func readNaively(_ context.Context, m *model, _ *diskscan.Disk, path string, chunks []diskscan.Chunk) (got int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	longest := slices.MaxFunc(chunks, func(a, b diskscan.Chunk) int { return a.Len - b.Len }).Len
	buf := make([]byte, longest)
	for _, c := range chunks {
		m.disturb()
		if _, err := m.ReadAt(int(file.Fd()), buf[:c.Len], c.Offset); err != nil {
			return got, err
		}
		if recipe.BLAKE3.Chunk(buf[:c.Len]) != c.ID {
			continue
		}
		got += int64(c.Len)
		m.save(int64(c.Len))
	}
	return got, nil
}
