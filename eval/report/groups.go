package report

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"dfetch/eval/scenarios"
)

// states in the order in which people think of them.
var states = []string{
	"empty", "useless", "similar-50", "similar-50-clustered", "similar-99", "similar-99-clustered",
	"sibling", "moved", "previous", "previous-sibling", "right",
}

// compareGroups orders groups by their parts: states in their own order, numbers
// and sizes by value, the rest by name.
func compareGroups(a, b string) int {
	pa, pb := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(pa), len(pb)) {
		if c := comparePart(pa[i], pb[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(pa), len(pb))
}

func comparePart(a, b string) int {
	keyA, a, _ := strings.Cut(a, "=")
	keyB, b, _ := strings.Cut(b, "=")
	if keyA != keyB || a == b {
		return cmp.Or(cmp.Compare(keyA, keyB), cmp.Compare(a, b))
	}
	if keyA == "state" {
		return cmp.Or(cmp.Compare(stateRank(a), stateRank(b)), cmp.Compare(a, b))
	}
	va, okA := value(a)
	vb, okB := value(b)
	if okA && okB {
		return cmp.Or(cmp.Compare(va, vb), cmp.Compare(a, b))
	}
	return cmp.Compare(a, b)
}

func stateRank(s string) int {
	if i := slices.Index(states, s); i >= 0 {
		return i
	}
	return len(states)
}

// value reads a part's value as a number or a size.
func value(text string) (float64, bool) {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return n, true
	}
	if s, err := scenarios.ParseSize(text); err == nil {
		return float64(s.Total()), true
	}
	return 0, false
}

// without returns a group's name without the part of that key, and its value.
func without(group, key string) (rest, val string) {
	var kept []string
	for _, p := range strings.Split(group, "/") {
		if v, ok := strings.CutPrefix(p, key+"="); ok {
			val = v
			continue
		}
		kept = append(kept, p)
	}
	return strings.Join(kept, "/"), val
}
