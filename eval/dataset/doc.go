// Package dataset makes what the lab transfers and what receivers have before:
// the same bytes every time for the same names, kept in a folder for later runs.
//
// A Set is a source: one file or a tree. Kinds:
//
//	file    one file of random bytes
//	sparse  one file of holes with a hundredth of data
//	tree    files of half to one and a half times the mean length, 100 a folder
//	npm:PACKAGE@OLD..NEW    two releases from the package registries, by their
//	go:OLD..NEW             ordinary clients (npm, go, apt-get)
//	deb:PACKAGE             of the package in versions that are pinned by hash
//
// States, which Populate makes in a receiver's folder for the destination dst:
//
//	empty          nothing
//	useless        files of the same names and sizes, of which nothing is of use
//	similar-N      an older version at the destination of which N percent of the
//	               bytes are the same: for a file 50 places edited all over it
//	               (half overwritten, a quarter inserted, a quarter missing); for
//	               a tree (100−N) percent of the files, spread
//	similar-N-clustered   the same edits in one part of the file, or of the tree
//	sibling        what similar-99 has, in the sibling folder old/
//	moved          a tree's files under other folders and names
//	right          the source itself, times included
//	previous       of a pair: the older release at the destination
//	previous-sibling      of a pair: the older release in a sibling folder
//
// Everything older has an older time, so that no program takes it for the same
// by size and time.
package dataset
