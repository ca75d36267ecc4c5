package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// ClientConfig is what a client is made from.
type ClientConfig struct {
	Addr   string          // host:port; required
	Pin    string          // of the server's key; required
	Token  string          // "" if the server asks for none
	Recipe recipe.ID       // required
	Sink   sources.Sink    // gets the chunks; required if any are requested
	Intake *sources.Intake // hashes them; required. The client does not close it

	// Early says which requests for nodes go out with HELLO: a round trip earlier than those of Nodes. Each Dial
	// asks once, after the handshake, within ConnectTimeout; nil is for none. They may start at the root, which is not known then but by its
	// id. A call of Nodes with an equal request takes one over. Until then 64 KiB of its nodes and one more may
	// lie at the client. At most wire.MaxNodeJobs.
	Early func(context.Context) []NodesRequest

	ConnectTimeout time.Duration // dial, handshake and HELLO; zero is 10 s
	StallTimeout   time.Duration // without a useful byte while something is wanted; zero is 30 s
	IdleTimeout    time.Duration // without any byte, though PING was sent; zero is 20 s

	Now  func() time.Time                                                  // nil is time.Now
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil is a net.Dialer
}

func (c *ClientConfig) setDefaults() {
	setDefault(&c.ConnectTimeout, 10*time.Second)
	setDefault(&c.StallTimeout, 30*time.Second)
	setDefault(&c.IdleTimeout, 20*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Sink == nil {
		c.Sink = noSink{}
	}
}

// noSink is for a client that fetches nodes only.
type noSink struct{}

func (noSink) Deliver(b *sources.Batch)   { b.Release() }
func (noSink) Fail([]sources.Want, error) {}
func (noSink) Down(error)                 {}

// features are what both ends of this program can use.
const features = wire.FeatureZstd | wire.FeatureFine | wire.FeatureStream

// pingAfter is the silence after which the client sends PING.
const pingAfter = 5 * time.Second

// maxStrays is how many bytes of chunks that nobody waits for a server may send, beyond those that
// were canceled while they were on the way.
const maxStrays = 16 << 20

// Client is the receiving end of a connection to a sender. It is a sources.Source, and it brings the
// recipe's nodes. It does not reconnect.
type Client struct {
	cfg    ClientConfig
	conn   net.Conn
	under  *wire.Conn
	tls    *tls.Conn
	tcp    wire.TCP
	reader *wire.Reader
	root   *recipe.Root
	raw    []byte // root
	maxRaw int    // bytes of a DATA frame's chunks, or of a PARTS frame's parts
	fine   bool   // the server knows fine lists and parts
	stream unpackStream
	ledger *sources.Ledger
	zooms  sources.Zooms
	out    *outbox
	nodes  *nodeAsks

	ctx    context.Context // ends with the client
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	ended  chan struct{}

	began      time.Time
	lastRead   atomic.Int64 // when bytes came, by clock
	lastUseful atomic.Int64 // when bytes came that somebody waits for
	busy       atomic.Bool  // the reader waits for the intake: silence is ours
	minRTT     atomic.Int64
	canceled   atomic.Int64 // bytes of canceled wants
	zoomBytes  atomic.Int64 // of FINE frames
}

var _ sources.Source = (*Client)(nil)
var _ sources.Zoomer = (*Client)(nil)
var _ recipe.Nodes = (*Client)(nil)

// Dial connects to a sender. errors.Is(err, sources.ErrRefused) tells a wrong key, token or recipe;
// a net.Error with Timeout tells that nobody answered; sources.ErrProtocol tells a peer that speaks
// something else. ctx bounds the dialing only. Close ends the client.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	cfg.setDefaults()
	config, err := wire.ClientTLS(cfg.Pin)
	if err != nil {
		return nil, fmt.Errorf("sender %s: %w", cfg.Addr, err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	conn, err := cfg.Dial(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("sender %s: connect: %w", cfg.Addr, err)
	}
	c := newClient(cfg, conn, config)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = c.greet(ctx)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			err = ended(ctx, cfg.ConnectTimeout) // the connection was closed for it
		}
		return nil, fmt.Errorf("sender %s: %w", cfg.Addr, classify(err))
	}
	c.start()
	return c, nil
}

// ended says why ctx, which ends after timeout or with the caller's own, has ended.
func ended(ctx context.Context, timeout time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in %v: %w", timeout, ctx.Err())
	}
	return ctx.Err()
}

func newClient(cfg ClientConfig, conn net.Conn, config *tls.Config) *Client {
	under := wire.NewConn(conn)
	tc := tls.Client(under, config)
	c := &Client{
		cfg: cfg, conn: conn, under: under, tls: tc, tcp: wire.TCPOf(conn),
		reader: wire.NewReader(tc, 0),
		out:    newOutbox(),
		ended:  make(chan struct{}),
		began:  cfg.Now(),
	}
	c.nodes = newNodeAsks(c)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// greet does the handshake and HELLO.
func (c *Client) greet(ctx context.Context) error {
	if err := c.tls.HandshakeContext(ctx); err != nil {
		if _, other := errors.AsType[tls.RecordHeaderError](err); other {
			err = fmt.Errorf("%w: %w", err, sources.ErrProtocol)
		}
		return fmt.Errorf("handshake: %w", err)
	}
	c.under.Buffer()
	early, err := c.nodes.appendEarly(ctx, c.hello())
	if err != nil {
		return err
	}
	start := c.cfg.Now()
	// One write, so that a server which refuses the HELLO has read everything when it hangs up: else its
	// answer might be lost.
	if err := c.send(early); err != nil {
		return fmt.Errorf("HELLO: %w", err)
	}
	if err := c.welcome(); err != nil {
		return err
	}
	c.noteRTT(c.cfg.Now().Sub(start))
	c.nodes.expectEarly()
	return nil
}

func (c *Client) hello() []byte {
	return wire.AppendMessage(nil, wire.TypeHello, wire.Hello{
		Versions: []uint16{wire.Version}, Recipe: c.cfg.Recipe, Token: c.cfg.Token, Features: features,
	})
}

func (c *Client) welcome() error {
	t, _, err := c.reader.Next()
	if err != nil {
		return fmt.Errorf("WELCOME: %w", err)
	}
	body, err := c.reader.Control()
	if err != nil {
		return fmt.Errorf("WELCOME: %w", err)
	}
	switch t {
	case wire.TypeError:
		return decodeError(body)
	case wire.TypeWelcome:
	default:
		return fmt.Errorf("frame %d before WELCOME: %w", t, wire.ErrFrame)
	}
	var w wire.Welcome
	if err := wire.Decode(body, &w); err != nil {
		return err
	}
	if w.Version != wire.Version {
		return fmt.Errorf("server chose version %d: %w", w.Version, wire.ErrFrame)
	}
	c.fine = w.Features&wire.FeatureFine != 0
	return c.takeRoot(w.Root)
}

// takeRoot checks the root that the server sent.
func (c *Client) takeRoot(raw []byte) error {
	root, err := recipe.DecodeRoot(raw)
	if err == nil {
		root, err = recipe.OpenRoot(raw, root.Hash, c.cfg.Recipe)
	}
	if err != nil {
		return fmt.Errorf("root from the server: %w: %w", err, sources.ErrProtocol)
	}
	c.root, c.raw = root, raw
	c.maxRaw = maxRaw(root)
	c.reader.SetMaxData(wire.MaxDataBody(c.maxRaw))
	cfg := sources.LedgerConfig{Hash: root.Hash, Sink: c.cfg.Sink, Now: c.cfg.Now}
	if c.fine {
		cfg.MaxParts = int64(c.maxRaw)
	}
	c.ledger = sources.NewLedger(cfg)
	return nil
}

func (c *Client) start() {
	now := c.clock()
	c.lastRead.Store(now)
	c.lastUseful.Store(now)
	c.wg.Go(c.readLoop)
	c.wg.Go(c.writeLoop)
	c.wg.Go(c.watch)
	go c.finish()
}

// finish runs when the client ends, however it does.
func (c *Client) finish() {
	<-c.ctx.Done()
	_ = c.conn.Close()
	err := context.Cause(c.ctx)
	c.nodes.end(err)
	c.wg.Wait()
	c.zooms.End(err)
	c.ledger.End(err)
	close(c.ended)
}

// fail ends the client with a reason. The first one counts.
func (c *Client) fail(err error) {
	c.cancel(fmt.Errorf("sender %s: %w", c.cfg.Addr, classify(err)))
}

// RawRoot is the recipe's root node; its id was checked.
func (c *Client) RawRoot() []byte { return c.raw }

// Root is the recipe's root.
func (c *Client) Root() *recipe.Root { return c.root }

// Request asks for chunks.
func (c *Client) Request(wants []sources.Want) error {
	if c.ledger.Stats().Outstanding == 0 {
		c.useful()
	}
	whole, parts, err := c.ledger.Ask(wants)
	if err != nil {
		return err
	}
	c.out.get(whole, partsOf(parts))
	return nil
}

// Cancel gives wants back. They fail with ErrCanceled at once; bytes that are on the way are dropped.
func (c *Client) Cancel(wants []sources.Want) {
	gone := c.ledger.Cancel(wants)
	for i := range wants {
		c.canceled.Add(wants[i].Bytes())
	}
	c.out.unget(gone)
}

// Properties says what the client is.
func (c *Client) Properties() sources.Properties {
	return sources.Properties{Kind: "sender", Name: "sender " + c.cfg.Addr, HoldsAll: true}
}

// Stats says how it does.
func (c *Client) Stats() sources.Stats {
	s := c.ledger.Stats()
	s.WireBytes, s.WireSent = c.under.Counts()
	s.ZoomBytes = c.zoomBytes.Load()
	c.noteRTT(c.tcp.Info().MinRTT)
	s.MinRTT = time.Duration(c.minRTT.Load())
	return s
}

// Close ends the client and waits for it. Outstanding wants fail with ErrClosed.
func (c *Client) Close() error {
	c.cancel(sources.ErrClosed)
	<-c.ended
	return nil
}

// noteRTT keeps the smallest round trip; zero is not one.
func (c *Client) noteRTT(d time.Duration) {
	for {
		old := c.minRTT.Load()
		if d <= 0 || (old != 0 && old <= int64(d)) || c.minRTT.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

func (c *Client) useful() { c.lastUseful.Store(c.clock()) }

// clock is the nanoseconds since the client was made. Whoever sets the machine's clock does not move it.
func (c *Client) clock() int64 { return int64(c.cfg.Now().Sub(c.began)) }

// decodeError is what an ERR frame says.
func decodeError(body []byte) error {
	var e wire.Error
	if err := wire.Decode(body, &e); err != nil {
		return err
	}
	return fmt.Errorf("server says %q: %w", e.Text, codeError(e.Code))
}

// errBusy is for codes that have no error of their own in sources.
var errBusy = errors.New("server can't serve now")

func codeError(code wire.Code) error {
	switch code {
	case wire.CodeRefused:
		return sources.ErrRefused
	case wire.CodeChanged:
		return sources.ErrChanged
	case wire.CodeNotHeld:
		return sources.ErrNotHeld
	case wire.CodeProtocol:
		return sources.ErrProtocol
	}
	return errBusy
}

// classify gives an error the sentinel that the loop decides by.
func classify(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", err, ErrHungUp)
	case errors.Is(err, wire.ErrPin):
		return fmt.Errorf("%w: %w", err, sources.ErrRefused)
	case errors.Is(err, wire.ErrFrame) && !errors.Is(err, sources.ErrProtocol):
		return fmt.Errorf("%w: %w", err, sources.ErrProtocol)
	}
	return err
}
