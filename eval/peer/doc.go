// Package peer knows the programs that the lab compares: how to publish a set,
// start a server at the sender's host, and what a receiver runs. It measures and
// judges nothing.
//
// A run is (1) Check, which names what is missing, (2) Start, the publisher's
// one-time work, which is not measured, (3) each receiver's Command, which is,
// (4) Close. Nothing is encrypted but dfetch's transfers, and nothing is forced
// to the disk but where a peer's name says so:
//
//	rsync         rsync daemon; rsync-bbr, rsync-fsync and rsync-sparse are it with that
//	zsync         over HTTP, the seed is the old file of that name
//	casync        a chunk store over HTTP; it is told the old version, wherever it is
//	aria2         16 connections over HTTP; aria2-bt a torrent with a tracker
//	curl          one connection over HTTP; curl-bbr
//	uftp          UDP at 95 % of the link's rate, which it is told
//	dfetch        with --fsync none; dfetch-fsync as it comes; see the list of all;
//	              dfetch-recipe only describes the set
//
// HTTP is served by this module's own file server (see ServeFiles), which uses
// sendfile, so that no web server needs to be installed.
package peer
