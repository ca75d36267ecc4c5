// Package scenarios holds what the lab measures, as data: one file a scenario,
// one file of networks, all in this folder and compiled in. It parses them
// strictly and multiplies their axes into cells; it measures nothing.
//
// A scenario is lines of "key = value"; # starts a comment. Keys with several
// values are axes: every combination of their values is a cell.
//
//	title      one line for people
//	suites     names of the sets of scenarios that this one belongs to
//	data       what is sent: file, tree, sparse, or a real pair of releases
//	           such as npm:typescript@5.8.2..5.8.3
//	size       axis: 50MB for a file, 2000x20KB for a tree; none for a pair
//	state      axis: what each receiver has at the start (see package dataset);
//	           a+b gives a to the first receiver, b to the second, and so on
//	net        axis: names of the file networks
//	cache      axis: warm or cold, the receiver's old files (default warm)
//	disk       fresh: every run gets an empty file system of its own (see package
//	           freshdisk); shared: all use the work folder's (the default)
//	disk-load  axis: percent of the time that a writer keeps the disk busy
//	disk-limit axis: bytes a second that the receivers' programs get of their
//	           disk, such as 70MB, or none (the default). Then disk-load takes
//	           its share of this limit, and no writer runs
//	cpu-load   axis: 2x50 keeps two processors busy half of the time, or none
//	cpu-nice   the nice value of that load, 1 to 19 (default 0)
//	load-after when these loads start, after the receivers' start
//	bench      what is measured on this machine alone instead of a transfer, with
//	           no net: search, index, neighbour, hash or plan (see package
//	           diskbench, which also says what states and peers are then)
//	topology   p2p (default), star, sites, or loopback, which is no emulated
//	           network at all; uplink names the sender's network in a star, local
//	           the receivers' in sites
//	receivers  how many, 1 to 64
//	peer       axis: the ways to transfer (see package peer)
//	repeat     rounds; box is the time that one run may take
//	share      how many cells of this scenario may run side by side: more than
//	           one only where a slow link leaves the machine idle
//	at         a change of the link within the box, may be given several times: 5s both rate=5M
//	claim      what the paper says, may be given several times (see Claim)
//	goal       what dfetch is to reach, likewise
//
// Sizes are decimal (KB, MB, GB) or binary (KiB, MiB, GiB).
package scenarios
