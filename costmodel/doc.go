// Package costmodel decides what an operation on the local disk is worth, and when a chunk will
// come from it.
//
//  1. Every wanted chunk belongs to a group: the chunks with the same set of source files. A group
//     has a count, not a list, so the state does not grow with the number of chunks.
//  2. Every file of the disk that has been heard of is a candidate. The probability that it holds a
//     chunk of a source file is guessed from size, name, time and directory (Probability). What files
//     turned out to hold corrects the guesses of the same order of magnitude.
//  3. An operation's cost is predicted from measurements of its device (Costs). Cost over expected
//     useful chunks is its CPC; the operation with the lowest CPC comes first (Planner.Next).
//  4. What operations under way will probably bring is not counted again: a group's worth shrinks by
//     Π(1−p) over them. A large file is hashed in slices, shorter ones on a slow device, and a
//     slice without a hit lowers its p. While the index is asked, and has known half so far, nothing is
//     hashed beside it, nor while the runs that are being read have all that is wanted. The index is asked again
//     before there is nothing left to read.
//  5. Going through the operations in that order gives each group an expected time of arrival
//     (Planner.Plan, Planner.ETA). What comes latest is best asked of the network first.
//
// A pair of file and group gets its own probability only when a name, a size or a common place in
// the tree brings the two together; all other pairs share a term per directory and size. Beyond a
// few dozen source files the order is therefore an approximation. Nothing here promises that a
// chunk is where it is expected: wrong guesses cost time, never correctness.
//
// No call works through all that is known: what has become worth less is noticed when it comes up in its
// lane, what has become worth more is brought forward in bounded steps (raise, sweep), and tables
// grow bucket by bucket.
//
// The package has no clock and does no I/O; equal calls give equal answers, ties go to the lower
// number.
package costmodel
