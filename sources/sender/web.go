package sender

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"dfetch/recipe"
)

// web answers HTTP on connections that chose it: a status page, /metrics, and the .dfr files at
// /dfr/<recipe id>?tk=<token>. What belongs to a recipe is shown for its token only.
type web struct {
	s     *Server
	http  *http.Server
	conns chan net.Conn
	done  chan struct{}
	addr  net.Addr
}

func newWeb(s *Server, addr net.Addr) *web {
	w := &web{s: s, conns: make(chan net.Conn), done: make(chan struct{}), addr: addr}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.status)
	mux.HandleFunc("GET /metrics", w.metrics)
	mux.HandleFunc("GET /dfr/{id}", w.dfr)
	w.http = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: s.cfg.HandshakeTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    16 << 10,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return w
}

// run serves until ctx ends.
func (w *web) run(ctx context.Context) {
	defer context.AfterFunc(ctx, func() { _ = w.http.Close() })()
	_ = w.http.Serve(w) // it ends by Close
}

// serve hands a connection to the HTTP server and waits until it is closed.
func (w *web) serve(ctx context.Context, c net.Conn) error {
	tracked := &webConn{Conn: c, closed: make(chan struct{})}
	select {
	case w.conns <- tracked:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-tracked.closed:
	case <-ctx.Done():
	}
	return nil
}

// Accept makes web the listener of its own server.
func (w *web) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (w *web) Close() error {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	return nil
}

// Addr is where the server listens.
func (w *web) Addr() net.Addr { return w.addr }

// webConn tells when it is closed.
type webConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *webConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (w *web) status(rw http.ResponseWriter, r *http.Request) {
	secure(rw)
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(rw, "<!doctype html><title>dfetch</title><h1>dfetch</h1><p>This port serves trees to <code>dfetch get</code>.</p>\n")
	for _, t := range w.s.shown(r.URL.Query().Get("tk")) {
		c := t.root.Counts
		fmt.Fprintf(rw, "<p>%s: %d files, %d bytes<br><code>%s</code></p>\n",
			html.EscapeString(t.Name), c.Files, c.Bytes, recipe.FormatID(t.root.Hash, t.Recipe.ID()))
	}
}

// shown are the trees that a token opens, by name.
func (s *Server) shown(token string) []*served {
	s.mu.Lock()
	ids := make([]recipe.ID, 0, len(s.trees))
	for id := range s.trees {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	var trees []*served
	for _, id := range ids {
		if t := s.find(id, token); t != nil {
			trees = append(trees, t)
		}
	}
	sort.Slice(trees, func(i, j int) bool { return trees[i].Name < trees[j].Name })
	return trees
}

func (w *web) metrics(rw http.ResponseWriter, _ *http.Request) {
	secure(rw)
	rw.Header().Set("Content-Type", "text/plain; version=0.0.4")
	c := &w.s.count
	for _, m := range []struct {
		name, help string
		value      int64
	}{
		{"dfetch_connections_total", "Connections taken.", c.conns.Load()},
		{"dfetch_refused_total", "Connections with an unknown recipe or a wrong token.", c.refused.Load()},
		{"dfetch_chunks_sent_total", "Chunks sent.", c.chunks.Load()},
		{"dfetch_chunk_bytes_sent_total", "Bytes of chunks sent, before compression.", c.bytes.Load()},
		{"dfetch_chunks_failed_total", "Chunks of files that changed or could not be read.", c.changed.Load()},
	} {
		fmt.Fprintf(rw, "# HELP %s %s\n# TYPE %s counter\n%s %d\n", m.name, m.help, m.name, m.name, m.value)
	}
}

// dfr sends a recipe's file, whole or by ranges. An unknown recipe and a wrong token look the same.
func (w *web) dfr(rw http.ResponseWriter, r *http.Request) {
	secure(rw)
	_, id, err := recipe.ParseID(strings.TrimSuffix(r.PathValue("id"), ".dfr"))
	tree := w.s.find(id, r.URL.Query().Get("tk"))
	if err != nil || tree == nil || tree.DFR == "" {
		http.NotFound(rw, r)
		return
	}
	f, err := os.Open(tree.DFR)
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, os.ErrNotExist) {
			status = http.StatusNotFound
		}
		http.Error(rw, "the recipe's file can't be read", status)
		return
	}
	defer f.Close()
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("ETag", `"`+recipe.FormatID(tree.root.Hash, id)+`"`)
	http.ServeContent(rw, r, filepath.Base(tree.DFR), time.Time{}, f)
}

// secure sets what every answer carries: tokens in the query must not leak by Referer.
func secure(rw http.ResponseWriter) {
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "no-store")
}
