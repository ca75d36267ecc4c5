// Package result is what a measurement leaves: one Result a run, as a line of
// JSON in a file that only grows. It also groups results into medians and writes
// them as Go benchmark lines, so that benchstat compares two files.
//
// It keeps what was measured and decides nothing about it, except which
// statistics are shown: the median, and the least and the most.
package result
