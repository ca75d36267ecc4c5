// Command dfetch makes a file or directory tree on this machine what a recipe says.
//
// The package decides what the user asked and how the answer is shown; the work is done by the packages
// beside it. In steps:
//
//  1. newRootCmd lists the commands; each has a file of its own with a function new…Cmd.
//  2. run executes the one that was named, under a context that the first SIGINT or SIGTERM cancels.
//  3. The command writes its result to stdout. Messages and progress go to stderr, as "dfetch: …".
//  4. The error that it returns becomes an exit code (exit.go) and one message.
//
// A mistake in the command line is told in one line with a hint where help is, and exits with 1. The
// package does not guarantee that a command ends at once after the first signal: a command finishes what
// makes its state resumable. The second signal ends the process at once.
package main
