package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// memoryLimit is what the process may grow to before garbage is collected more eagerly. GOMEMLIMIT
// sets another.
const memoryLimit = 384 << 20

// garbage is how large it may become, in percent of what lives, before it is collected, below memoryLimit. A transfer
// keeps little alive and makes much garbage: collecting at 100 takes a tenth of its processor time. GOGC sets another.
const garbage = 400

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := withSignals(context.Background(), stderr)
	defer stop()
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	root := newRootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := execute(ctx, root)
	if err == nil {
		return exitDone
	}
	code := codeOf(err)
	complain(stderr, err)
	if code == exitUsage {
		say(stderr, "see %q", helpFor(cmd))
	}
	return code
}

// helpFor returns the command that explains cmd.
func helpFor(cmd *cobra.Command) string {
	if cmd.Name() == "help" || !cmd.HasParent() {
		return cmd.Root().Name() + " help"
	}
	return cmd.CommandPath() + " --help"
}

// newRootCmd makes the root command with all others below it.
func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "dfetch",
		Short: "Make a file or tree what a recipe says",
		Long: `dfetch makes a file or a directory tree what a recipe says. What is right at the destination
already stays; the rest comes from one sender or from several at once. Every piece is checked
against the recipe before it is used, and a run that was stopped can go on.

` + exitHelp,
		Args:              cobra.ArbitraryArgs,
		RunE:              needCommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},

		SuggestionsMinimumDistance: 2, // needCommand suggests as cobra would
	}
	root.SetHelpCommand(newHelpCmd())
	root.AddCommand(
		newCompletionCmd(),
		newKeyCmd(),
		newManCmd(),
		newVersionCmd(),
		newGetCmd(),
		newIndexCmd(),
		newRecipeCmd(),
		newReplayCmd(),
		newServeCmd(),
		newShowCmd(),
		newVerifyCmd(),
	)
	return root
}

// execute runs the command that root's arguments name and returns it with its error. An error
// that comes before the command's own function runs is a mistake in the command line.
func execute(ctx context.Context, root *cobra.Command) (*cobra.Command, error) {
	started := false
	markStart(root, &started)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !started {
		err = withCode(exitUsage, err)
	}
	return cmd, err
}

// markStart makes every command at and below cmd set *started before its function runs.
func markStart(cmd *cobra.Command, started *bool) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return runE(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		markStart(sub, started)
	}
}

// needCommand is the function of a command that only has subcommands.
func needCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s needs a command", cmd.CommandPath())
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return usagef("unknown command %q; did you mean %q?", args[0], near[0])
	}
	return usagef("unknown command %q", args[0])
}

// wantArgs checks the number of arguments; a negative most means any number from least on.
func wantArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if n >= least && (n <= most || most < 0) {
			return nil
		}
		if most == 0 {
			return usagef("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
		}
		form := strings.TrimSuffix(cmd.UseLine(), " [flags]")
		return usagef("got %d arguments, want: %s", n, form)
	}
}

// newHelpCmd makes "dfetch help", which unlike cobra's own fails for a command that does not exist.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil {
				return withCode(exitUsage, err)
			}
			if len(rest) > 0 {
				return needCommand(target, rest)
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// errInterrupted is the cause of a context that a signal canceled.
var errInterrupted = errors.New("interrupted")

// withSignals returns a context that the first SIGINT or SIGTERM cancels, with errInterrupted as
// its cause. The second one ends the process with exitInterrupted. stop gives the signals back to
// their default action.
func withSignals(parent context.Context, stderr io.Writer) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go obeySignals(ctx, signals, cancel, stderr, os.Exit)
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// obeySignals cancels at the first signal and exits at the second. It ends when ctx ends otherwise.
func obeySignals(ctx context.Context, signals <-chan os.Signal, cancel context.CancelCauseFunc, stderr io.Writer, exit func(int)) {
	select {
	case s := <-signals:
		say(stderr, "%v: stopping; once more to stop at once", s)
		cancel(errInterrupted)
	case <-ctx.Done():
		return
	}
	<-signals
	exit(exitInterrupted)
}

// say writes one message for people to w, on one line. If that fails, nobody is left to tell.
func say(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, "dfetch: %s\n", tame(fmt.Sprintf(format, args...)))
}

// tame escapes what a terminal would obey instead of show: names come from recipes, texts from peers.
func tame(text string) string {
	var b strings.Builder
	for i, n := 0, 0; i < len(text); i += n {
		var r rune
		r, n = utf8.DecodeRuneInString(text[i:])
		part := text[i : i+n]
		if r == utf8.RuneError && n == 1 || !unicode.IsGraphic(r) {
			part = strings.Trim(strconv.Quote(part), `"`)
		}
		b.WriteString(part)
	}
	return b.String()
}

// complain writes an error to w, each of its lines as a message.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		if line != "" {
			say(w, "%s", line)
		}
	}
}
