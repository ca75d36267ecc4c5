// Package watch decides which directories of the index are read again, and when: it keeps an index up to date
// while it runs, without listing all of it over and over.
//
//  1. All directories are listed, and each is given to the kernel (inotify) when it has been opened, before its entries are
//     read, so that nothing that changes in between is missed (notify.go).
//  2. A directory of which the kernel tells that entries changed, or that it is new, is due once it has been quiet for a
//     moment, or has been changing for long. One that changes again soon after it was read waits twice as long each time: a
//     log is not hashed every few seconds (queue.go). One whose files are too young to be noted is due again, and so is a
//     root that can't be opened.
//  3. What is due is updated, the longest due first, and the index is open for just that time, so that a transfer finds it
//     free. A full index is not opened (watch.go).
//  4. What the kernel does not tell is found by listing everything: an hour after the last time, and sooner when the kernel
//     lost events, something went wrong or a directory is to be watched no more, but then not before ten times as long as it took
//     last. What is gone is dropped then.
//
// What the kernel says orders what is read, and is not taken as truth: an update compares what it finds with the
// index, and who uses the index checks what it says.
//
// It does not guarantee that a change is seen before the next listing of everything: file systems of other machines
// tell nothing, nor do writes through a mapping or to a file that stays open, nor a root that is mounted or whose parent is
// renamed, and the kernel watches so many directories only (fs.inotify.max_user_watches). With a full index, roots that are
// added are found then too. While everything is listed for the first time, the index is not free for others.
package watch
