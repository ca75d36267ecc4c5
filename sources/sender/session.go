package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

const (
	maxControl = 256 << 10 // bytes of answers that a client lets lie

	// Small frames wait for more of their kind, so that they share packets: so many bytes and so long at most. What fill
	// does before it has the next frame may take any time: reading a disk, an upload limit.
	maxWaiting = 16 << 10
	maxWait    = 2 * time.Millisecond
)

// session is the server's side of one connection. Three goroutines share it: read takes the client's
// frames, fill turns requests into frames and sends them, answer sends what must not wait for requests.
// No frame with chunks waits between being made and being sent: what waits can't be canceled, and a frame that another
// goroutine sends has to come out of another processor's cache. WELCOME and nodes wait for one another, as a path that has
// just begun takes few packets. The network has the socket's queue
// to go on with while the next frame is made.
type session struct {
	srv   *Server
	conn  net.Conn   // the socket
	under *wire.Conn // below TLS
	tls   *tls.Conn
	tcp   wire.TCP
	limit *rate.Limiter // of this connection; nil without
	tree  *served

	stream bool // the client reads zstd streams

	work chan struct{} // tells fill that there is something to do
	talk chan struct{} // tells answer that there is control to send
	turn chan struct{} // holds a token while somebody sends

	mu      sync.Mutex
	gets    []get // GET and GET_PARTS
	zooms   []get // ZOOM
	jobs    []*nodeJob
	control []byte // PONG: goes ahead of the next frame

	pace *pacer
	late *time.Timer // sends what has waited for maxWait; it is set when a frame begins to wait
}

// get is what is left of one request that counts for TAKEN: ranges of a GET or ZOOM, parts of a GET_PARTS.
type get struct {
	ranges []sources.Range
	parts  []wire.Part
}

func (g *get) done() bool { return len(g.ranges)+len(g.parts) == 0 }

// frame is ready to be sent.
type frame struct {
	bytes []byte
	data  *sources.Buffer // holds bytes; nil for control
	raw   int             // bytes of chunks in it
	more  bool            // it may wait for more of its kind
}

func (f *frame) release() {
	if f.data != nil {
		f.data.Release()
	}
}

func newSession(s *Server, conn net.Conn, under *wire.Conn, tc *tls.Conn) *session {
	tcp := wire.TCPOf(conn)
	return &session{
		srv: s, conn: conn, under: under, tls: tc, tcp: tcp,
		limit: limiter(s.cfg.UploadLimitPerCon),
		work:  make(chan struct{}, 1),
		talk:  make(chan struct{}, 1),
		turn:  make(chan struct{}, 1),
		pace:  newPacer(tcp, conn.RemoteAddr()),
	}
}

// run serves the client until it leaves, which is no error.
func (s *session) run(ctx context.Context) error {
	r := wire.NewReader(s.tls, 0)
	if err := s.hello(r); err != nil {
		return err
	}
	defer s.late.Stop()
	_ = s.conn.SetDeadline(time.Time{})
	g, ctx := errgroup.WithContext(ctx)
	// A goroutine that ends ends the others: the socket is closed under them.
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	early := make(chan struct{})
	g.Go(func() error { return s.read(r, early) })
	g.Go(func() error { <-early; return s.fill(ctx) })
	g.Go(func() error { return s.answer(ctx) })
	err := g.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, errLeft) {
		return nil
	}
	return err
}

// errLeft means that the client closed the connection between two frames.
var errLeft = errors.New("client left")

// hello answers the client's first frame. Nothing is done for a client before its token was checked. The answer waits for
// those to the requests that came with the frame.
func (s *session) hello(r *wire.Reader) error {
	t, _, err := r.Next()
	if err != nil {
		return fmt.Errorf("HELLO: %w", err)
	}
	if t != wire.TypeHello {
		return s.refuse(wire.CodeProtocol, fmt.Sprintf("frame %d before HELLO", t))
	}
	body, err := r.Control()
	if err != nil {
		return fmt.Errorf("HELLO: %w", err)
	}
	var h wire.Hello
	if err := wire.Decode(body, &h); err != nil {
		return s.refuse(wire.CodeProtocol, err.Error())
	}
	if !speaks(h.Versions) {
		return s.refuse(wire.CodeProtocol, fmt.Sprintf("versions %v, this server has %d", h.Versions, wire.Version))
	}
	if s.tree = s.srv.find(h.Recipe, h.Token); s.tree == nil {
		s.srv.count.refused.Add(1)
		return s.refuse(wire.CodeRefused, "unknown recipe or wrong token")
	}
	s.pace.zstd = h.Features&wire.FeatureZstd != 0
	s.stream = h.Features&wire.FeatureStream != 0
	_, err = s.tls.Write(wire.AppendMessage(nil, wire.TypeWelcome, wire.Welcome{
		Version: wire.Version, Root: s.tree.Recipe.RawRoot(), Name: s.tree.Name, Features: h.Features & features,
	}))
	if err == nil {
		s.late = time.AfterFunc(maxWait, func() { _ = s.inTurn(s.flush) })
	}
	return err
}

func speaks(versions []uint16) bool {
	for _, v := range versions {
		if v == wire.Version {
			return true
		}
	}
	return false
}

// refuse sends ERR and returns what it says.
func (s *session) refuse(code wire.Code, text string) error {
	err := s.send(wire.AppendMessage(nil, wire.TypeError, wire.Error{Code: code, Text: text}))
	return errors.Join(errors.New(text), err)
}

func (s *session) send(p []byte) error {
	if _, err := s.tls.Write(p); err != nil {
		return err
	}
	return s.under.Flush()
}

// read takes the client's frames. It closes early when it has taken those that lay here at its start.
func (s *session) read(r *wire.Reader, early chan struct{}) error {
	for r.Ready() {
		if err := s.readFrame(r); err != nil {
			close(early)
			return err
		}
	}
	close(early)
	for {
		if err := s.readFrame(r); err != nil {
			return err
		}
	}
}

// readFrame takes one frame.
func (s *session) readFrame(r *wire.Reader) error {
	_ = s.conn.SetReadDeadline(time.Now().Add(s.srv.cfg.IdleTimeout))
	t, _, err := r.Next()
	if errors.Is(err, io.EOF) {
		return errLeft
	}
	if err == nil {
		err = s.take(t, r)
	}
	if err != nil {
		_ = s.say(wire.AppendMessage(nil, wire.TypeError, wire.Error{Code: wire.CodeProtocol, Text: err.Error()}))
	}
	return err
}

// take acts on one frame.
func (s *session) take(t wire.Type, r *wire.Reader) error {
	body, err := r.Control()
	if err != nil {
		return err
	}
	switch t {
	case wire.TypePing:
		return s.say(wire.AppendFrame(nil, wire.TypePong, body))
	case wire.TypePong:
		return nil
	case wire.TypeGet, wire.TypeCancel, wire.TypeZoom:
		return s.takeOrdinals(t, body)
	case wire.TypeGetParts:
		return s.takeGetParts(body)
	case wire.TypeNodes:
		return s.takeNodes(body)
	case wire.TypeMore:
		return s.takeMore(body)
	}
	return fmt.Errorf("frame %d from a client: %w", t, wire.ErrFrame)
}

// say queues control. A client that asks and does not read is put out.
func (s *session) say(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.control)+len(p) > maxControl {
		return fmt.Errorf("client does not read %d bytes of answers: %w", len(s.control), wire.ErrFrame)
	}
	s.control = append(s.control, p...)
	signal(s.talk)
	return nil
}

// answer sends control as it comes.
func (s *session) answer(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return s.inTurn(s.sendControl)
		case <-s.talk:
		}
		if err := s.inTurn(s.sendControl); err != nil {
			return err
		}
	}
}

// inTurn calls send when nobody else sends. It does not wait long once the socket is closed.
func (s *session) inTurn(send func() error) error {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	return send()
}

func (s *session) sendControl() error {
	s.mu.Lock()
	p := s.control
	s.control = nil
	s.mu.Unlock()
	if len(p) == 0 {
		return nil
	}
	return s.send(p)
}

// put sends a frame when the limits allow it, control first, and releases it.
func (s *session) put(ctx context.Context, f *frame) error {
	defer f.release()
	start := time.Now()
	if err := takeRate(ctx, len(f.bytes), s.srv.total, s.limit); err != nil {
		return err
	}
	if err := s.inTurn(func() error { return s.sendFrame(f) }); err != nil {
		return err
	}
	s.pace.wrote(start, time.Now(), len(f.bytes))
	s.srv.count.bytes.Add(int64(f.raw))
	return nil
}

// sendFrame sends a frame, or lets it wait.
func (s *session) sendFrame(f *frame) error {
	if err := s.sendControl(); err != nil {
		return err
	}
	first := s.under.Buffered() == 0
	if _, err := s.tls.Write(f.bytes); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if !f.more || s.under.Buffered() >= maxWaiting {
		return s.flush()
	}
	if first {
		s.late.Reset(maxWait)
	}
	return nil
}

func (s *session) flush() error {
	if err := s.under.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func unflatten(flat []uint64) []sources.Range {
	ranges := make([]sources.Range, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		ranges = append(ranges, sources.Range{First: flat[i], Count: flat[i+1]})
	}
	return ranges
}

func flatten(ranges []sources.Range) []uint64 {
	flat := make([]uint64, 0, 2*len(ranges))
	for _, r := range ranges {
		flat = append(flat, r.First, r.Count)
	}
	return flat
}

// nodeRaw reads a node of the tree; the root is one of them.
func (s *session) nodeRaw(ctx context.Context, ref wire.NodeRef) ([]byte, error) {
	if ref.Kind == recipe.KindRoot && ref.ID == s.tree.Recipe.ID() {
		return s.tree.Recipe.RawRoot(), nil
	}
	return s.tree.Recipe.Node(ctx, ref.Kind, ref.ID)
}
