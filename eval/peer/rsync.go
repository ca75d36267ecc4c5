package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// rsync is rsync with a daemon at the sender's, no ssh.
type rsync struct{ flags []string }

const rsyncPort = 8730

// Programs implements Peer.
func (rsync) Programs() []string { return []string{"rsync"} }

// Check implements Peer.
func (r rsync) Check(Job) error { return installed(r.Programs()...) }

// Start implements Peer.
func (r rsync) Start(ctx context.Context, job Job) (Session, error) {
	config := filepath.Join(job.Scratch, "rsyncd.conf")
	text := fmt.Sprintf("pid file = %s\nuse chroot = no\nuid = 0\ngid = 0\nreverse lookup = no\n[m]\npath = %s\nread only = yes\n",
		filepath.Join(job.Scratch, "rsyncd.pid"), job.Set.Dir)
	if err := os.WriteFile(config, []byte(text), 0o666); err != nil {
		return nil, err
	}
	daemon, err := background(ctx, job.Sender, filepath.Join(job.Scratch, "rsyncd.log"), "rsync", "--daemon", "--no-detach",
		"--config="+config, fmt.Sprintf("--port=%d", rsyncPort), "--address="+job.Sender.Addr4().String())
	if err != nil {
		return nil, err
	}
	s := session{servers: servers{daemon}}
	if err := daemon.AwaitPort(ctx, "tcp", endpoint(job.Sender, rsyncPort)); err != nil {
		s.Close()
		return nil, err
	}
	s.command = func(ctx context.Context, i int) (*exec.Cmd, error) {
		to := job.Receivers[i]
		from := fmt.Sprintf("rsync://%s:%d/m/%s", job.Sender.Addr4(), rsyncPort, job.Set.Name)
		args := append(append([]string{"-a"}, r.flags...), from, to.Dest()+"/")
		return to.Host.Command(ctx, "rsync", args...), nil
	}
	return s, nil
}
