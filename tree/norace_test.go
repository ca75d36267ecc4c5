//go:build !race

package tree

const (
	crashStep   = 1
	crashRounds = 200
)
