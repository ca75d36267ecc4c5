package diskbench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"dfetch/eval/dataset"
	"dfetch/eval/proc"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// Bench measures cells whose scenario names a bench. Its fields must be set.
type Bench struct {
	Store *dataset.Store
	// Work is a folder for what one measurement needs, on the disk that is measured.
	Work string
	// Dfetch and Lab are absolute paths of the programs.
	Dfetch, Lab string
}

// measurements are the benches by name.
var measurements = map[string]func(*Bench, context.Context, *job, *result.Result) error{
	"search":    (*Bench).search,
	"index":     (*Bench).indexed,
	"neighbour": (*Bench).neighbour,
	"hash":      (*Bench).hash,
	"plan":      (*Bench).plan,
}

// job is one measurement.
type job struct {
	scenarios.Cell
	dir string // a folder of its own, empty at first
}

// Run measures one cell within its box. A state or peer that the bench does not know is a result.Missing.
func (b *Bench) Run(ctx context.Context, cell scenarios.Cell, r *result.Result) error {
	measure, ok := measurements[cell.Scenario.Bench]
	if !ok {
		return result.Missingf("no bench %q", cell.Scenario.Bench)
	}
	dir, err := os.MkdirTemp(b.Work, "disk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, cell.Scenario.Box)
	defer cancel()
	r.WireDown, r.WireUp = -1, -1
	r.Figures = map[string]float64{}
	return measure(b, ctx, &job{cell, dir}, r)
}

// unknown is the error for a cell that a bench has no measurement for.
func (j *job) unknown() error {
	return result.Missingf("bench %s has no state %s of %s", j.Scenario.Bench, j.State, j.Peer)
}

// environment gives dfetch keys and caches of its own.
func (j *job) environment() []string {
	return append(os.Environ(), "XDG_CONFIG_HOME="+filepath.Join(j.dir, "config"),
		"XDG_CACHE_HOME="+filepath.Join(j.dir, "cache"), "XDG_STATE_HOME="+filepath.Join(j.dir, "state"))
}

// makeRecipe describes a file or tree and returns the recipe's path.
func (b *Bench) makeRecipe(ctx context.Context, j *job, of string) (string, error) {
	file := filepath.Join(j.dir, "set.dfr")
	if _, err := b.dfetch(ctx, j, "recipe", "-q", "-o", file, of); err != nil {
		return "", err
	}
	return file, nil
}

// dfetch runs dfetch and returns what it used.
func (b *Bench) dfetch(ctx context.Context, j *job, args ...string) (result.Usage, error) {
	cmd := exec.CommandContext(ctx, b.Dfetch, args...)
	cmd.Env = j.environment()
	usage, err := proc.Run(cmd)
	if err != nil {
		return usage, fmt.Errorf("dfetch %s: %w", args[0], err)
	}
	return usage, nil
}
