// Package report turns results into what people read: tables in Markdown, figures
// in SVG, and one HTML page that needs nothing else. It has three parts:
//
//	tables    one a scenario: a row a group of cells, a column a peer
//	figures   bars where the groups differ in the state, lines where they differ
//	          in a number (size, disk load), a timeline of bytes by source
//	regret    dfetch's time ÷ the best time of any single way in the same cell:
//	          any other peer, or dfetch held to one way; as a heat map
//
// It shows the median and the extremes of the runs that ended well. A cell that
// was stopped shows the time box as a lower bound, and one that could not be run
// shows a gap with its reason: nothing is left out silently. The same results
// give the same report, byte for byte.
package report
