// Package torrent is the little of BitTorrent that the lab needs so that a swarm
// of other programs can be measured: it makes a torrent file for one file, and it
// is a tracker that knows who announced. It transfers nothing.
//
// The tracker trusts everybody and keeps at most a few thousand peers in memory;
// it is for a network of one's own.
package torrent
