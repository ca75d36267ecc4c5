package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dfetch/fetch"
	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/sender"
	"dfetch/sources/wire"
	"dfetch/tree"
)

func TestCodeOf(t *testing.T) {
	noSpace := &fs.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: unix.ECONNREFUSED}
	late := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("disk on fire"), exitFileIO},
		{&fs.PathError{Op: "open", Path: "x", Err: unix.EIO}, exitFileIO},
		{noSpace, exitSpace},
		{fmt.Errorf("write: %w", noSpace), exitSpace},
		{refused, exitSocket},
		{fmt.Errorf("make staging directory: %w", unix.EROFS), exitFileIO},
		{fmt.Errorf("make staging directory: %w", unix.ENOTDIR), exitFileIO},
		{fmt.Errorf("write: %w", unix.ECONNRESET), exitSocket},
		{fetch.ErrNoSender, exitMissing},
		{fmt.Errorf("handshake: %w", sender.ErrHungUp), exitSocket},
		{fmt.Errorf("dir node: %w", recipe.ErrNotFound), exitMissing},
		{late, exitTimeout},
		{context.DeadlineExceeded, exitTimeout},
		{context.Canceled, exitInterrupted},
		{fmt.Errorf("get: %w", errInterrupted), exitInterrupted},
		{errors.Join(sources.ErrStalled, errInterrupted), exitInterrupted},
		{sources.ErrRefused, exitIdentity},
		{fmt.Errorf("sender: %w", sources.ErrChanged), exitChanged},
		{sources.ErrNotHeld, exitMissing},
		{&tree.LockedError{Dest: "d"}, exitBusy},
		{&tree.SpaceError{Path: "d"}, exitSpace},
		{errors.Join(&tree.PartialError{Count: 1}, &tree.MaxDeleteError{}), exitMaxDelete},
		{&tree.PartialError{Count: 1}, exitPartial},
		{fmt.Errorf("open: %w", &recipe.LimitError{What: "name"}), exitRecipe},
		{&recipe.FormatError{What: "no root"}, exitRecipe},
		{&recipe.FormatError{What: "read", Err: context.Canceled}, exitInterrupted},
		{fmt.Errorf("dial: %w", wire.ErrPin), exitIdentity},
		{wire.ErrFrame, exitProtocol},
		{usagef("no %s", "good"), exitUsage},
		{fmt.Errorf("outer: %w", withCode(exitBusy, noSpace)), exitBusy},
		{withCode(exitDiffers, withCode(exitUsage, refused)), exitDiffers},
	} {
		if got := codeOf(tt.err); got != tt.want {
			t.Errorf("codeOf(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestWithCodeKeepsTheError(t *testing.T) {
	err := withCode(exitSocket, unix.ECONNREFUSED)
	if !errors.Is(err, unix.ECONNREFUSED) || err.Error() != unix.ECONNREFUSED.Error() {
		t.Errorf("withCode changed the error: %v", err)
	}
	if err := withCode(exitSocket, nil); err != nil {
		t.Errorf("withCode(10, nil) = %v", err)
	}
}

// The manual names each code once, in ascending order.
func TestExitHelpIsComplete(t *testing.T) {
	want := []int{
		exitDone, exitUsage, exitSelection, exitSocket, exitFileIO, exitProtocol, exitInterrupted, exitPartial,
		exitChanged, exitMaxDelete, exitStalled, exitTimeout, exitRecipe, exitSpace, exitMissing, exitBusy, exitIdentity, exitDiffers,
	}
	var got []int
	for _, m := range regexp.MustCompile(`(?m)^ +(\d+)  `).FindAllStringSubmatch(exitHelp, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("exitHelp lists %v, want %v", got, want)
	}
}

func TestComplainMarksEveryLine(t *testing.T) {
	var out strings.Builder
	complain(&out, errors.Join(errors.New("a: lost"), errors.New("b: lost\n")))
	if want := "dfetch: a: lost\ndfetch: b: lost\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// The first signal cancels and says how to stop at once; the second exits.
func TestObeySignals(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var out strings.Builder
	signals, exited := make(chan os.Signal), make(chan int, 1)
	go obeySignals(ctx, signals, cancel, &out, func(code int) { exited <- code })
	signals <- unix.SIGINT
	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, errInterrupted) {
		t.Errorf("cause %v, want errInterrupted", cause)
	}
	if want := "dfetch: interrupt: stopping; once more to stop at once\n"; out.String() != want {
		t.Errorf("said %q, want %q", out.String(), want)
	}
	select {
	case code := <-exited:
		t.Fatalf("exit %d after one signal", code)
	default:
	}
	signals <- unix.SIGTERM
	if code := <-exited; code != exitInterrupted {
		t.Errorf("exit %d, want %d", code, exitInterrupted)
	}
}

func TestObeySignalsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		obeySignals(ctx, make(chan os.Signal), cancel, new(strings.Builder), func(int) { t.Error("exit without a signal") })
		close(done)
	}()
	cancel(nil)
	<-done
}
