//go:build amd64 && !purego

package blake3

import "golang.org/x/sys/cpu"

// wide says whether compress16 may be called.
var wide = cpu.X86.HasAVX512F

// compress16 compresses up to blocks blocks of each lane and stores the lanes' chaining values, in the
// order of the lanes. blocks is at least one, and every lane's input has as many, used or not.
//
//go:noescape
func compress16(out *[width]hash, l *lanes, blocks int)
