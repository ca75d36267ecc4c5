package peer

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// versionArgs make programs tell their version at once; uftp has no flag for it, and begins a session with it.
var versionArgs = map[string][]string{
	"rsync": {"--version"}, "curl": {"--version"}, "aria2c": {"--version"}, "casync": {"--version"},
	"zsync": {"-V"}, "zsyncmake": {"-V"}, "uftp": {"-I", "lo", "-M", "127.0.0.1", "/dev/null"},
}

// versionTime is how long a program may take to tell its version.
const versionTime = 5 * time.Second

// versions keeps what programs have told, by their paths.
var versions = struct {
	sync.Mutex
	of map[string]string
}{of: map[string]string{}}

// Versions names the programs of others that a peer runs, each with its version where it tells one: "zsync 0.6.2,
// zsyncmake 0.6.2". Every program is asked once. It is empty for a peer without any.
func Versions(p Peer) string {
	var list []string
	for _, program := range p.Programs() {
		list = append(list, strings.TrimSpace(program+" "+versionOf(program)))
	}
	return strings.Join(list, ", ")
}

func versionOf(program string) string {
	path, err := exec.LookPath(program)
	args, ok := versionArgs[program]
	if err != nil || !ok {
		return ""
	}
	versions.Lock()
	defer versions.Unlock()
	if v, asked := versions.of[path]; asked {
		return v
	}
	versions.of[path] = ask(path, args)
	return versions.of[path]
}

// versionNumber is a number after a space, with or without a v.
var versionNumber = regexp.MustCompile(`\sv?(\d+(\.\d+)*)`)

// ask runs a program until it has printed a version, and returns that; empty if it has none.
func ask(path string, args []string) (version string) {
	ctx, cancel := context.WithTimeout(context.Background(), versionTime)
	defer cancel()
	r, w := io.Pipe()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return ""
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(cmd.Wait()) // how it ended is no matter
	}()
	for lines := bufio.NewScanner(r); version == "" && lines.Scan(); {
		if m := versionNumber.FindStringSubmatch(lines.Text()); m != nil {
			version = m[1]
		}
	}
	r.Close()
	cancel()
	<-ended
	return version
}
