package sender

import (
	"context"
	"errors"
	"fmt"

	"dfetch/recipe"
	"dfetch/sources/wire"
)

// nodeJob is a request for nodes that is being answered.
type nodeJob struct {
	seq     uint32
	order   *preorder // of the goroutine that fills
	room    int64     // raw bytes that may be sent; it may go below zero by one node
	stopped bool      // the client wants no more
}

func (s *session) takeNodes(body []byte) error {
	var req wire.Nodes
	if err := wire.Decode(body, &req); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.jobs) >= wire.MaxNodeJobs {
		return fmt.Errorf("%d NODES at a time, limit %d: %w", len(s.jobs)+1, wire.MaxNodeJobs, wire.ErrFrame)
	}
	s.jobs = append(s.jobs, &nodeJob{seq: req.Seq, order: newPreorder(s.tree.root.Mask, req), room: int64(req.Window)})
	signal(s.work)
	return nil
}

func (s *session) takeMore(body []byte) error {
	var more wire.More
	if err := wire.Decode(body, &more); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.seq == more.Seq {
			j.room += int64(more.Bytes)
			j.stopped = j.stopped || more.Bytes == 0
			signal(s.work)
		}
	}
	return nil
}

// nodeStep sends the next node that there is room for; false if there is none.
func (s *session) nodeStep(ctx context.Context) (bool, error) {
	job, stopped := s.nextJob()
	if job == nil {
		return false, nil
	}
	ref, ok := job.order.next()
	if !ok || stopped {
		return true, s.endJob(ctx, job, nil)
	}
	raw, err := s.nodeRaw(ctx, ref)
	if err == nil {
		err = job.order.follow(ref, raw)
	}
	if err != nil {
		return true, s.endJob(ctx, job, err)
	}
	s.mu.Lock()
	job.room -= int64(len(raw))
	s.mu.Unlock()
	return true, s.put(ctx, &frame{bytes: encodeNode(job.seq, ref, raw), more: true})
}

// nextJob is the oldest job that can go on.
func (s *session) nextJob() (job *nodeJob, stopped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.room > 0 || j.stopped {
			return j, j.stopped
		}
	}
	return nil, false
}

func (s *session) endJob(ctx context.Context, job *nodeJob, fault error) error {
	s.mu.Lock()
	for i, j := range s.jobs {
		if j == job {
			s.jobs = append(s.jobs[:i], s.jobs[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	end := wire.NodesEnd{Seq: job.seq}
	if fault != nil {
		end.Code, end.Text = wire.CodeIO, clip(fault.Error())
	}
	if errors.Is(fault, recipe.ErrNotFound) {
		end.Code = wire.CodeNotHeld
	}
	return s.put(ctx, &frame{bytes: wire.AppendMessage(nil, wire.TypeNodesEnd, end), more: true})
}
