package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"dfetch/eval/load"
	"dfetch/eval/netlab"
)

const usage = "usage: netlab p2p|star|sites [flags] [-- CMD ARG…], or netlab sweep; -h after p2p lists the flags"

// options are the command line.
type options struct {
	kind    string
	cfg     netlab.Config
	link    netlab.Settings
	uplink  netlab.Settings
	n, near int
	script  []netlab.Step
	command []string

	counters string
	loadTime time.Duration
	disk     load.Disk
	cpu      load.CPU
}

// text are the flags that need more than one value to be understood.
type text struct {
	rate, loss, up, down, uplink, script, diskBytes string
	rtt                                             time.Duration
}

func parse(args []string) (*options, error) {
	if len(args) == 0 {
		return nil, errors.New(usage)
	}
	o := &options{kind: args[0]}
	if o.kind != "p2p" && o.kind != "star" && o.kind != "sites" {
		return nil, errors.New(usage)
	}
	var t text
	flags := o.flags(&t)
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	o.command = flags.Args()
	return o, o.read(t)
}

func (o *options) flags(t *text) *flag.FlagSet {
	f := flag.NewFlagSet("netlab "+o.kind, flag.ContinueOnError)
	f.StringVar(&t.rate, "rate", "0", "bits per second each way, with K, M or G; 0 is unlimited")
	f.DurationVar(&t.rtt, "rtt", 0, "round trip time, half of it each way")
	f.StringVar(&t.loss, "loss", "0", "percent of packets lost each way")
	f.StringVar(&t.up, "up", "", `more settings upwards, as "rate=1M delay=30ms jitter=5ms loss=1 burst=8 queue=64K reorder=1"`)
	f.StringVar(&t.down, "down", "", "more settings downwards")
	f.StringVar(&t.uplink, "uplink", "", "settings of star's uplink, both ways")
	f.StringVar(&t.script, "script", "", "file of changes: at 5s up rate=1M")
	f.IntVar(&o.n, "n", 2, "receivers of star and sites")
	f.IntVar(&o.near, "near", 1, "hosts at the sender's site")
	f.Uint64Var(&o.cfg.Seed, "seed", 1, "of losses and jitter")
	f.StringVar(&o.cfg.CongestionControl, "cc", "cubic", "TCP congestion control")
	f.IntVar(&o.cfg.TCPBufferMax, "tcp-buffer", 0, "largest TCP buffer in bytes; 0 leaves the kernel's")
	f.StringVar(&o.counters, "counters", "", "file for the counters")
	f.DurationVar(&o.loadTime, "load-for", 10*time.Minute, "end the loads after this time")
	f.StringVar(&o.disk.Dir, "disk-load", "", "write bulk data in this directory")
	f.Float64Var(&o.disk.Duty, "disk-duty", 1, "share of the time in which to write")
	f.StringVar(&t.diskBytes, "disk-bytes", "16G", "end the disk load after so many bytes")
	f.Float64Var(&o.cpu.Duty, "cpu-load", 0, "share of the time in which to burn CPU")
	f.IntVar(&o.cpu.Workers, "cpu-workers", 0, "cores to burn; 0 is all")
	return f
}

// read understands the flags given as text.
func (o *options) read(t text) error {
	both, err := netlab.Shape{Delay: t.rtt / 2}.With("rate=" + t.rate + " loss=" + t.loss)
	if err != nil {
		return err
	}
	if o.link.Up, err = both.With(t.up); err != nil {
		return err
	}
	if o.link.Down, err = both.With(t.down); err != nil {
		return err
	}
	uplink, err := netlab.Shape{}.With(t.uplink)
	if err != nil {
		return err
	}
	o.uplink = netlab.Both(uplink)
	if o.disk.MaxBytes, err = netlab.ParseSize(t.diskBytes); err != nil {
		return fmt.Errorf("netlab: --disk-bytes: %w", err)
	}
	o.disk.For, o.cpu.For = o.loadTime, o.loadTime
	return o.readScript(t.script)
}

func (o *options) readScript(file string) error {
	if file == "" {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("netlab: --script: %w", err)
	}
	if o.script, err = netlab.ParseScript(o.link, string(b)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func (o *options) build() (*netlab.Topology, error) {
	switch o.kind {
	case "p2p":
		return netlab.PointToPoint(o.cfg, o.link)
	case "star":
		receivers := make([]netlab.Settings, max(0, o.n))
		for i := range receivers {
			receivers[i] = o.link
		}
		return netlab.Star(o.cfg, o.uplink, receivers)
	default:
		return netlab.Sites(o.cfg, o.link, netlab.Settings{}, o.near, o.n)
	}
}

// play starts the script on the wires that the link flags are about.
func (o *options) play(lab *netlab.Topology) error {
	if o.script == nil {
		return nil
	}
	wires := lab.Wires[:1]
	if o.kind == "star" {
		wires = lab.Wires[1:]
	}
	for _, w := range wires {
		if err := w.Play(o.script); err != nil {
			return err
		}
	}
	return nil
}

// startLoads starts the loads that were asked for; they end with ctx.
func (o *options) startLoads(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	if o.disk.Dir != "" {
		all.Go(func() {
			r, err := o.disk.Run(ctx)
			fmt.Fprintf(os.Stderr, "disk load: %d bytes, busy %v of %v%s\n", r.Bytes, r.Busy, r.Took, reason(err))
		})
	}
	if o.cpu.Duty > 0 {
		all.Go(func() {
			busy, err := o.cpu.Run(ctx)
			fmt.Fprintf(os.Stderr, "CPU load: busy %v%s\n", busy, reason(err))
		})
	}
	return &all
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// report prints the counters, a line of JSON a wire.
func (o *options) report(lab *netlab.Topology) error {
	if o.counters == "" {
		return writeCounters(os.Stderr, lab)
	}
	f, err := os.Create(o.counters)
	if err != nil {
		return fmt.Errorf("netlab: --counters: %w", err)
	}
	return errors.Join(writeCounters(f, lab), f.Close())
}

func writeCounters(to io.Writer, lab *netlab.Topology) error {
	all, err := lab.Counters()
	for _, c := range all {
		err = errors.Join(err, json.NewEncoder(to).Encode(c))
	}
	return err
}
