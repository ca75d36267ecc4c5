package sender

import (
	"context"
	"fmt"
	"sync"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// nodeWindow is how many raw bytes of nodes may lie at the client, for each request.
const nodeWindow = 8 << 20

// NodesRequest asks for several nodes at once.
type NodesRequest struct {
	Refs      []wire.NodeRef // at most wire.MaxNodeRefs
	Recursive bool           // and directory nodes below, in pre-order
	Lists     bool           // and chunk list nodes below
}

// nodeAsks are the requests for nodes that are under way.
type nodeAsks struct {
	c     *Client
	slots chan struct{} // one a request: the server takes no more at a time

	mu      sync.Mutex
	seq     uint32
	asks    map[uint32]*nodeAsk
	single  map[wire.NodeRef][]chan nodeAnswer // who waits for one node
	pending []wire.NodeRef                     // of single, not asked for yet
	flying  bool                               // a request for single nodes is under way
	early   []earlyAsk                         // of ClientConfig.Early
	ended   bool
}

type nodeAnswer struct {
	raw []byte
	err error
}

// nodeAsk is one request.
type nodeAsk struct {
	seq   uint32
	order *preorder
	came  chan struct{}

	owed int // raw bytes that were used and not given back as room

	mu        sync.Mutex
	queue     []node
	queued    int  // raw bytes in queue
	abandoned bool // nobody waits for it
	ended     bool
	err       error
}

type node struct {
	ref wire.NodeRef
	raw []byte
}

func newNodeAsks(c *Client) *nodeAsks {
	return &nodeAsks{
		c: c, slots: make(chan struct{}, wire.MaxNodeJobs),
		asks: make(map[uint32]*nodeAsk), single: make(map[wire.NodeRef][]chan nodeAnswer),
	}
}

// Nodes fetches nodes and calls fn with each, in order, checked against its id. With Recursive or
// Lists, what a node refers to comes right after it, each node once. fn may take its time: no more
// than a window of nodes lies in memory meanwhile. fn's error ends the request.
func (c *Client) Nodes(ctx context.Context, req NodesRequest, fn func(kind recipe.Kind, id recipe.ID, raw []byte) error) error {
	ask, err := c.nodes.open(ctx, req)
	if err != nil {
		return err
	}
	for {
		n, ok, err := c.nextNode(ctx, ask)
		if err != nil || !ok {
			return err
		}
		if err := fn(n.ref.Kind, n.ref.ID, n.raw); err != nil {
			c.nodes.abandon(ask)
			return err
		}
		c.giveRoom(ask, len(n.raw))
	}
}

func (c *Client) nextNode(ctx context.Context, ask *nodeAsk) (node, bool, error) {
	for {
		n, ok, ended, err := ask.pop()
		if ok || ended {
			return n, ok, err
		}
		if _, err := wait(ctx, c, ask.came); err != nil {
			if ctx.Err() != nil {
				c.nodes.abandon(ask)
			}
			return node{}, false, err
		}
	}
}

// giveRoom lets the server send as much as was used, a quarter of the window at a time.
func (c *Client) giveRoom(ask *nodeAsk, n int) {
	ask.owed += n
	if ask.owed >= nodeWindow/4 {
		c.out.say(wire.AppendMessage(nil, wire.TypeMore, wire.More{Seq: ask.seq, Bytes: uint32(ask.owed)}))
		ask.owed = 0
	}
}

// check refuses what a server would not take.
func (r *NodesRequest) check() error {
	if len(r.Refs) == 0 || len(r.Refs) > wire.MaxNodeRefs {
		return fmt.Errorf("request of %d nodes, want 1 to %d", len(r.Refs), wire.MaxNodeRefs)
	}
	return nil
}

func (r *NodesRequest) message(seq uint32, window int) wire.Nodes {
	return wire.Nodes{Seq: seq, Refs: r.Refs, Recursive: r.Recursive, Lists: r.Lists, Window: uint32(window)}
}

func (a *nodeAsks) open(ctx context.Context, req NodesRequest) (*nodeAsk, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	if ask := a.takeEarly(req); ask != nil {
		return ask, nil
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-a.c.ctx.Done():
		return nil, context.Cause(a.c.ctx)
	}
	return a.send(req), nil
}

// send sends a request; a slot was taken.
func (a *nodeAsks) send(req NodesRequest) *nodeAsk {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asks) == 0 {
		a.c.useful()
	}
	a.seq++
	msg := req.message(a.seq, nodeWindow)
	a.c.out.say(wire.AppendMessage(nil, wire.TypeNodes, msg))
	return a.expect(msg)
}

// expect makes a request known that was or will be sent. It is called with mu held.
func (a *nodeAsks) expect(msg wire.Nodes) *nodeAsk {
	ask := &nodeAsk{seq: msg.Seq, order: newPreorder(a.c.root.Mask, msg), came: make(chan struct{}, 1)}
	a.asks[msg.Seq] = ask
	return ask
}

// abandon drops what still comes of a request and asks the server to end it.
func (a *nodeAsks) abandon(ask *nodeAsk) {
	ask.mu.Lock()
	ask.queue, ask.abandoned = nil, true
	ended := ask.ended
	ask.mu.Unlock()
	if !ended {
		a.c.out.say(wire.AppendMessage(nil, wire.TypeMore, wire.More{Seq: ask.seq}))
	}
}

// waiting says whether the server owes nodes that somebody waits for.
func (a *nodeAsks) waiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ask := range a.asks {
		if ask.starved() {
			return true
		}
	}
	return false
}

func (k *nodeAsk) starved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.ended && !k.abandoned && len(k.queue) == 0
}

func (k *nodeAsk) isAbandoned() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.abandoned
}

func (k *nodeAsk) pop() (n node, ok, ended bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.queue) > 0 {
		n, k.queue = k.queue[0], k.queue[1:]
		k.queued -= len(n.raw)
		return n, true, false, nil
	}
	return node{}, false, k.ended, k.err
}

// takeNode reads a NODE frame, checks it, and hands it to its request.
func (c *Client) takeNode() error {
	head, payload, err := wire.ReadNode(c.reader)
	if err != nil {
		return err
	}
	c.nodes.mu.Lock()
	ask := c.nodes.asks[head.Seq]
	c.nodes.mu.Unlock()
	if ask == nil {
		return fmt.Errorf("node of request %d, which is not open: %w", head.Seq, wire.ErrFrame)
	}
	if want, ok := ask.order.next(); !ok || want != head.Ref {
		return fmt.Errorf("%v node %v comes out of order: %w", head.Ref.Kind, head.Ref.ID, wire.ErrFrame)
	}
	raw, err := unpack(make([]byte, 0, head.RawLen), head.Enc, payload, int(head.RawLen))
	if err != nil {
		return err
	}
	if c.root.Hash.Node(head.Ref.Kind, raw) != head.Ref.ID {
		return fmt.Errorf("%v node %v: %w: %w", head.Ref.Kind, head.Ref.ID, sources.ErrCorrupt, sources.ErrProtocol)
	}
	if err := ask.order.follow(head.Ref, raw); err != nil {
		return err
	}
	c.useful()
	return ask.add(node{ref: head.Ref, raw: raw})
}

// add queues a node, unless the request was abandoned.
func (k *nodeAsk) add(n node) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.abandoned {
		return nil
	}
	if k.queued += len(n.raw); k.queued > nodeWindow+recipe.MaxNode {
		return fmt.Errorf("server sends nodes beyond the window of %d bytes: %w", nodeWindow, wire.ErrFrame)
	}
	k.queue = append(k.queue, n)
	signal(k.came)
	return nil
}

func (c *Client) takeNodesEnd(body []byte) error {
	var end wire.NodesEnd
	if err := wire.Decode(body, &end); err != nil {
		return err
	}
	a := c.nodes
	a.mu.Lock()
	defer a.mu.Unlock()
	ask := a.asks[end.Seq]
	if ask == nil {
		return fmt.Errorf("end of request %d, which is not open: %w", end.Seq, wire.ErrFrame)
	}
	delete(a.asks, end.Seq)
	<-a.slots
	ask.finish(c.endError(ask, end))
	return nil
}

// endError is how a request ended.
func (c *Client) endError(ask *nodeAsk, end wire.NodesEnd) error {
	if ask.isAbandoned() {
		return context.Canceled
	}
	if end.Code != 0 {
		err := codeError(end.Code)
		if end.Code == wire.CodeNotHeld {
			err = recipe.ErrNotFound
		}
		return fmt.Errorf("sender %s: nodes: %s: %w", c.cfg.Addr, end.Text, err)
	}
	if ref, more := ask.order.next(); more {
		return fmt.Errorf("sender %s: %v node %v did not come: %w", c.cfg.Addr, ref.Kind, ref.ID, sources.ErrProtocol)
	}
	return nil
}

func (k *nodeAsk) finish(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	if k.err == nil {
		k.err = err
	}
	signal(k.came)
}

// end fails everything that waits.
func (a *nodeAsks) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for _, ask := range a.asks {
		ask.finish(err)
	}
}

// Node fetches one node. Nodes that are asked for while a request is under way go together in the
// next one, so many callers cost few round trips.
func (c *Client) Node(ctx context.Context, kind recipe.Kind, id recipe.ID) ([]byte, error) {
	if kind == recipe.KindRoot && id == c.cfg.Recipe {
		return c.raw, nil
	}
	answer, err := wait(ctx, c, c.nodes.one(wire.NodeRef{Kind: kind, ID: id}))
	if err != nil {
		return nil, err
	}
	return answer.raw, answer.err
}

// one notes that somebody waits for a node.
func (a *nodeAsks) one(ref wire.NodeRef) <-chan nodeAnswer {
	ch := make(chan nodeAnswer, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.single[ref]) == 0 {
		a.pending = append(a.pending, ref)
	}
	a.single[ref] = append(a.single[ref], ch)
	if !a.flying && !a.ended {
		a.flying = true
		a.c.wg.Go(a.fly)
	}
	return ch
}

// fly fetches what is pending until nothing is.
func (a *nodeAsks) fly() {
	for {
		refs := a.batch()
		if len(refs) == 0 {
			return
		}
		left := refs
		err := a.c.Nodes(a.c.ctx, NodesRequest{Refs: refs}, func(_ recipe.Kind, _ recipe.ID, raw []byte) error {
			a.answer(left[0], nodeAnswer{raw: raw})
			left = left[1:]
			return nil
		})
		for i, ref := range left {
			if i > 0 && a.c.ctx.Err() == nil {
				a.again(ref)
				continue
			}
			a.answer(ref, nodeAnswer{err: err})
		}
	}
}

func (a *nodeAsks) batch() []wire.NodeRef {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(len(a.pending), wire.MaxNodeRefs)
	refs := a.pending[:n:n]
	a.pending = a.pending[n:]
	a.flying = n > 0
	return refs
}

func (a *nodeAsks) answer(ref wire.NodeRef, n nodeAnswer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ch := range a.single[ref] {
		ch <- n
	}
	delete(a.single, ref)
}

// again asks for a node whose request ended at another one.
func (a *nodeAsks) again(ref wire.NodeRef) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = append(a.pending, ref)
}
