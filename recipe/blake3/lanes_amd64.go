//go:build amd64 && !purego

package blake3

import "golang.org/x/sys/cpu"

// compressors are those that this processor has, the best first.
var compressors = compressorsOf(cpu.X86.HasAVX512F, cpu.X86.HasAVX2)

func compressorsOf(avx512, avx2 bool) (found []compressor) {
	if avx512 {
		found = append(found, func(out *[width]hash, l *lanes, _, blocks int) { compress16(out, l, blocks) })
	}
	if avx2 {
		found = append(found, compressHalves)
	}
	return found
}

// compressHalves compresses eight lanes at a time.
func compressHalves(out *[width]hash, l *lanes, used, blocks int) {
	for from := 0; from < used; from += 8 {
		compress8(out, l, blocks, from)
	}
}

// compress16 compresses up to blocks blocks of each lane and stores the lanes' chaining values, in the
// order of the lanes. blocks is at least one, and every lane's input has as many, used or not. It needs AVX-512.
//
//go:noescape
func compress16(out *[width]hash, l *lanes, blocks int)

// compress8 does so for eight lanes, those from a number on. It needs AVX2.
//
//go:noescape
func compress8(out *[width]hash, l *lanes, blocks, from int)
