package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/eval/dataset"
	"dfetch/eval/freshdisk"
	"dfetch/eval/netlab"
	"dfetch/eval/peer"
	"dfetch/eval/proc"
	"dfetch/eval/report"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
	"dfetch/eval/trial"
)

// programDigits are the digits of dfetch's hash that a result has.
const programDigits = 12

// runFlags are the flags of lab run.
type runFlags struct {
	suite, only, peers, out, work, dfetch string
	seed                                  uint64
	budget                                time.Duration
	rounds                                int
	scale                                 float64
}

func (f *runFlags) parse(args []string) error {
	set := flag.NewFlagSet("lab run", flag.ContinueOnError)
	set.StringVar(&f.suite, "suite", "smoke", "suite of scenarios, or a scenario's name")
	set.StringVar(&f.only, "only", "", "run only cells whose names have all of these parts, separated by commas: state=empty,net=t1")
	set.StringVar(&f.peers, "peers", "", "run only these peers, separated by commas")
	set.StringVar(&f.out, "o", "eval/results/lab.jsonl", "result file; cells that it has are not run again")
	set.StringVar(&f.work, "work", "eval/out", "folder for data sets and runs")
	set.StringVar(&f.dfetch, "dfetch", "bin/dfetch", "the dfetch to measure")
	set.Uint64Var(&f.seed, "seed", 1, "of the order of the runs")
	set.DurationVar(&f.budget, "budget", 0, "begin no run that may end later than this")
	set.IntVar(&f.rounds, "rounds", 0, "at most so many rounds of each scenario")
	set.Float64Var(&f.scale, "scale", 1, "make every size this much larger or smaller")
	if err := set.Parse(args); err != nil {
		return err
	}
	if !(f.scale > 0 && f.scale <= 1000) {
		return fmt.Errorf("run: -scale %v: want more than 0, up to 1000", f.scale)
	}
	if f.rounds < 0 || f.budget < 0 {
		return fmt.Errorf("run: -rounds %d, -budget %v: want 0 or more", f.rounds, f.budget)
	}
	if set.NArg() > 0 {
		return fmt.Errorf("run: unexpected %q", set.Arg(0))
	}
	return nil
}

func runCommand(ctx context.Context, args []string) error {
	var f runFlags
	if err := f.parse(args); err != nil {
		return err
	}
	list, err := f.selected()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(s *scenarios.Scenario) bool { return s.Topology != "loopback" && s.Bench == "" }) {
		if err := netlab.Supported(); err != nil {
			return err
		}
	}
	debug.SetGCPercent(50) // the figures of memory are better while the lab is small
	bench, err := f.bench()
	if err != nil {
		return err
	}
	unlock, err := claim(bench.Work)
	if err != nil {
		return err
	}
	defer unlock()
	left, err := trial.Run(ctx, trial.Config{
		Bench: bench, File: f.out, Seed: f.seed, Budget: f.budget, Rounds: f.rounds,
		Note: func(line string) { fmt.Fprintln(os.Stderr, line) },
	}, list)
	if left > 0 {
		fmt.Fprintf(os.Stderr, "the budget left %d runs over; the same command goes on with them, where the budget is longer than a run may take\n", left)
	}
	return errors.Join(err, bench.Close())
}

// selected are the scenarios of the suite, with the peers and cells asked for.
func (f *runFlags) selected() ([]*scenarios.Scenario, error) {
	all, err := scenarios.Load()
	if err != nil {
		return nil, err
	}
	var out []*scenarios.Scenario
	known := map[string]bool{}
	for _, s := range all {
		if s.Name != f.suite && !slices.Contains(s.Suites, f.suite) {
			continue
		}
		for _, p := range s.Peers {
			known[p] = true
		}
		if f.peers != "" {
			wanted := strings.Split(f.peers, ",")
			s.Peers = slices.DeleteFunc(s.Peers, func(p string) bool { return !slices.Contains(wanted, p) })
		}
		if f.scale != 1 {
			for i := range s.Sizes {
				s.Sizes[i] = s.Sizes[i].Scaled(f.scale)
			}
		}
		s.Only = nonEmpty(strings.Split(f.only, ","))
		out = append(out, s)
	}
	return out, f.check(out, known)
}

// check says what of the selection there is not. known are the peers of all that the suite has.
func (f *runFlags) check(list []*scenarios.Scenario, known map[string]bool) error {
	if len(list) == 0 {
		return fmt.Errorf("no suite or scenario %q; see lab list", f.suite)
	}
	for _, p := range nonEmpty(strings.Split(f.peers, ",")) {
		if !known[p] {
			return fmt.Errorf("run: -peers: %s has no peer %q", f.suite, p)
		}
	}
	for _, s := range list {
		if slices.ContainsFunc(s.Groups(), func(g []scenarios.Cell) bool { return len(g) > 0 }) {
			return nil
		}
	}
	return fmt.Errorf("run: -only %s: no cell of %s has that", f.only, f.suite)
}

func nonEmpty(list []string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

// bench makes the folders and finds the programs.
func (f *runFlags) bench() (*trial.Bench, error) {
	networks, err := scenarios.Networks()
	if err != nil {
		return nil, err
	}
	work, err := filepath.Abs(f.work)
	if err != nil {
		return nil, err
	}
	dfetch, err := program(f.dfetch)
	if err != nil {
		return nil, err
	}
	hash, err := dataset.SHA256(dfetch)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &trial.Bench{
		Networks: networks, Store: &dataset.Store{Dir: filepath.Join(work, "data")}, Work: filepath.Join(work, "runs"),
		Dfetch: dfetch, Program: hash[:programDigits], Lab: self, Where: result.Here(".").Of(dfetch),
	}
	err = errors.Join(os.MkdirAll(b.Work, 0o777), os.MkdirAll(b.Store.Dir, 0o777), os.MkdirAll(filepath.Dir(f.out), 0o777))
	return b, err
}

// claim keeps other labs out of the folder of runs until unlock is called, and ends and removes what killed runs left.
func claim(folder string) (unlock func(), err error) {
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another lab uses %s: %w", folder, err)
	}
	_, err = proc.Sweep()
	err = errors.Join(err, freshdisk.Sweep(folder))
	for _, made := range []string{"run-*", "disk-*"} {
		left, globErr := filepath.Glob(filepath.Join(folder, made))
		err = errors.Join(err, globErr)
		for _, dir := range left {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	if err != nil {
		lock.Close()
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// program returns the absolute path of a program that must be there.
func program(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there; make build makes it", path)
	}
	return abs, nil
}

func listCommand(_ context.Context, _ []string) error {
	all, err := scenarios.Load()
	if err != nil {
		return err
	}
	for _, s := range all {
		cells := len(s.Groups()) * len(s.Peers)
		fmt.Fprintf(os.Stdout, "%-10s  %-60s  suites %s; %d cells, %d rounds, box %v\n",
			s.Name, s.Title, strings.Join(s.Suites, " "), cells, s.Repeat, s.Box)
	}
	fmt.Fprintln(os.Stdout, "peers:", strings.Join(peer.Names(), " "))
	return nil
}

// goalsCommand prints the goals of scenarios and what results say to them.
func goalsCommand(_ context.Context, args []string) error {
	results, err := readAll(args)
	if err != nil {
		return err
	}
	list, err := scenarios.Load()
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(report.New(results, list).GoalTables())
	return err
}

func benchCommand(_ context.Context, args []string) error {
	results, err := readAll(args)
	if err != nil {
		return err
	}
	return result.WriteBenchmarks(os.Stdout, results)
}

// readAll reads result files.
func readAll(names []string) (all []result.Result, err error) {
	if len(names) == 0 {
		return nil, errors.New("want result files")
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			return nil, err
		}
		results, err := result.Read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, results...)
	}
	return all, nil
}
