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

// clientID is the name that uftpd gives itself: its address as a number. A sender
// that knows it need not wait for others to announce themselves.
func clientID(h Host) string {
	a := h.Addr4().As4()
	return fmt.Sprintf("0x%02X%02X%02X%02X", a[0], a[1], a[2], a[3])
}

// Programs implements Peer.
func (uftp) Programs() []string { return []string{"uftp", "uftpd"} }

// Check implements Peer.
func (u uftp) Check(job Job) error {
	if len(job.Receivers) > 1 {
		return result.Missingf("uftp to several receivers needs multicast, which the lab's links don't route")
	}
	if job.Set.Tree() {
		return result.Missingf("uftp negotiates every file on its own, so it is measured with single files only")
	}
	return installed(u.Programs()...)
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
	if err := daemon.AwaitPort(ctx, "udp", endpoint(to.Host, uftpPort)); err != nil {
		s.Close()
		return nil, err
	}
	rate := int64(unlimitedRate)
	if job.Rate > 0 {
		rate = job.Rate * 95 / 100 / 1000 // uftp counts in Kbit/s
	}
	s.command = func(ctx context.Context, _ int) (*exec.Cmd, error) {
		args := []string{"-q", "-R", fmt.Sprint(rate), "-B", "4194304", "-r", "0.2", "-I", job.Sender.Addr4().String(), "-M", addr, "-H", clientID(to.Host)}
		return job.Sender.Command(ctx, "uftp", append(args, job.Set.Path())...), nil
	}
	return s, nil
}
