// Package recipe answers what a tree must be.
//
// A recipe (format dfr1) is a Merkle tree of nodes. The root's id commits to names, metadata, chunk
// lists and the chunker, and to nothing else. Mirrors, signatures and the like are attachments,
// which go with a recipe but are not part of its id.
//
// # What a recipe is made of
//
//  1. A file's content is cut into chunks, and long runs of zeros into holes (rabin.go, cut.go). A chunk's
//     id is the plain hash of its bytes. A file of up to 48 bytes has no chunks: it lies in its entry.
//  2. The references to a file's chunks lie in its entry if they are at most 16. Longer lists are cut
//     by content into list nodes, whose references again are a list, until at most 16 are left.
//  3. The entries of a directory, sorted by the bytes of their names, are cut by content into
//     directory nodes; the references to these again, until one node is left. Its reference lies
//     in the directory's entry, with the sums of all that is below.
//  4. The root holds the hash, the chunker, the metadata mask, the counts and the top entry: a directory
//     without a name, or one file with its name.
//
// The id of a node is the hash of its kind's domain ("dfr1/root", "dfr1/dir", "dfr1/list",
// "dfr1/xattr"), a NUL, and its bytes. An id is written b3- (BLAKE3) or s2- (SHA-256) and 52
// characters of base 32 in lower case.
//
// The first byte of a directory, list or xattr node is its kind; the second byte of a directory or
// list node is its level. Entries and lists have their own binary encoding (entry.go, list.go,
// noderef.go, xattrnode.go); the root is deterministic CBOR. Each value has one encoding: a decoder
// encodes again what it read and refuses bytes that differ. So two recipes of equal trees under equal
// masks have equal ids.
//
// # Where cuts are made
//
// The low bits of an id are those of its first 8 bytes, little endian. A directory node ends after an
// entry whose BLAKE3(name), or a reference whose id, has 9 low zero bits, and holds 64 to 4096 of
// them and at most 512 KiB of entries. A list node ends after a reference whose id has 6 low zero
// bits, and holds 16 to 512. Holes count, but nothing ends after them. A node is ended when
// the next element comes, so one that would be alone is not made.
//
// # Reading
//
//  1. OpenRoot checks the root against the id that the reader was given.
//  2. Walk, Lookup and Chunks get nodes by id from a Nodes, which checks each against its id,
//     and hold one node of each level in memory.
//  3. A reference declares the entries, bytes and chunks below it. What a node shows is held
//     against what was declared before the caller sees it, so numbers and ordinals never leave the
//     root's counts.
//  4. Every limit of the format is enforced where bytes are decoded; the refusal is a *LimitError or a
//     *FormatError that names the entry.
//
// Entries are numbered in depth-first order from the top, which is 0; chunk references are
// numbered in the same order, across files. These ordinals are what sources are asked for.
//
// # What it does not guarantee
//
// A recipe may declare a tree that no disk holds: one node may be referred to from many places. Its
// counts tell before anything is read, and the caller has to hold them against his limits. The
// decoder does not insist that nodes are cut where this package would cut them, nor that holes are
// aligned, nor that a chunk is at most as long as the profile's maximum: a foreign recipe that differs
// there has another id but describes its tree as well. Counts.DataBytes is not checked against the
// chunk lists.
package recipe
