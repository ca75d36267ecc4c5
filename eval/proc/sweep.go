package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dfetch/eval/owner"
)

// markName is the variable that all programs get, and what they start in turn: the
// name of the process that started them.
const (
	markName   = "DFETCH_LAB_OWNER"
	markPrefix = "lab"
)

// self is this process's mark.
var self = sync.OnceValues(func() (string, error) {
	me, err := owner.Self()
	return me.Name(markPrefix, "program"), err
})

// setMark puts the mark into a command's environment.
func setMark(cmd *exec.Cmd) error {
	name, err := self()
	if err == nil {
		cmd.Env = append(cmd.Environ(), markName+"="+name)
	}
	return err
}

// Sweep kills what programs of processes that are gone have left: the programs
// end with their parent, but not what they have started themselves. It returns
// how many it killed. Processes that may not be looked into are left alone.
func Sweep() (killed int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("sweeping programs: %w", err)
	}
	var errs []error
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		orphan, err := orphaned(pid)
		if orphan && killIf(pid, orphaned) {
			killed++
		}
		errs = append(errs, err)
	}
	return killed, errors.Join(errs...)
}

// orphaned tells whether a process has the mark of one that is gone.
func orphaned(pid int) (bool, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false, nil // gone, or another user's
	}
	for variable := range bytes.SplitSeq(text, []byte{0}) {
		name, ok := strings.CutPrefix(string(variable), markName+"=")
		if !ok {
			continue
		}
		if o, ok := owner.Parse(markPrefix, name); ok {
			alive, err := o.Alive()
			return !alive && err == nil, err
		}
	}
	return false, nil
}

// killIf kills a process if it is still the one that is to be: it looks again once it holds it, since the number may be
// another's by then.
func killIf(pid int, wanted func(pid int) (bool, error)) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false // gone
	}
	defer unix.Close(fd)
	still, err := wanted(pid)
	return still && err == nil && unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil
}
