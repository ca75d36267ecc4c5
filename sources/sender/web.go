package sender

import (
	"context"
	"net"
)

// web serves HTTP on connections that chose it.
type web struct{ s *Server }

func newWeb(s *Server) *web { return &web{s: s} }

func (w *web) run(ctx context.Context) { <-ctx.Done() }

func (w *web) serve(_ context.Context, c net.Conn) error { return c.Close() }
