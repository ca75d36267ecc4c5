// Package sourcetest is the conformance suite of network sources, and what it takes to run it.
//
// Every source passes Run. The suite plays a transfer against a far end that misbehaves as a Faults
// value says, on virtual time, and holds the contract against what the sink saw:
//
//  1. Each want is settled once: delivered, or failed with a reason.
//  2. What is delivered has the hash that the want names. A Recorder hashes it again.
//  3. A want with a patch is delivered whole all the same. Wrong parts and wrong patches fail it, and it
//     may be asked for whole then.
//  4. A source that is a Zoomer answers each want of Zoom once, with a list of the chunk's length.
//  5. Nothing comes after Down, and Down comes once.
//  6. Statistics are filled in, and a silent far end ends the source.
//  7. When the source is closed no goroutine of it is left: the bubble would not end.
//
// Peer turns Faults into what a far end sends; a source's own test only translates that into its
// protocol. Faulty is a whole source made of a Peer, for tests of those that use sources.
//
// The suite does not measure speed, and it can't see bytes that a source requests needlessly.
package sourcetest
