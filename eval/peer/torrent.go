package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"dfetch/eval/result"
	"dfetch/eval/torrent"
)

// swarm is aria2 with BitTorrent: the sender seeds, and a tracker runs at its
// host. A receiver that is done leaves the swarm, as its command ends then.
type swarm struct{}

const (
	trackerPort = 6969
	seedPort    = 6881
)

// Programs implements Peer.
func (swarm) Programs() []string { return []string{"aria2c"} }

// Check implements Peer.
func (s swarm) Check(job Job) error {
	if job.Set.Tree() {
		return result.Missingf("aria2-bt is measured with single files only")
	}
	return installed(s.Programs()...)
}

// Start implements Peer.
func (swarm) Start(ctx context.Context, job Job) (Session, error) {
	at := fmt.Sprintf("%s:%d", job.Sender.Addr4(), trackerPort)
	meta, err := torrent.Metainfo(job.Set.Path(), "http://"+at+"/announce")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(job.Scratch, "set.torrent")
	if err := os.WriteFile(file, meta, 0o666); err != nil {
		return nil, err
	}
	s := session{}
	tracker, err := background(ctx, job.Sender, filepath.Join(job.Scratch, "tracker.log"), job.Lab, "tracker", at)
	if err != nil {
		return nil, err
	}
	s.servers = append(s.servers, tracker)
	if err := tracker.AwaitPort(ctx, "tcp", endpoint(job.Sender, trackerPort)); err != nil {
		s.Close()
		return nil, err
	}
	seed, err := background(ctx, job.Sender, filepath.Join(job.Scratch, "seed.log"), "aria2c", aria2bt(file, job.Set.Dir, "--seed-ratio=0", "--check-integrity=true")...)
	if err != nil {
		s.Close()
		return nil, err
	}
	s.servers = append(s.servers, seed)
	if err := seed.AwaitPort(ctx, "tcp", endpoint(job.Sender, seedPort)); err != nil {
		s.Close()
		return nil, err
	}
	s.command = func(ctx context.Context, i int) (*exec.Cmd, error) {
		to := job.Receivers[i]
		return to.Host.Command(ctx, "aria2c", aria2bt(file, to.Dest(), "--seed-time=0", "--allow-overwrite=true", "--check-integrity=true")...), nil
	}
	return s, nil
}

func aria2bt(file, dir string, more ...string) []string {
	args := []string{
		"-q", "--no-conf", "--enable-dht=false", "--bt-enable-lpd=false", "--enable-peer-exchange=true",
		"--file-allocation=none", fmt.Sprintf("--listen-port=%d", seedPort),
		"--bt-tracker-interval=5", "-d", dir,
	}
	return append(append(args, more...), file)
}
