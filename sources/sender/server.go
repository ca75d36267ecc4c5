package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"dfetch/recipe"
	"dfetch/sources/wire"
)

// ServerConfig is what a server is made from. Zero limits have the defaults named.
type ServerConfig struct {
	Identity *wire.Identity // required

	MaxConns          int           // connections; 256
	MaxConnsPerIP     int           // connections of one address; 128
	HandshakesPerSec  float64       // new connections a second; 200
	HandshakesPerIP   float64       // new connections a second of one address; a quarter of HandshakesPerSec
	HandshakeTimeout  time.Duration // TLS handshake and HELLO; 10 s
	IdleTimeout       time.Duration // a client that sends nothing, not even PING; 60 s
	UploadLimit       int64         // bytes a second, all connections together; none
	UploadLimitPerCon int64         // bytes a second, each connection; none
	Congestion        string        // TCP congestion control but on the loopback, if the kernel has it, or AutoCongestion; the system's

	// Log is told what goes wrong with a connection; nil is silence.
	Log func(remote string, err error)
}

func (c *ServerConfig) setDefaults() {
	setDefault(&c.MaxConns, 256)
	setDefault(&c.MaxConnsPerIP, 128)
	setDefault(&c.HandshakesPerSec, 200)
	setDefault(&c.HandshakesPerIP, c.HandshakesPerSec/4)
	setDefault(&c.HandshakeTimeout, 10*time.Second)
	setDefault(&c.IdleTimeout, 60*time.Second)
	if c.Log == nil {
		c.Log = func(string, error) {}
	}
}

func setDefault[T int | float64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// Recipe is an opened recipe with its nodes. *recipe.File is one.
type Recipe interface {
	recipe.Nodes
	RawRoot() []byte
	ID() recipe.ID
}

// Served is one tree or file that a server serves.
type Served struct {
	Recipe Recipe
	Path   string // where the tree or the file lies
	Token  string // bearer token; "" lets everybody in
	Name   string // for people; "" is the last element of Path
	DFR    string // path of the .dfr file for download; "" offers none
}

// served is a Served that was opened.
type served struct {
	Served
	root *recipe.Root
	dir  int // descriptor of the tree, or of the directory that the file lies in
}

// Server serves trees. Add what it serves, then call Serve, and Close when that has returned.
type Server struct {
	cfg   ServerConfig
	tls   *tls.Config
	gate  *gate
	total *rate.Limiter // nil without a limit
	count counters

	fine   *recipe.Recent[recipe.FineList] // by chunk; all clients share them
	fining chan struct{}                   // held while a fine list is made

	streams streams // of the sessions that compress a run with what they sent before it

	mu    sync.Mutex
	trees map[recipe.ID]*served
	dirs  []int // descriptors of everything that was ever added
}

// NewServer makes a server that serves nothing yet.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Identity == nil {
		return nil, errors.New("sender: server without an identity")
	}
	cfg.setDefaults()
	return &Server{
		cfg:   cfg,
		tls:   wire.ServerTLS(cfg.Identity),
		gate:  newGate(&cfg),
		total: limiter(cfg.UploadLimit),
		trees: make(map[recipe.ID]*served),

		fine:   recipe.NewRecent[recipe.FineList](fineCache),
		fining: make(chan struct{}, fineClients),
	}, nil
}

// Add serves a tree from now on. A second tree with the same recipe replaces the first for
// connections to come.
func (s *Server) Add(t Served) error {
	root, err := recipe.DecodeRoot(t.Recipe.RawRoot())
	if err != nil {
		return fmt.Errorf("serve %s: %w", t.Path, err)
	}
	if t.Name == "" {
		t.Name = filepath.Base(t.Path)
	}
	dir := t.Path
	if root.Top.Type != recipe.TypeDir {
		dir = filepath.Dir(t.Path)
	}
	// The path itself may be a symbolic link: the user named it. Nothing below may be one.
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("serve %s: %w", dir, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs = append(s.dirs, fd)
	s.trees[t.Recipe.ID()] = &served{Served: t, root: root, dir: fd}
	return nil
}

// Close lets go of the trees. Every Serve must have returned. The recipes are the caller's to close.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.trees)
	var err error
	for _, fd := range s.dirs {
		err = errors.Join(err, unix.Close(fd))
	}
	s.dirs = nil
	return err
}

// find returns the tree for a recipe and a token. Comparing takes place in any case, so the time
// does not tell whether the recipe is known.
func (s *Server) find(id recipe.ID, token string) *served {
	s.mu.Lock()
	t := s.trees[id]
	s.mu.Unlock()
	want := ""
	if t != nil {
		want = t.Token
	}
	if same := wire.SameToken(want, token); t == nil || (want != "" && !same) {
		return nil
	}
	return t
}

// Serve takes connections until ctx ends, which is no error, or the listener fails. It closes the
// listener and waits for the connections. It may be called for several listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var once sync.Once
	closeListener := func() { once.Do(func() { _ = l.Close() }) }
	defer context.AfterFunc(ctx, closeListener)()
	defer closeListener()
	web := newWeb(s, l.Addr())
	var wg sync.WaitGroup
	wg.Go(func() { web.run(ctx) })
	err := s.accept(ctx, l, web, &wg)
	cancel()
	wg.Wait()
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener, web *web, wg *sync.WaitGroup) error {
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case isTemporary(err):
			pause(ctx, 50*time.Millisecond)
		case err != nil:
			return fmt.Errorf("accept on %v: %w", l.Addr(), err)
		default:
			wg.Go(func() { s.handle(ctx, conn, web) })
		}
	}
}

// handle serves one connection to its end.
func (s *Server) handle(ctx context.Context, conn net.Conn, web *web) {
	remote := conn.RemoteAddr().String()
	admit, release, err := s.gate.enter(time.Now(), conn.RemoteAddr())
	if err == nil {
		defer release()
		err = s.await(ctx, admit)
	}
	if err != nil {
		_ = conn.Close()
		if ctx.Err() == nil {
			s.cfg.Log(remote, err)
		}
		return
	}
	s.count.conns.Add(1)
	if err := s.talk(ctx, conn, web); err != nil && ctx.Err() == nil {
		s.cfg.Log(remote, err)
	}
}

// await waits for the handshake's turn, no longer than a handshake may take.
func (s *Server) await(ctx context.Context, admit func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.HandshakeTimeout)
	defer cancel()
	return admit(ctx)
}

// talk does the handshake and hands the connection to the protocol that was chosen.
func (s *Server) talk(ctx context.Context, conn net.Conn, web *web) error {
	under := wire.NewConn(conn)
	tc := tls.Server(under, s.tls)
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(s.cfg.HandshakeTimeout))
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if tc.ConnectionState().NegotiatedProtocol != wire.ALPN {
		_ = conn.SetDeadline(time.Time{})
		return web.serve(ctx, tc)
	}
	tcp := wire.TCPOf(conn)
	governed := useCongestion(tcp, s.cfg.Congestion, conn.RemoteAddr())
	under.Buffer()
	sess := newSession(s, conn, under, tc)
	sess.pace.governed = governed
	return sess.run(ctx)
}

// useCongestion sets the congestion control of a connection to a peer, and says whether a governor is to hold it. Where
// the kernel does not have it, the system's stays.
func useCongestion(tcp wire.TCP, configured string, peer net.Addr) (governed bool) {
	name, governed := congestion(configured, peer)
	return name != "" && tcp.UseCongestion(name) && governed
}

// congestion is the congestion control of a connection to a peer, and whether a governor is to hold it. On the
// loopback nothing is lost, and pacing, as BBR does, costs processor time and brings nothing.
func congestion(configured string, peer net.Addr) (name string, governed bool) {
	switch {
	case configured != "" && loopback(peer):
		return cubic, false
	case configured == AutoCongestion:
		return bbr, true
	}
	return configured, false
}

// loopback says whether a peer is on this machine.
func loopback(peer net.Addr) bool {
	a, ok := peer.(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func isTemporary(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ECONNABORTED)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
