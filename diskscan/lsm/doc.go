// Package lsm answers how many small rows are kept sorted on a disk so that opening them costs nothing. It is a
// log-structured merge tree without a log, for rows that are a hint: what is lost costs time and nothing more.
//
//  1. Rows come in batches (Batch, DB.Apply) and wait in memory until there is a megabyte of them.
//  2. Then they are written as one table: a file of sorted rows in blocks, with a tree of the blocks' first keys and a
//     filter that tells of most keys that are not there (table.go, block.go, filter.go). A table is never changed.
//     Its name holds the range of the batches' numbers that it covers.
//  3. Opening reads the end and the root of each table: no log, no list of tables. One whose range another covers is left
//     over from a merge and is deleted (open.go).
//  4. A key is looked for in memory and then in the tables, the newest first. A Finder does that for many keys in
//     order and reads each block once (finder.go). Scan gives all rows whose keys begin alike (scan.go).
//  5. Eight neighbours of about a size are merged into one, beside all else; what was overwritten or deleted
//     drops out then (merge.go).
//
// Without a directory, and where it may only be read, new tables are kept in memory in the same form.
//
// # What it does not guarantee
//
// Only large merges are synced. What was applied since the last Flush is lost when the process ends at once; when the machine goes down,
// tables that were written lately may be lost or damaged. Every block has a checksum: a damaged table is dropped when it is
// opened, and Damaged says so; a damaged block found later is an error of the lookup, and its rows drop out with the
// next merge. A deleted row may come to light again when the table that tells of its deletion is lost.
//
// Who writes has to see to it that nobody else does: there is no lock here.
package lsm
