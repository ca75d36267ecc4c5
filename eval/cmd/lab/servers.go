package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"dfetch/eval/diskbench"
	"dfetch/eval/load"
	"dfetch/eval/peer"
	"dfetch/eval/torrent"
)

func httpdCommand(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("httpd: want ADDRESS SRC PUB")
	}
	return peer.ServeFiles(ctx, args[0], args[1], args[2])
}

func trackerCommand(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("tracker: want ADDRESS")
	}
	return torrent.Serve(ctx, args[0])
}

// burnCommand keeps processors busy until its time is over or the lab that started it is gone.
func burnCommand(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("lab burn", flag.ContinueOnError)
	workers := set.Int("workers", 1, "processors to keep busy")
	duty := set.Float64("duty", 1, "share of the time, more than 0 and at most 1")
	limit := set.Duration("for", time.Minute, "end after this time")
	if err := set.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go endWithParent(ctx, os.Getppid(), cancel)
	_, err := load.CPU{Cycle: load.Cycle{Duty: *duty, For: *limit}, Workers: *workers}.Run(ctx)
	return err
}

// endWithParent ends the load when the process that started it is gone.
func endWithParent(ctx context.Context, parent int, end func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if os.Getppid() != parent {
				end()
				return
			}
		}
	}
}

func copyCommand(_ context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("copy: want FROM TO")
	}
	sum, err := diskbench.CopyAndHash(args[0], args[1])
	if err == nil {
		_, err = fmt.Fprintf(os.Stdout, "%x\n", sum)
	}
	return err
}

func probeCommand(_ context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("probe: want FILE")
	}
	got, err := diskbench.Probe(args[0])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}
