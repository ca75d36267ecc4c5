// Package diskscan answers what the disks of this machine can give to a transfer.
//
// It carries out operations and decides nothing about their order: which directory or file is worth its
// time is the caller's business. Every operation is one bounded step, so the caller may stop after any.
//
//  1. OpenScope opens the directories that may be searched, once. From then on files are reached
//     through these handles alone; no symlink is followed and no mount is crossed (scope.go).
//  2. Stat lists one directory, a batch of entries at a time (stat.go).
//  3. Hash reads one slice of a file, cuts it as a recipe's builder does, hands the chunks that are
//     wanted to a callback, and tells the index what it saw (hash.go). Processors that hash nothing else help
//     (strand.go). Where a chunk is known, the one that Config.Follows names is looked for behind it first.
//  4. Check looks ids up in the index, in one sorted sweep, and confirms the files of the hits by their
//     metadata. The hits become runs: stretches of files to be read at one go (check.go, run.go).
//  5. Read reads one run, hashes what it read and hands over what matches. Of the long runs of which the page cache has
//     little, one at a time of each device is read, in order, while the kernel reads ahead (stream.go).
//
// Operations run on goroutines of their own, a few a device; Calibrate measures how many serve it best (device.go). An operation that does not come back, on a
// mount that hangs, keeps its slot of that device, and its processors count as taken: its caller goes on when its
// context ends or the stall time is over. Meanwhile Check passes over what lies on that device.
//
// Bytes that are handed over were hashed in the buffer that is handed over. So a file that changes under the
// reader, an index that is stale, damaged or forged, and a disk that lies cost time and nothing more.
//
// # Privacy
//
// A recipe is somebody's text. Unless it is trusted, the directories beside the destination are searched
// for what they show to every user of the machine: names with a leading dot are left out, and
// only files and directories that the world may read are opened, the searched directory itself among them. (The names and
// permissions of those above it don't count.) The destination and the directories that the user names
// are searched as they are. Index hits obey the same scope: a file outside it is not opened.
//
// # What it does not guarantee
//
// A listing may miss entries of a directory that changes while it is read. A file that is written to
// while it is read yields chunks that it may never have held at one moment; each is right by itself.
// Residency of pages is a hint: on kernels that don't tell, everything counts as cached, and nothing is
// dropped from the cache afterwards.
package diskscan
