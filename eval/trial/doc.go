// Package trial runs cells and writes their results. It decides the order of the
// runs, what of a run is timed, and what outcome it has.
//
// The order: rounds one after the other; in each the groups, which are cells that
// differ in the peer alone, in a random order that the seed fixes (but those that
// may share the machine before those that want it alone); in each group
// the peers in random order, right after one another, so that a machine that
// changes its mood changes it for all of them. Cells that have a result already
// are left out, but one in which the emulator was late is tried again the next
// time, three times in all; and none is begun whose time box no longer fits the budget.
//
// A run: (1) the peer's Check, a gap if something is missing; (2) the receivers'
// folders are put into the initial state, and their files into the page cache or
// out of it; (3) a lab of the cell's topology is built and the peer publishes and
// starts its server; (4) the link's script and the disk's load start, and with
// them all receivers' commands: this is the time that counts; (5) when the last
// has ended, or the time box has, the link's counters are read, the servers
// stopped and every receiver's files compared with the source.
//
// Not guaranteed: sender, receivers and links share the machine's cores, disk and
// memory, and what was written may still be in memory when a run ends. The source
// is in the page cache as far as it fits. Cells that may share the machine (slow
// links) run side by side and may disturb one another a little.
package trial
