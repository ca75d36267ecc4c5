// Command lab runs the evaluation: scenarios on emulated networks, and their
// report.
//
//	lab list                   the scenarios, their cells and the peers
//	lab run -suite NAME …      runs the cells of a suite that the result file lacks
//	lab report FILE …          tables, figures and a page out of result files
//	lab bench FILE …           result files as Go benchmark lines, for benchstat
//	lab goals FILE …           the scenarios' goals, and whether results reach them
//
// lab run needs root and /dev/net/tun, unless all scenarios are of the loopback. Programs that are not installed leave
// named gaps; eval/setup.sh installs them. "lab COMMAND -h" lists flags. The
// commands httpd, tracker, burn, copy and probe are what lab run starts beside other programs: servers, a load, and
// what dfetch's use of the disk is compared with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// commands are what the first argument may be.
var commands = map[string]func(ctx context.Context, args []string) error{
	"list":    listCommand,
	"run":     runCommand,
	"report":  reportCommand,
	"bench":   benchCommand,
	"goals":   goalsCommand,
	"httpd":   httpdCommand,
	"tracker": trackerCommand,
	"burn":    burnCommand,
	"copy":    copyCommand,
	"probe":   probeCommand,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		err = nil
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want a command: list, run, report, bench or goals")
	}
	command, ok := commands[args[0]]
	if !ok {
		return fmt.Errorf("no command %q: want list, run, report, bench or goals", args[0])
	}
	return command(ctx, args[1:])
}
