package netlab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestCloseKillsAndRemoves(t *testing.T) {
	lab := pointToPoint(t, Config{}, Settings{})
	cmd := lab.Sender.Command(context.Background(), "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	name := lab.Sender.Namespace()
	waitInside(t, name)
	if err := errors.Join(lab.Close(), lab.Close()); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the command on the host ended well, it was not killed")
	}
	if _, err := os.Stat(filepath.Join(namespaceDir, name)); !os.IsNotExist(err) {
		t.Errorf("namespace %s is still there: %v", name, err)
	}
	if _, err := lab.Host("late"); !errors.Is(err, errClosed) {
		t.Errorf("a host in a closed lab: %v", err)
	}
}

// waitInside waits until a process has entered the namespace.
func waitInside(t *testing.T, name string) (id nsID) {
	t.Helper()
	id, err := fileID(filepath.Join(namespaceDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if !soon(func() bool { return countInside(t, id) > 0 }) {
		t.Fatal("no process entered the namespace")
	}
	return id
}

// soon says whether something becomes true.
func soon(is func() bool) bool {
	for range 500 {
		if is() {
			return true
		}
		pause(10 * ms)
	}
	return false
}

func countInside(t *testing.T, id nsID) (n int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		var pid int
		fmt.Sscanf(filepath.Base(d), "%d", &pid)
		if inside(pid, map[nsID]bool{id: true}) {
			n++
		}
	}
	return n
}

// crash is the process that TestSweepAfterKill kills.
func crash() {
	lab, err := PointToPoint(Config{}, Settings{})
	if err == nil {
		err = lab.Sender.Command(context.Background(), "sleep", "1000").Start()
	}
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for _, h := range lab.Hosts() {
		fmt.Println(h.Namespace())
	}
	fmt.Println()
	<-time.After(time.Minute)
	os.Exit(1)
}

func TestSweepAfterKill(t *testing.T) {
	own := pointToPoint(t, Config{}, Settings{}) // a living owner's, to be left alone
	for range 5 {
		if sweptAfterKill(t, own) {
			return
		}
	}
	t.Error("no sweep told what it removed")
}

// sweptAfterKill sweeps what a process leaves that is killed, and says whether the sweep told so: another process may have
// been quicker.
func sweptAfterKill(t *testing.T, own *Topology) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != ""; {
		names = append(names, lines.Text())
	}
	if len(names) != 2 {
		t.Fatalf("the helper made %q", names)
	}
	id := waitInside(t, names[0])
	if removed, err := Sweep(); err != nil || slices.Contains(removed, names[0]) {
		t.Fatalf("swept a living owner's lab: %v, %v", removed, err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	removed, err := Sweep()
	if err != nil {
		t.Error(err)
	}
	for _, name := range names { // another process may be sweeping it, too
		if !soon(func() bool { _, err := os.Stat(filepath.Join(namespaceDir, name)); return os.IsNotExist(err) }) {
			t.Errorf("%s was not swept", name)
		}
	}
	if !soon(func() bool { return countInside(t, id) == 0 }) {
		t.Error("processes outlived the sweep")
	}
	if list, err := exec.Command("ip", "netns", "list").Output(); err != nil || !bytes.Contains(list, []byte(own.Sender.Namespace())) ||
		bytes.Contains(list, []byte(names[0])) {
		t.Errorf("namespaces after the sweep: %s%v", list, err)
	}
	return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(removed, name) })
}
