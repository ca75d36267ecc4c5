// Package backpressure decides whether a resource may take more work now, and if not, when to ask
// again.
//
//  1. Disk: how much has been received and is not written yet says how far behind the disk is. As
//     that grows, work is refused in a fixed order: searching, reading indexed chunks, UDP bulk and
//     web requests, other receivers, and the sender last. A kind of work that was refused stays
//     refused until the backlog of that moment is written and half of its limit is free again.
//  2. Disk, others: while other programs wait for the disk, or the kernel writes much that may be this
//     program's, searching gets a third of the time, and one operation at a time if they only write.
//  3. Network: a source may be asked while less is outstanding than twice what its path holds, as
//     measured from what arrives (Path); more while it opens or its sender runs dry, but not while what
//     is asked for probably comes in vain.
//  4. CPU: planning gets a fiftieth of the time. Where a fast network keeps all cores busy, searching
//     gives way to it, or it to the search, by which of them takes more of the processor for a byte.
//  5. Worth: a disk operation goes ahead only if it is cheaper than the network for each useful byte,
//     or brings its chunks before the network would come to them, or ends before the network can bring
//     anything. So the search starves by itself
//     where the network is faster, and gets everything where it is slow.
//
// The files core*.go decide and have neither clock nor I/O: every method takes now. The samplers
// read what the kernel says; what it doesn't say is unknown, which is never an error and never a
// reason to refuse.
//
// Nothing here is a guarantee about the machine: page cache, other programs and the kernel's own
// scheduling are seen late and in part.
package backpressure
