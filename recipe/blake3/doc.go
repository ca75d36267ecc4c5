// Package blake3 computes BLAKE3-256 of many pieces of data at a time.
//
// A chunk of a tree is a few kilobytes. BLAKE3 cuts it into leaves of 1 KiB, and hashes of leaves are
// hashed in pairs up to the root. One chunk alone fills the lanes of a wide processor badly: its last leaf
// is short, and its parents are few. Sums therefore works on all pieces together:
//
//  1. The leaves of all pieces are compressed, sixteen at a time, whatever pieces they belong to.
//  2. Level by level, the pairs of all pieces are compressed, sixteen at a time. A node without a partner
//     goes up as it is.
//  3. What is left of each piece is its hash.
//
// This needs AVX-512, or AVX2, which takes eight at a time. Elsewhere, and for pieces that are too few to fill the
// lanes, github.com/zeebo/blake3 computes the same.
package blake3
