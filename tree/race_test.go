//go:build race

package tree

// With the race detector the crash tests try a part of what they try without.
const (
	crashStep   = 4  // fault points from one death to the next
	crashRounds = 20 // deaths at random moments
)
