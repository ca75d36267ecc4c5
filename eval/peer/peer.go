package peer

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"dfetch/eval/dataset"
	"dfetch/eval/proc"
	"dfetch/eval/result"
)

// Host is where programs run. netlab's hosts are ones.
type Host interface {
	Addr4() netip.Addr
	Command(ctx context.Context, name string, args ...string) *exec.Cmd
}

// Receiver is a host and its own folder, which holds the destination
// dataset.Dest.
type Receiver struct {
	Host Host
	Dir  string
}

// Dest is the receiver's destination folder.
func (r Receiver) Dest() string { return filepath.Join(r.Dir, dataset.Dest) }

// Loopback is this machine without an emulated network. Its address depends on
// the process, so that two labs don't take each other's ports.
type Loopback struct{}

// Addr4 implements Host.
func (Loopback) Addr4() netip.Addr {
	pid := os.Getpid()
	return netip.AddrFrom4([4]byte{127, 64 | byte(pid>>16&63), byte(pid >> 8), byte(pid)})
}

// endpoint is a port of a host.
func endpoint(h Host, port uint16) netip.AddrPort { return netip.AddrPortFrom(h.Addr4(), port) }

// Command implements Host.
func (Loopback) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, name, args...)
}

// Job is what is to be transferred, and between whom.
type Job struct {
	Set       dataset.Set
	Sender    Host
	Receivers []Receiver
	// Scratch is an empty folder for the publisher and for configuration.
	Scratch string
	// Rate is of the link to the receivers in bits a second; 0 is unlimited.
	Rate int64
	// Dfetch and Lab are the paths of dfetch and of the lab's own program.
	Dfetch, Lab string
}

// Peer is one way to transfer.
type Peer interface {
	// Programs are those of others that it runs.
	Programs() []string
	// Check returns a result.Missing if this peer can't do the job here.
	Check(Job) error
	// Start publishes the set and starts what must run at the sender's. ctx
	// bounds the session, not just the start.
	Start(ctx context.Context, job Job) (Session, error)
}

// Session is a peer that is ready. It must be closed.
type Session interface {
	// Command is what receiver i is to run; when it ends without an error, the
	// set is said to be at the receiver.
	Command(ctx context.Context, i int) (*exec.Cmd, error)
	// Close stops what Start started and returns what that used.
	Close() result.Usage
}

// Judge is a session that itself tells whether receiver i has what it was to
// have, because that is not the set at the destination.
type Judge interface{ Judge(i int) error }

// Tuned is a peer that wants another TCP congestion control than cubic on all
// hosts.
type Tuned interface{ CongestionControl() string }

// Storyteller is a session whose command leaves more to read: content bytes by
// source, and how they came about.
type Storyteller interface {
	Story(i int) (sources map[string]int64, timeline []result.Point, err error)
}

// Find returns the peer of that name.
func Find(name string) (Peer, bool) {
	p, ok := all[name]
	return p, ok
}

// Names returns all peers' names, sorted.
func Names() []string {
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

var all = map[string]Peer{
	"rsync":             rsync{},
	"rsync-bbr":         bbr{rsync{}},
	"rsync-z":           rsync{flags: []string{"-z"}},
	"rsync-fsync":       rsync{flags: []string{"--fsync"}},
	"rsync-sparse":      rsync{flags: []string{"--sparse"}},
	"curl":              web{program: "curl", get: curl},
	"curl-bbr":          bbr{web{program: "curl", get: curl}},
	"aria2":             web{program: "aria2c", get: aria2},
	"aria2-bt":          swarm{},
	"zsync":             web{program: "zsync", publisher: "zsyncmake", publish: zsyncmake, get: zsync},
	"casync":            web{program: "casync", trees: true, publish: casyncMake, get: casyncExtract},
	"uftp":              uftp{},
	"dfetch":            dfetch{flags: []string{"--fsync", "none"}},
	"dfetch-bbr":        bbr{dfetch{flags: []string{"--fsync", "none"}}},
	"dfetch-fsync":      dfetch{},
	"dfetch-recipe":     recipeOnly{},
	"dfetch-net":        dfetch{flags: []string{"--fsync", "none", "--from", "sender"}, needs: []string{"sender"}},
	"dfetch-udp":        dfetch{flags: []string{"--fsync", "none", "--from", "udp"}, needs: []string{"udp"}},
	"dfetch-nopressure": dfetch{flags: []string{"--fsync", "none", "--no-pressure"}, needs: []string{"--no-pressure"}},
}

// bbr is a peer under another congestion control.
type bbr struct{ Peer }

// CongestionControl implements Tuned.
func (bbr) CongestionControl() string { return "bbr" }

// installed tells whether programs are there.
func installed(programs ...string) error {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			return result.Missingf("%s is not installed", filepath.Base(p))
		}
	}
	return nil
}

// servers are the processes of a session.
type servers []*proc.Process

// Close stops them.
func (s servers) Close() (u result.Usage) {
	for _, p := range s {
		u.Add(p.Stop())
	}
	return u
}

// session is one that needs no more than servers and a command.
type session struct {
	servers
	command func(ctx context.Context, i int) (*exec.Cmd, error)
}

// Command implements Session.
func (s session) Command(ctx context.Context, i int) (*exec.Cmd, error) { return s.command(ctx, i) }

// background starts a server at a host, with its output in a file.
func background(ctx context.Context, h Host, log, name string, args ...string) (*proc.Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the program has its own
	cmd := h.Command(ctx, name, args...)
	cmd.Stdout = out
	return proc.Start(cmd)
}
