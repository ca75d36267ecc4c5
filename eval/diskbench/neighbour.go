package diskbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dfetch/eval/dataset"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

const (
	probeTime  = 3 * time.Second
	probeFile  = 1 << 30 // bytes of the file that the neighbour reads
	probeBytes = 4 << 10
	warmUp     = 500 * time.Millisecond // of the search, before the neighbour begins
)

// neighbour measures another process's reads, alone or beside a search that finds nothing.
func (b *Bench) neighbour(ctx context.Context, j *job, r *result.Result) error {
	probed, err := b.Store.Source(ctx, "file", scenarios.Size{Bytes: min(probeFile, j.Size.Total())})
	if err != nil {
		return err
	}
	searched, err := b.Store.Source(ctx, j.Scenario.Data, j.Size)
	if err != nil {
		return err
	}
	if err := errors.Join(dataset.Cache(probed.Dir, false), dataset.Cache(searched.Dir, false)); err != nil {
		return err
	}
	r.Bytes, r.Files = searched.Bytes, searched.Files
	switch j.Peer {
	case "alone":
		return b.probe(ctx, probed.Path(), r)
	case "dfetch":
		return b.besideSearch(ctx, j, searched.Dir, probed.Path(), r)
	}
	return j.unknown()
}

// besideSearch probes while dfetch get looks for a file that is nowhere.
func (b *Bench) besideSearch(ctx context.Context, j *job, folder, probed string, r *result.Result) error {
	file, err := b.wantedRecipe(ctx, j)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.Dfetch, "get", "-q", "--fsync", "none", "--search", folder, file, j.dir+"/dst/")
	cmd.Env = j.environment()
	p, err := proc.Start(cmd)
	if err != nil {
		return err
	}
	timer := time.NewTimer(warmUp)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.Done():
	}
	err = b.probe(ctx, probed, r)
	select {
	case <-p.Done():
		r.Outcome, r.Reason = result.Wrong, "the search ended before the neighbour did; it needs more to read"
	default:
	}
	r.Receiver = p.Stop()
	r.Figures["search-MB/s"] = float64(r.Receiver.DiskRead) / 1e6 / (warmUp + probeTime).Seconds()
	return err
}

// probe runs the neighbour; the seconds are the median read's.
func (b *Bench) probe(ctx context.Context, file string, r *result.Result) error {
	out, err := exec.CommandContext(ctx, b.Lab, "probe", file).Output()
	if err != nil {
		return fmt.Errorf("lab probe: %w", err)
	}
	var got Latencies
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("lab probe: %w", err)
	}
	r.Seconds = got.Median
	r.Figures["median-µs"], r.Figures["p99-µs"], r.Figures["reads"] = got.Median*1e6, got.P99*1e6, float64(got.Reads)
	return nil
}

// Latencies are what Probe measured, in seconds.
type Latencies struct {
	Median, P99 float64
	Reads       int
}

// Probe reads 4 KiB at random places of a file, one after the other and past the page cache, for three seconds.
func Probe(name string) (Latencies, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		return Latencies{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Latencies{}, err
	}
	blocks := info.Size() / probeBytes
	if blocks == 0 {
		return Latencies{}, fmt.Errorf("%s: %d bytes are too few to probe", name, info.Size())
	}
	rng := rand.New(rand.NewPCG(1, 1))
	buf := aligned(probeBytes)
	var took []float64
	for start := time.Now(); time.Since(start) < probeTime; {
		before := time.Now()
		if _, err := f.ReadAt(buf, rng.Int64N(blocks)*probeBytes); err != nil {
			return Latencies{}, err
		}
		took = append(took, time.Since(before).Seconds())
	}
	slices.Sort(took)
	return Latencies{Median: result.Median(took), P99: took[len(took)*99/100], Reads: len(took)}, nil
}

// aligned makes a buffer that reads past the page cache take.
func aligned(n int) []byte {
	raw := make([]byte, 2*n)
	skip := -uintptr(unsafe.Pointer(&raw[0])) & uintptr(n-1)
	return raw[skip : int(skip)+n : int(skip)+n]
}
