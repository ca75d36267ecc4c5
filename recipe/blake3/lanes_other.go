//go:build !amd64 || purego

package blake3

// compressors says that there are none for this processor.
var compressors []compressor
