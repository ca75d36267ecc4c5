package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"dfetch/fetch"
	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/sender"
	"dfetch/sources/wire"
	"dfetch/tree"
)

// Exit codes. Below 40 they are rsync's; scripts rely on them.
const (
	exitDone        = 0  // everything that was asked is done
	exitUsage       = 1  // mistake in the command line
	exitSelection   = 3  // a file that was named cannot be selected
	exitSocket      = 10 // network I/O failed, or an address cannot be listened on
	exitFileIO      = 11 // file I/O failed
	exitProtocol    = 12 // a peer broke the protocol
	exitInterrupted = 20 // SIGINT or SIGTERM; what was verified is kept
	exitPartial     = 23 // some entries failed, each was named
	exitChanged     = 24 // a file changed at the source since its recipe was made
	exitMaxDelete   = 25 // --max-delete was reached
	exitStalled     = 30 // no source made progress
	exitTimeout     = 35 // no connection in time
	exitRecipe      = 40 // recipe refused: untrusted, malformed or over a limit
	exitSpace       = 41 // not enough space at the destination
	exitMissing     = 42 // no source has some of the chunks
	exitBusy        = 43 // another dfetch holds the destination
	exitIdentity    = 44 // identity or token refused
	exitDiffers     = 45 // verify found a difference
)

// exitHelp is the part of the manual that explains the codes.
const exitHelp = `Exit codes:
   0  done
   1  mistake in the command line
   3  a named file cannot be selected
  10  network I/O failed
  11  file I/O failed
  12  a peer broke the protocol
  20  interrupted; the same command goes on from what was verified
  23  some entries failed, each was named
  24  a file changed at the source since its recipe was made
  25  --max-delete was reached
  30  stalled: no source made progress
  35  no connection in time
  40  recipe refused: untrusted, malformed or over a limit
  41  not enough space at the destination
  42  no source has some of the chunks
  43  another dfetch holds the destination
  44  identity or token refused
  45  verify found a difference`

// exitError is an error whose exit code is decided.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode gives err an exit code, in place of any that it has. A nil err stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

// usagef makes the error of a wrong command line.
func usagef(format string, args ...any) error {
	return withCode(exitUsage, fmt.Errorf(format, args...))
}

// knownErrors are the errors whose exit code does not depend on the command. The first that
// matches counts, so causes stand before what they lead to.
var knownErrors = []struct {
	err  error
	code int
}{
	{errInterrupted, exitInterrupted},
	{context.Canceled, exitInterrupted},
	{tree.ErrLocked, exitBusy},
	{tree.ErrNoSpace, exitSpace},
	{unix.ENOSPC, exitSpace},
	{unix.EDQUOT, exitSpace},
	{fetch.ErrNoPath, exitSelection},
	{fetch.ErrTooLarge, exitRecipe},
	{fetch.ErrChanged, exitChanged},
	{fetch.ErrMissing, exitMissing},
	{tree.ErrMaxDelete, exitMaxDelete},
	{tree.ErrPartial, exitPartial},
	{wire.ErrPin, exitIdentity},
	{sources.ErrRefused, exitIdentity},
	{sources.ErrProtocol, exitProtocol},
	{sources.ErrStalled, exitStalled},
	{sources.ErrChanged, exitChanged},
	{sources.ErrNotHeld, exitMissing},
	{fetch.ErrNoSender, exitMissing},
	{recipe.ErrNotFound, exitMissing},
	{sources.ErrCorrupt, exitProtocol},
	{wire.ErrFrame, exitProtocol},
	{sources.ErrClosed, exitSocket},
	{sender.ErrHungUp, exitSocket},
}

// codeOf returns the exit code of an error: the one that withCode gave it, else the one of the
// first known error inside it, else the one of its kind. File I/O is what remains.
func codeOf(err error) int {
	if err == nil {
		return exitDone
	}
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	return codeOfKind(err)
}

// codeOfKind tells a refused recipe, a timeout and a network error from all others.
func codeOfKind(err error) int {
	if isRecipeError(err) {
		return exitRecipe
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return exitFileIO
	}
	n, isNet := errors.AsType[net.Error](err)
	if number, ok := n.(unix.Errno); ok && !networkErrnos[number] {
		return exitFileIO
	}
	switch {
	case isNet && n.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return exitTimeout
	case isNet:
		return exitSocket
	}
	return exitFileIO
}

// networkErrnos are the error numbers that only sockets give. Every number has the methods of net.Error.
var networkErrnos = map[unix.Errno]bool{
	unix.ECONNREFUSED: true, unix.ECONNRESET: true, unix.ECONNABORTED: true, unix.EPIPE: true, unix.ETIMEDOUT: true,
	unix.EHOSTUNREACH: true, unix.EHOSTDOWN: true, unix.ENETUNREACH: true, unix.ENETDOWN: true, unix.ENETRESET: true,
	unix.ENOTCONN: true, unix.EADDRINUSE: true, unix.EADDRNOTAVAIL: true,
}

// isRecipeError tells whether a recipe was malformed or over a limit.
func isRecipeError(err error) bool {
	_, isFormat := errors.AsType[*recipe.FormatError](err)
	_, isLimit := errors.AsType[*recipe.LimitError](err)
	return isFormat || isLimit
}
