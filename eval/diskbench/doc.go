// Package diskbench measures the search of this machine's own disk, without a network. Its measurements are the
// benches that scenarios name; a cell's state and peer say which part of one. They fill in a result's seconds, bytes
// and figures.
//
//	search     the paper's Table 3: "dfetch get" without a sender looks for one
//	           file in a made-up home directory (package homes). States are
//	           row-1 … row-9; peers dfetch, dfetch-bfs and dfetch-allstats are
//	           orders of the search. The seconds end with the operation that
//	           completed the useful file, as the trace tells
//	index      the paper's Table 2: all content lies on this disk and is indexed,
//	           none of it is in memory, and nothing waits to be written. State disk is real: dfetch against a
//	           plain sequential copy that hashes (sequential). State model is
//	           virtual time on a disk of 8 ms a seek and 100 MB/s: dfetch's
//	           sweep and runs against naive reading of chunk after chunk
//	neighbour  the median time of another process's reads of 4 KiB at random
//	           places, past the page cache: beside a search (dfetch) and alone
//	hash       cutting and hashing of cached files, a goroutine a processor
//	plan       memory and time of the cost model, for so many wanted files and as
//	           many on the disk, ten chunks a file; slowest-ms is the longest
//	           that one decision held the loop up
//
// A search's figures: stats, the directories whose listing was decided on before the hashing of the useful file was, and
// dirs-%, their share of the home's; stats-beside, those that were decided on while it was hashed, since several
// operations run at once; hashed (files) and hashed-MB, all up to its end; of-paper, the largest of share, files and
// bytes beside what the paper's program needed; planning-%, the processor time of the core when the trace's decisions are
// made again, of the run's time. It has two parts: deciding-% is choosing the next operation and taking in what happens;
// the rest takes in what directories hold, with a guess for each file of what it may bring, µs-an-entry each. Neither
// has the system's listing itself, which another goroutine does, or the least that reading the clock takes. A trace that
// gives other decisions the second time is a failure.
//
// What it does not tell: the home's files are holes, so reading them costs next to nothing, which is good for the
// searches that hash more. Its directories may be in memory. In the model, other work on the disk moves the head
// between two reads that are asked for one by one; see model.go.
package diskbench
