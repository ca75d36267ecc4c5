package scenarios

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is of a file, or of a tree's files and their mean length.
type Size struct {
	// Count is the number of files, 0 for a single file that is no tree.
	Count int64
	Bytes int64
	text  string
}

// String returns the size as it was written.
func (s Size) String() string { return s.text }

// Total is the size in bytes of all files together.
func (s Size) Total() int64 { return max(s.Count, 1) * s.Bytes }

// Scaled is the size with its count, or else its bytes, multiplied by factor, one at
// least. No size, that of a pair of releases, stays none.
func (s Size) Scaled(factor float64) Size {
	switch {
	case s == Size{}:
	case s.Count > 0:
		s.Count = max(1, int64(float64(s.Count)*factor))
		s.text = fmt.Sprintf("%dx%dB", s.Count, s.Bytes)
	default:
		s.Bytes = max(1, int64(float64(s.Bytes)*factor))
		s.text = fmt.Sprintf("%dB", s.Bytes)
	}
	return s
}

// units are what sizes are counted in.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// ParseSize reads 50MB, 1GiB or 2000x20KB.
func ParseSize(text string) (Size, error) {
	s := Size{text: text}
	each := text
	if count, rest, ok := strings.Cut(text, "x"); ok {
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil || n < 1 || n > 1e8 {
			return Size{}, fmt.Errorf("%q: want 1 to 100000000 files", text)
		}
		s.Count, each = n, rest
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(each, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes/max(s.Count, 1) {
			return Size{}, fmt.Errorf("%q: want a size such as 50MB", text)
		}
		s.Bytes = n * u.bytes
		return s, nil
	}
	return Size{}, fmt.Errorf("%q: want a size such as 50MB or 2000x20KB", text)
}
