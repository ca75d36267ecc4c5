package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dfetch/fetch"
)

func TestMain(m *testing.M) {
	unix.Umask(0o022) // what is private is not searched
	testscript.Main(leakChecked{m}, map[string]func(){"dfetch": main})
}

// leakChecked fails a test run that passed but left goroutines behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestScripts runs the scripts in testdata. They have, besides testscript's own commands:
//
//	status CODE ARG…            runs "dfetch ARG…" and wants that exit code
//	serve VAR[,VAR…] ARG…       runs "dfetch serve --listen 127.0.0.1:0 ARG…" in the background until
//	                            the script ends, and puts the addresses that it prints into the variables;
//	                            its messages are in the file serve-VAR.log
//	part VAR ADDRESS PATH  puts the address of a part of a tree into the variable
//	grow DIR SEED               makes a tree of files with random contents
//	killget TIMES SEED ARG…     runs "dfetch ARG…" that often and ends it with SIGKILL at random moments
//	mostly SOURCE PERCENT FILE  wants that a report says of a source that it brought so much of all bytes
//	unserve VAR                 ends that server and waits for it
//
// and the condition [mounts]: a script may mount, in a namespace that "unshare -rm" makes.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setUpScript,
		Condition: func(cond string) (bool, error) {
			if cond != "mounts" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return mayMount(), nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":  cmdStatus,
			"serve":   cmdServe,
			"unserve": cmdUnserve,
			"grow":    cmdGrow,
			"killget": cmdKill,
			"part":    cmdPart,
			"mostly":  cmdMostly,
		},
	})
}

// mayMount tells whether a process may make a namespace and mount in it.
func mayMount() bool {
	return exec.Command("unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt").Run() == nil
}

// scriptState is what the commands of one script share.
type scriptState struct {
	names   []string           // of the environment's variables
	servers map[string]*server // by the first variable of "serve"
}

type stateKey struct{}

// setUpScript gives a script a home of its own and takes the machine's settings away.
func setUpScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"} {
		env.Setenv(name, "")
	}
	env.Setenv("HOME", home)
	env.Setenv("SOURCE_DATE_EPOCH", "1000000000")
	env.Setenv("GORACE", "atexit_sleep_ms=10") // a race-checked dfetch would else end a second late
	state := &scriptState{servers: map[string]*server{}}
	for _, v := range env.Vars {
		name, _, _ := strings.Cut(v, "=")
		state.names = append(state.names, name)
	}
	env.Values[stateKey{}] = state
	return os.Mkdir(home, 0o700)
}

func stateOf(ts *testscript.TestScript) *scriptState {
	return ts.Value(stateKey{}).(*scriptState)
}

// dfetch prepares a run of dfetch in the script's directory and environment.
func dfetch(ts *testscript.TestScript, args ...string) *exec.Cmd {
	path, err := exec.LookPath("dfetch")
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range stateOf(ts).names {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

// cmdPart makes the address of a part of what an address names.
func cmdPart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: part VAR ADDRESS PATH")
	}
	id, hints, _ := strings.Cut(args[1], "?")
	ts.Setenv(args[0], id+"/"+args[2]+"?"+hints)
}

// cmdMostly looks into a report.
func cmdMostly(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mostly SOURCE PERCENT FILE")
	}
	least, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	var r fetch.Report
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[2])), &r))
	if got := 100 * float64(r.Sources[args[0]].Bytes) / float64(r.Bytes); got < least {
		ts.Fatalf("%s brought %.1f %% of %d bytes, want %v %%: %+v, %+v", args[0], got, r.Bytes, least, r.Sources, r.DiskOps)
	}
}

// cmdStatus runs dfetch and compares its exit code. Output goes where "stdout" and "stderr" find it.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: status CODE ARG...")
	}
	cmd := dfetch(ts, args[1:]...)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	_ = cmd.Run() // the exit code says it
	if cmd.ProcessState == nil {
		ts.Fatalf("dfetch did not start")
	}
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("dfetch %s: exit code %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// server is a running "dfetch serve".
type server struct {
	cmd   *exec.Cmd
	lines chan string   // what it prints; closed at the end of its output
	log   *os.File      // what it says
	done  chan struct{} // closed when it has been stopped
}

// patience is how long a server may take to print its addresses, or to end.
const patience = 2 * time.Minute

// cmdServe starts a server and waits until it has printed an address for each variable.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: serve VAR[,VAR...] ARG...")
	}
	names := strings.Split(args[0], ",")
	s := startServer(ts, names[0], args[1:])
	stateOf(ts).servers[names[0]] = s
	ts.Defer(s.stop)
	deadline := time.After(patience)
	for _, name := range names {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.stop()
				ts.Fatalf("serve ended without an address for %s:\n%s", name, ts.ReadFile(s.log.Name()))
			}
			ts.Setenv(name, line)
		case <-deadline:
			ts.Fatalf("serve printed no address for %s in %v", name, patience)
		}
	}
}

// startServer starts "dfetch serve" on a free port.
func startServer(ts *testscript.TestScript, name string, args []string) *server {
	cmd := dfetch(ts, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	log, err := os.Create(ts.MkAbs("serve-" + name + ".log"))
	ts.Check(err)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	s := &server{cmd: cmd, lines: make(chan string, 16), log: log, done: make(chan struct{})}
	go s.read(stdout)
	return s
}

// read passes on the first lines of the server's output and drains the rest.
func (s *server) read(stdout io.Reader) {
	defer close(s.lines)
	lines := bufio.NewScanner(stdout)
	for n := 0; n < cap(s.lines) && lines.Scan(); n++ {
		s.lines <- lines.Text()
	}
	_, _ = io.Copy(io.Discard, stdout)
}

// stop ends the server, by force if it does not end in time. It may be called again.
func (s *server) stop() {
	select {
	case <-s.done:
		return
	default:
	}
	_ = s.cmd.Process.Signal(unix.SIGTERM)
	force := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	for range s.lines { // ends when the server has closed its output
	}
	_ = s.cmd.Wait()
	force.Stop()
	_ = s.log.Close()
	close(s.done)
}

// cmdUnserve ends a server before the script ends.
func cmdUnserve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unserve VAR")
	}
	s := stateOf(ts).servers[args[0]]
	if s == nil {
		ts.Fatalf("no server %s", args[0])
	}
	s.stop()
}

// Names and texts of others can't give orders to a terminal or make lines of their own.
func TestSayIsOneTameLine(t *testing.T) {
	var b strings.Builder
	say(&b, "%s: %s", "über \"x\"", "a\x1b[2Jb\nc\td\xff\u202e")
	if want := "dfetch: über \"x\": a\\x1b[2Jb\\nc\\td\\xff\\u202e\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
