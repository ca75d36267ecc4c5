// Package tree turns verified bytes into a tree that is never half there.
//
// It decides what of the destination is right already, where bytes wait until their file is whole,
// when a file takes its live name, and what a later run may trust after a crash. In steps:
//
//  1. Open takes a lock on the destination, makes a staging directory (mode 0700, inside a directory
//     destination, beside a file one) and reads the journal of an earlier run.
//  2. Plan takes the recipe's entries in order. Directories are made or kept, files that are right by
//     size and time drop out, the others become a File that knows what is staged.
//  3. File.Write puts verified bytes into the staged file. The journal notes the verified ranges;
//     barriers (each 256 MiB or 5 s) make data and journal durable, in this order.
//  4. A complete file gets its metadata and waits for a batch: data synced, then renamed. A small file
//     that arrives whole is staged, and without fsync also renamed, within the one call; in a directory
//     that the run has made it then needs no staged name, where the file system can do without.
//     A live file whose content the caller has read and found right gets its metadata in place (File.Keep).
//     A live file that gives way is linked into staging first if Config.Hold says so, and can be read there.
//  5. Finish walks the recipe again: hardlinks, devices, fifos and symlinks, then deletes and the
//     directories' metadata from the leaves up. Then the staging directory goes.
//
// Everything below the destination is reached from its open handle by one name at a time, without
// following symlinks, so another process that exchanges directories for symlinks can't make it write
// elsewhere. On a mount below the destination entries are staged on that mount. Memory grows with the
// files in flight, the open directories and, under Config.Delete, the names of the directories on the
// way to the one being worked on; not with the tree.
//
// Not guaranteed: content is not hashed here, the caller vouches for it. A tree is not exchanged as a
// whole: files take their names one by one. A directory that takes the place of a file does so before
// its content is there. Without fsync, a crash of the machine may lose what was renamed.
package tree
