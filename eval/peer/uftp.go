package peer

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"dfetch/eval/result"
)

// uftp sends by UDP at a rate that it is told. The sender's command is the one
// that ends when the receiver has everything, so it stands in for the receiver's.
type uftp struct{}

const uftpPort = 1044

// unlimitedRate is what uftp is told of a link without a rate, in Kbit/s.
const unlimitedRate = 800_000

// Check implements Peer.
func (uftp) Check(job Job) error {
	if len(job.Receivers) > 1 {
		return result.Missingf("uftp to several receivers needs multicast, which the lab's links don't route")
	}
	return installed("uftp", "uftpd")
}

// Start implements Peer.
func (uftp) Start(ctx context.Context, job Job) (Session, error) {
	to := job.Receivers[0]
	addr := to.Host.Addr4().String()
	daemon, err := background(ctx, to.Host, filepath.Join(job.Scratch, "uftpd.log"), "uftpd", "-d", "-D", to.Dest(), "-I", addr, "-B", "4194304")
	if err != nil {
		return nil, err
	}
	s := session{servers: servers{daemon}}
	if err := daemon.AwaitPort(ctx, "udp", uftpPort); err != nil {
		s.Close()
		return nil, err
	}
	rate := int64(unlimitedRate)
	if job.Rate > 0 {
		rate = job.Rate * 95 / 100 / 1000 // uftp counts in Kbit/s
	}
	s.command = func(ctx context.Context, _ int) (*exec.Cmd, error) {
		args := []string{"-q", "-R", fmt.Sprint(rate), "-B", "4194304", "-r", "0.2", "-I", job.Sender.Addr4().String(), "-M", addr}
		if job.Set.Tree() {
			args = append(args, "-E", job.Set.Dir)
		}
		return job.Sender.Command(ctx, "uftp", append(args, job.Set.Path())...), nil
	}
	return s, nil
}
