// Package fetch decides, all the time, which chunk to get from where, and carries it out.
//
// It is a pure core in a shell. The core (core*.go, event.go) knows no clock, no socket and no file:
// events go in by Step, actions come out of Next, and equal event logs give equal actions. The shell
// (run.go, loop.go and the rest) owns the clock, the goroutines and the I/O.
//
// A transfer, in steps:
//
//  1. The sources that the address names are dialled; the first to answer brings the root node.
//  2. The planner walks the recipe, asks the tree which files are right already or partly staged, and
//     hands the chunks that are missing to the core. It stays a bounded window ahead of the transfer.
//     A chunk that several places need is wanted once.
//  3. The core leases each wanted chunk to the source that will finish it first, within the window of
//     bytes that each source can use. A lease that overstays may be given to a second source as well;
//     what a source refuses is asked elsewhere; what nobody has is given up, and named at the end.
//  4. Beside that the core searches this machine: it lists directories, hashes slices of files and reads
//     what the index knows, in the order of package costmodel, as long as package backpressure finds it
//     worth the disk's and the processor's time against the network at its present rate. The network is
//     asked first for what the disk will bring last. What the disk brings is taken back from the network.
//     What the disk will very likely bring soon is not asked for meanwhile (core_hold.go), nor what a disk
//     will bring that had nearly all so far (core_trust.go, core_pace.go), and a long file that the disk goes through is asked for
//     from its end (core_behind.go). Small files are hashed in batches
//     (core_batch.go). A disk that does not answer does not hold up the others (core_silent.go). A chunk that is
//     missing between found ones is compared at fine grain with what lies there, and only the rest of
//     it is asked for (core_zoom.go, near.go, zoom.go).
//  5. Verified chunks are written to their places by a worker, and the loop is told.
//  6. When every chunk is written or given up, the tree's last pass sets links, directories' times and
//     deletions, and the report is made.
//
// What it does not guarantee: a source that holds bytes back but keeps answering is dropped after its
// stall time only; a chunk that repeats farther apart than the window is fetched again; and files of the
// destination below a directory that --delete moves out of a file's way no longer serve the search.
package fetch
