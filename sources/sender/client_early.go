package sender

import (
	"context"
	"fmt"
	"slices"

	"dfetch/sources/wire"
)

// earlyWindow is how many raw bytes of nodes may come of an early request before somebody takes it over:
// what is lost if nobody does.
const earlyWindow = 64 << 10

func checkEarly(early []NodesRequest) error {
	if len(early) > wire.MaxNodeJobs {
		return fmt.Errorf("%d early requests for nodes, limit %d", len(early), wire.MaxNodeJobs)
	}
	for i := range early {
		if err := early[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// appendEarly asks for the early requests and appends them, numbered from 1 on.
func (a *nodeAsks) appendEarly(ctx context.Context, p []byte) ([]byte, error) {
	if a.c.cfg.Early == nil {
		return p, nil
	}
	reqs := a.c.cfg.Early(ctx)
	if err := checkEarly(reqs); err != nil {
		return nil, err
	}
	for i := range reqs {
		p = wire.AppendMessage(p, wire.TypeNodes, reqs[i].message(uint32(i)+1, earlyWindow))
		a.early = append(a.early, earlyAsk{req: reqs[i]})
	}
	return p, nil
}

// expectEarly makes the early requests known. It is called when the root is known, before the next
// frame is read.
func (a *nodeAsks) expectEarly() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.early {
		a.slots <- struct{}{} // there is room: nothing else was asked for yet
		a.seq++
		a.early[i].ask = a.expect(a.early[i].req.message(a.seq, earlyWindow))
	}
}

// takeEarly finds an early request that equals req and that nobody took over yet, and gives it the room of
// any other; nil if there is none.
func (a *nodeAsks) takeEarly(req NodesRequest) *nodeAsk {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.early {
		e := &a.early[i]
		ask := e.ask
		if ask == nil || !e.req.equal(req) {
			continue
		}
		e.ask = nil
		a.c.giveRoom(ask, nodeWindow-earlyWindow)
		return ask
	}
	return nil
}

// earlyAsk is an early request; there is no ask before the root is known, and when somebody took it over.
type earlyAsk struct {
	req NodesRequest
	ask *nodeAsk
}

func (r *NodesRequest) equal(other NodesRequest) bool {
	return slices.Equal(r.Refs, other.Refs) && r.Recursive == other.Recursive && r.Lists == other.Lists
}
