// Package recipe answers what a tree must be.
//
// A recipe (format dfr1) is a Merkle tree of nodes. The root's id commits to names, metadata, chunk
// lists and the chunker, and to nothing else.
package recipe
