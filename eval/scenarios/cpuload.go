package scenarios

import (
	"fmt"
	"strconv"
	"strings"
)

// maxLoadWorkers bounds the busy processes of a CPU load.
const maxLoadWorkers = 64

// CPULoad is so many workers, each of which computes for a percentage of the
// time. The zero value is no load.
type CPULoad struct{ Workers, Percent int }

// String returns 2x50 for two workers at 50 percent.
func (l CPULoad) String() string {
	if l == (CPULoad{}) {
		return "none"
	}
	return fmt.Sprintf("%dx%d", l.Workers, l.Percent)
}

// ParseCPULoad reads WORKERSxPERCENT, or none.
func ParseCPULoad(text string) (CPULoad, error) {
	if text == "none" {
		return CPULoad{}, nil
	}
	workers, share, _ := strings.Cut(text, "x")
	n, errN := strconv.Atoi(workers)
	p, errP := strconv.Atoi(share)
	if errN != nil || errP != nil || n < 1 || n > maxLoadWorkers || p < 1 || p > 100 {
		return CPULoad{}, fmt.Errorf("%q: want none, or workers (1 to %d) and percent such as 2x50", text, maxLoadWorkers)
	}
	return CPULoad{n, p}, nil
}
