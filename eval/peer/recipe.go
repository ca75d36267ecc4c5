package peer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// recipeOnly describes the set with dfetch recipe and transfers nothing.
type recipeOnly struct{}

// Programs implements Peer.
func (recipeOnly) Programs() []string { return nil }

// Check implements Peer.
func (recipeOnly) Check(job Job) error { return installed(job.Dfetch) }

// Start implements Peer.
func (recipeOnly) Start(_ context.Context, job Job) (Session, error) {
	return recipeSession{job: job}, nil
}

type recipeSession struct {
	servers
	job Job
}

func (s recipeSession) file() string { return filepath.Join(s.job.Scratch, "set.dfr") }

// Command implements Session.
func (s recipeSession) Command(ctx context.Context, _ int) (*exec.Cmd, error) {
	cmd := s.job.Sender.Command(ctx, s.job.Dfetch, "recipe", "-q", "-o", s.file(), s.job.Set.Path())
	cmd.Env = places(s.job.Scratch)
	return cmd, nil
}

// Judge implements Judge: the recipe must be one that dfetch reads, and describe the set.
func (s recipeSession) Judge(int) error {
	if _, err := os.Stat(s.file()); err != nil {
		return err
	}
	if out, err := exec.Command(s.job.Dfetch, "show", s.file()).CombinedOutput(); err != nil {
		return fmt.Errorf("dfetch show: %w: %s", err, out)
	}
	return describes(context.Background(), s.file(), s.job.Set)
}
