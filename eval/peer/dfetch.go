package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"dfetch/eval/proc"
	"dfetch/eval/result"
)

// dfetch is dfetch with some flags of get.
type dfetch struct {
	flags []string
	// needs are flags, or words of --from, that not every build has.
	needs []string
}

const dfetchPort = 7433

// Programs implements Peer.
func (dfetch) Programs() []string { return nil }

// Check implements Peer. What a build can do is what its help says.
func (d dfetch) Check(job Job) error {
	if err := installed(job.Dfetch); err != nil {
		return err
	}
	if len(d.needs) == 0 {
		return nil
	}
	help, err := exec.Command(job.Dfetch, "get", "--help").Output()
	if err != nil {
		return fmt.Errorf("%s get --help: %w", job.Dfetch, err)
	}
	for _, need := range d.needs {
		if !offers(string(help), need) {
			return result.Missingf("this dfetch has no %s", need)
		}
	}
	return nil
}

// offers tells whether a help text has a flag, or a word in its line of --from.
func offers(help, need string) bool {
	if strings.HasPrefix(need, "--") {
		return strings.Contains(help, " "+need+" ")
	}
	for line := range strings.Lines(help) {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
		if slices.Contains(words, "--from") {
			return slices.Contains(words, need)
		}
	}
	return false
}

// places gives dfetch folders of its own for keys and caches, and no terminal.
func places(dir string) []string {
	return append(os.Environ(),
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"),
		"XDG_STATE_HOME="+filepath.Join(dir, "state"))
}

// Start implements Peer.
func (d dfetch) Start(ctx context.Context, job Job) (Session, error) {
	printed := filepath.Join(job.Scratch, "address")
	out, err := os.Create(printed)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := job.Sender.Command(ctx, job.Dfetch, "serve", "-q", "--listen", fmt.Sprintf("%s:%d", job.Sender.Addr4(), dfetchPort), job.Set.Path())
	cmd.Env, cmd.Stdout = places(job.Scratch), out
	server, err := proc.Start(cmd)
	if err != nil {
		return nil, err
	}
	s := &dfetchSession{servers: servers{server}, job: job, flags: d.flags}
	if s.address, err = server.AwaitLine(ctx, printed); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

type dfetchSession struct {
	servers
	job     Job
	flags   []string
	address string
}

// events is where a receiver's events go.
func (s *dfetchSession) events(i int) string {
	return filepath.Join(s.job.Scratch, fmt.Sprintf("events-%d.jsonl", i))
}

// Command implements Session.
func (s *dfetchSession) Command(ctx context.Context, i int) (*exec.Cmd, error) {
	out, err := os.Create(s.events(i))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { out.Close() })
	to := s.job.Receivers[i]
	args := append([]string{"get", "--json"}, s.flags...)
	cmd := to.Host.Command(ctx, s.job.Dfetch, append(args, s.address, to.Dest()+"/")...)
	cmd.Env, cmd.Stdout = places(filepath.Join(s.job.Scratch, fmt.Sprint("receiver-", i))), out
	return cmd, nil
}

// event is what the lab reads of a line of get --json; the report has no Event.
type event struct {
	Event   string  `json:"event"`
	T       float64 `json:"t"`
	Sources map[string]struct {
		Bytes int64 `json:"bytes"`
	} `json:"sources"`
}

// mostPoints bounds a timeline.
const mostPoints = 240

// Story implements Storyteller.
func (s *dfetchSession) Story(i int) (sources map[string]int64, timeline []result.Point, err error) {
	text, err := os.ReadFile(s.events(i))
	if err != nil {
		return nil, nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, nil, fmt.Errorf("an event of dfetch: %w", err)
		}
		bytesBySource := map[string]int64{}
		for name, source := range e.Sources {
			if source.Bytes > 0 {
				bytesBySource[name] = source.Bytes
			}
		}
		switch e.Event {
		case "progress":
			timeline = append(timeline, result.Point{T: e.T, Sources: bytesBySource})
		case "":
			sources = bytesBySource
		}
	}
	if sources == nil {
		return nil, nil, errors.New("dfetch gave no report")
	}
	return sources, thin(timeline), lines.Err()
}

// thin leaves out points until no more than mostPoints are left.
func thin(points []result.Point) []result.Point {
	step := (len(points) + mostPoints - 1) / mostPoints
	if step <= 1 {
		return points
	}
	kept := points[:0]
	for i, p := range points {
		if i%step == 0 || i == len(points)-1 {
			kept = append(kept, p)
		}
	}
	return kept
}
