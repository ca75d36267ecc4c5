//go:build !amd64 || purego

package blake3

// wide says that there is no compress16 for this processor.
const wide = false

func compress16(*[width]hash, *lanes, int) { panic("blake3: not on this processor") }
