package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/sender"
	"dfetch/sources/wire"
)

// Endpoint is a sender that may be asked: one identity, reachable under one or more addresses.
type Endpoint struct {
	Addrs []string // host:port
	Pin   string   // its TLS key; empty trusts any, since the recipe's id checks the content
	Token string
}

// Bounds of reconnecting.
const (
	maxRedials  = 5 // in a row, without an answer
	firstRedial = time.Second
)

// ErrNoSender: something is missing and no sender was named that could bring it.
var ErrNoSender = errors.New("no sender is known")

// dialers keeps the connections to the endpoints up.
type dialers struct {
	cfg    *Config
	loop   *loop
	intake *sources.Intake
	roots  chan []byte                                 // raw roots that passed the check; one is kept
	early  func(context.Context) []sender.NodesRequest // sent with HELLO while no root is known; set before start
	known  atomic.Bool                                 // a root came

	mu     sync.Mutex
	live   map[*sender.Client]struct{}
	change chan struct{} // closed and renewed when live changes
	shut   bool          // closeAll was called
	ended  error         // why no endpoint will come up again
	past   traffic       // of connections that have ended
	wg     sync.WaitGroup
}

func newDialers(cfg *Config, l *loop, in *sources.Intake) *dialers {
	return &dialers{
		cfg: cfg, loop: l, intake: in, roots: make(chan []byte, 1),
		live: map[*sender.Client]struct{}{}, change: make(chan struct{}),
	}
}

// start dials every endpoint. When the last one has ended for good, the loop is told.
func (d *dialers) start(ctx context.Context) {
	errs := make([]error, len(d.cfg.Endpoints))
	var all sync.WaitGroup
	for i, ep := range d.cfg.Endpoints {
		all.Go(func() { errs[i] = d.keep(ctx, ep) })
	}
	d.wg.Go(func() {
		all.Wait()
		err := errors.Join(errs...)
		if err == nil {
			err = ErrNoSender
		}
		d.mu.Lock()
		d.ended = err
		d.signal()
		d.mu.Unlock()
		d.loop.noMoreSources(err)
	})
}

// signal wakes those who wait for a change; mu is held.
func (d *dialers) signal() {
	close(d.change)
	d.change = make(chan struct{})
}

// keep dials an endpoint, and again when it is lost, until it refuses or stays away. One that was
// never there is not waited for, unless it hangs up, as one with too many connections does. It returns why it gave up.
func (d *dialers) keep(ctx context.Context, ep Endpoint) error {
	wait, known := firstRedial, false
	for tries := 0; ; tries++ {
		progress, err := d.session(ctx, ep)
		if progress {
			tries, wait, known = 0, firstRedial, true
		}
		if ctx.Err() != nil || d.closed() || final(err) || tries == maxRedials || !known && !errors.Is(err, sender.ErrHungUp) {
			return err
		}
		d.cfg.log("%s: %v; trying again in %v", ep.Addrs[0], err, wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
		wait = min(2*wait, 16*time.Second)
	}
}

// closed says whether closeAll was called.
func (d *dialers) closed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shut
}

// final says whether dialling again is useless.
func final(err error) bool {
	return errors.Is(err, sources.ErrRefused) || errors.Is(err, sources.ErrProtocol) || errors.Is(err, errBadRoot) ||
		errors.Is(err, sources.ErrStalled)
}

// errBadRoot: a sender's root node is not the recipe that was asked for.
var errBadRoot = errors.New("sender's recipe is not the one that the address names")

// session is one connection, from dialling to its end. progress says whether the sender answered.
func (d *dialers) session(ctx context.Context, ep Endpoint) (progress bool, err error) {
	a := newAttached()
	client, err := d.dial(ctx, ep, &sink{l: d.loop, a: a, kind: "sender"})
	if err != nil {
		return false, err
	}
	defer d.retire(client)
	if err := d.checkRoot(client); err != nil {
		client.Close()
		return false, err
	}
	d.mu.Lock()
	d.live[client] = struct{}{}
	d.signal()
	d.mu.Unlock()
	if err := d.loop.attach(a, client); err != nil {
		client.Close()
		return false, err
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		client.Close()
		<-a.done
	}
	return client.Stats().WireBytes > 0, a.reason()
}

// dial tries the endpoint's addresses in turn.
func (d *dialers) dial(ctx context.Context, ep Endpoint, s sources.Sink) (*sender.Client, error) {
	var errs []error
	early := d.early
	if d.known.Load() {
		early = nil
	}
	for _, addr := range ep.Addrs {
		c, err := sender.Dial(ctx, sender.ClientConfig{
			Addr: addr, Pin: ep.Pin, Token: ep.Token, Recipe: d.cfg.Recipe, Sink: s, Intake: d.intake,
			StallTimeout: d.cfg.StallTimeout, Early: early,
		})
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil || errors.Is(err, sources.ErrRefused) {
			break
		}
	}
	return nil, errors.Join(errs...)
}

func (d *dialers) checkRoot(c *sender.Client) error {
	raw := c.RawRoot()
	if err := checkRoot(raw, d.cfg.Recipe); err != nil {
		return fmt.Errorf("%s: %w", c.Properties().Name, err)
	}
	d.known.Store(true)
	select {
	case d.roots <- raw:
	default:
	}
	return nil
}

// checkRoot says whether raw is the root node of the recipe.
func checkRoot(raw []byte, want recipe.ID) error {
	root, err := recipe.DecodeRoot(raw)
	if err != nil {
		return err
	}
	if got := root.Hash.Node(recipe.KindRoot, raw); got != want {
		return fmt.Errorf("%w: %s", errBadRoot, got)
	}
	return nil
}

func (d *dialers) retire(c *sender.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.live, c)
	d.past.add(c.Stats())
	d.signal()
}

// traffic is what senders have sent.
type traffic struct {
	wire     int64 // bytes
	zoomed   int64 // of these, fine lists
	rejected int64 // chunks with wrong bytes
}

func (t *traffic) add(s sources.Stats) {
	t.wire += s.WireBytes
	t.zoomed += s.ZoomBytes
	t.rejected += s.Rejected
}

// traffic is what all senders have sent so far.
func (d *dialers) traffic() traffic {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := d.past
	for c := range d.live {
		sum.add(c.Stats())
	}
	return sum
}

// closeAll ends every connection, makes no more, and waits until none delivers any more.
func (d *dialers) closeAll() {
	d.mu.Lock()
	d.shut = true
	var all []*sender.Client
	for c := range d.live {
		all = append(all, c)
	}
	d.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// nodes gives a connection to ask for nodes; it waits for one.
func (d *dialers) nodes(ctx context.Context) (nodeStream, error) {
	for {
		d.mu.Lock()
		change, ended := d.change, d.ended
		var best *sender.Client
		for c := range d.live {
			if best == nil || c.Stats().MinRTT < best.Stats().MinRTT {
				best = c
			}
		}
		d.mu.Unlock()
		switch {
		case best != nil:
			return streamOf(best), nil
		case ended != nil:
			return nil, ended
		}
		select {
		case <-change:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func streamOf(c *sender.Client) nodeStream {
	return func(ctx context.Context, asks []nodeAsk, with below, fn func(recipe.Kind, recipe.ID, []byte) error) error {
		return c.Nodes(ctx, nodesRequest(asks, with), fn)
	}
}

func nodesRequest(asks []nodeAsk, with below) sender.NodesRequest {
	refs := make([]wire.NodeRef, len(asks))
	for i, a := range asks {
		refs[i] = wire.NodeRef{Kind: a.kind, ID: a.id}
	}
	return sender.NodesRequest{Refs: refs, Recursive: with == allDirs, Lists: with == allLists}
}
