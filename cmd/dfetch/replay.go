package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dfetch/fetch"
)

func newReplayCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "replay TRACE",
		Short: "Make the decisions of a recorded transfer again",
		Long: `replay runs the events that "dfetch get --trace FILE" recorded through the control loop's core
again and prints each decision with its time. It fails if they differ from those of the run.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return withCode(exitSelection, err)
			}
			defer f.Close()
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = fetch.Replay(f, func(at time.Duration, a fetch.Action) error {
				_, err := fmt.Fprintf(out, "%12.6f  %s\n", at.Seconds(), a)
				return err
			})
			if err = errors.Join(err, out.Flush()); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return nil
		},
	}
}
