package peer

import (
	"context"

	"dfetch/eval/result"
)

// torrent is aria2 with BitTorrent.
type torrent struct{}

// Check implements Peer.
func (torrent) Check(Job) error { return result.Missingf("later") }

// Start implements Peer.
func (torrent) Start(context.Context, Job) (Session, error) { return nil, nil }
