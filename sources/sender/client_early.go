package sender

import (
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

// appendEarly appends the early requests, which are numbered from 1 on.
func (a *nodeAsks) appendEarly(p []byte) []byte {
	for i := range a.c.cfg.Early {
		p = wire.AppendMessage(p, wire.TypeNodes, a.c.cfg.Early[i].message(uint32(i)+1, earlyWindow))
	}
	return p
}

// expectEarly makes the early requests known. It is called when the root is known, before the next
// frame is read.
func (a *nodeAsks) expectEarly() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.c.cfg.Early {
		a.slots <- struct{}{} // there is room: nothing else was asked for yet
		a.seq++
		a.early = append(a.early, a.expect(a.c.cfg.Early[i].message(a.seq, earlyWindow)))
	}
}

// takeEarly finds an early request that equals req and that nobody took over yet, and gives it the room of
// any other; nil if there is none.
func (a *nodeAsks) takeEarly(req NodesRequest) *nodeAsk {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, ask := range a.early {
		if ask == nil || !a.c.cfg.Early[i].equal(req) {
			continue
		}
		a.early[i] = nil
		a.c.giveRoom(ask, nodeWindow-earlyWindow)
		return ask
	}
	return nil
}

func (r *NodesRequest) equal(other NodesRequest) bool {
	return slices.Equal(r.Refs, other.Refs) && r.Recursive == other.Recursive && r.Lists == other.Lists
}
