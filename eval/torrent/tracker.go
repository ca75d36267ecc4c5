package torrent

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Tracker tells peers of one another. The zero Tracker is ready.
type Tracker struct {
	mu    sync.Mutex
	peers map[string][]netip.AddrPort // by info hash
}

const (
	mostPeers = 4096
	// interval is how many seconds a peer waits before it asks again: few, since
	// a transfer in the lab lasts some seconds.
	interval = 5
)

// ServeHTTP answers an announce with all peers of that torrent.
func (t *Tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	from, addrErr := netip.ParseAddrPort(r.RemoteAddr)
	hash := q.Get("info_hash")
	if err != nil || addrErr != nil || len(hash) != 20 || !from.Addr().Unmap().Is4() {
		http.Error(w, "want info_hash, port and an IPv4 address", http.StatusBadRequest)
		return
	}
	peer := netip.AddrPortFrom(from.Addr().Unmap(), uint16(port))
	var others []byte
	for _, p := range t.announce(hash, peer, q.Get("event") == "stopped") {
		a := p.Addr().As4()
		others = append(others, a[0], a[1], a[2], a[3], byte(p.Port()>>8), byte(p.Port()))
	}
	fmt.Fprintf(w, "d%si%de%s%se", str("interval"), interval, str("peers"), str(string(others)))
}

// announce remembers or forgets a peer and returns the others.
func (t *Tracker) announce(hash string, peer netip.AddrPort, gone bool) (others []netip.AddrPort) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.peers == nil {
		t.peers = map[string][]netip.AddrPort{}
	}
	for _, p := range t.peers[hash] {
		if p != peer {
			others = append(others, p)
		}
	}
	t.peers[hash] = others
	if !gone && len(others) < mostPeers {
		t.peers[hash] = append(others[:len(others):len(others)], peer)
	}
	return others
}

// Serve runs a tracker until ctx ends.
func Serve(ctx context.Context, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: &Tracker{}, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
