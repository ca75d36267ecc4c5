// Command netlab makes a lab of hosts and emulated links for hand use.
//
//	netlab p2p   [flags] [-- CMD ARG…]   s — r1
//	netlab star  [flags] [-- CMD ARG…]   s — x — r1 … rN
//	netlab sites [flags] [-- CMD ARG…]   s, s2 … — x — y — r1 … rN
//	netlab sweep                         removes what dead labs left behind
//
// CMD runs outside the hosts, with these variables for each host: S_NS, S_ADDR,
// S_ADDR6 and S_IN ("ip netns exec NAMESPACE"), R1_NS and so on. The lab lives as
// long as CMD, whose exit code is netlab's; without CMD it prints the variables
// and lives until interrupted. At the end each wire's counters are printed as a
// line of JSON, to standard error or to --counters. For example:
//
//	netlab p2p --rate 100M --rtt 100ms --loss 1 -- sh -c '
//	    $S_IN python3 -m http.server -d /srv & sleep 1
//	    $R1_IN curl -o /dev/null http://$S_ADDR:8000/file'
//
// The link flags (--rate, --rtt, --loss, --up, --down, --script) are about the
// one wire of p2p, the thin wire of sites, and the receivers' wires of star,
// whose uplink --uplink sets. "Up" is from s to r1, from x to y, from a receiver
// to x.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"dfetch/eval/netlab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "sweep" {
		removed, err := netlab.Sweep()
		for _, name := range removed {
			fmt.Println(name)
		}
		return err
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	lab, err := o.build()
	if err != nil {
		return err
	}
	err = o.use(ctx, lab)
	return errors.Join(err, o.report(lab), lab.Close())
}

// use starts the script and the loads, and runs the command or waits.
func (o *options) use(ctx context.Context, lab *netlab.Topology) error {
	if err := o.play(lab); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	loads := o.startLoads(ctx)
	defer func() {
		cancel()
		loads.Wait()
	}()
	vars := variables(lab)
	if len(o.command) == 0 {
		fmt.Println(strings.Join(vars, "\n"))
		<-ctx.Done()
		return nil
	}
	cmd := exec.CommandContext(ctx, o.command[0], o.command[1:]...)
	cmd.Env = append(os.Environ(), vars...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func variables(lab *netlab.Topology) (vars []string) {
	for _, h := range lab.Hosts() {
		name := strings.ToUpper(h.Name())
		vars = append(vars,
			name+"_NS="+h.Namespace(),
			name+"_IN=ip netns exec "+h.Namespace(),
			name+"_ADDR="+h.Addr4().String(),
			name+"_ADDR6="+h.Addr6().String())
	}
	return vars
}
