package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"dfetch/eval/netlab"
)

// Cell is one combination of a scenario's axes: what one run measures. Cells
// that differ in nothing but the peer are compared with one another.
type Cell struct {
	Scenario  *Scenario
	Net       string // empty for what needs no network
	State     string
	Size      Size
	Cache     string
	DiskLoad  int
	DiskLimit Size // bytes a second; the zero Size is no limit
	CPULoad   CPULoad
	Peer      string
}

// Group names the cell without its peer: NAME/key=value/…, as Go's benchmarks
// have it. Axes on their default are left out.
func (c Cell) Group() string {
	var b strings.Builder
	b.WriteString(c.Scenario.Name)
	if c.Net != "" {
		fmt.Fprintf(&b, "/net=%s", c.Net)
	}
	fmt.Fprintf(&b, "/state=%s", c.State)
	if c.Size != (Size{}) {
		fmt.Fprintf(&b, "/size=%s", c.Size)
	}
	if c.Cache != "warm" {
		fmt.Fprintf(&b, "/cache=%s", c.Cache)
	}
	if c.Scenario.FreshDisk {
		b.WriteString("/disk=fresh")
	}
	if c.DiskLoad != 0 || len(c.Scenario.DiskLoads) > 1 {
		fmt.Fprintf(&b, "/disk-load=%d", c.DiskLoad)
	}
	if c.DiskLimit != (Size{}) {
		fmt.Fprintf(&b, "/disk-limit=%s", c.DiskLimit)
	}
	if c.CPULoad != (CPULoad{}) {
		fmt.Fprintf(&b, "/cpu-load=%s", c.CPULoad)
	}
	return b.String()
}

// Setup is a short hash of what makes a difference to the cell and is not in its name.
func (c Cell) Setup(networks map[string]netlab.Settings) string {
	s := c.Scenario
	text := fmt.Sprintf("%s %s %d %q %v %d %+v %+v %+v", s.Data, s.Topology, s.Receivers, s.Changes, s.LoadAfter, s.CPUNice,
		networks[c.Net], networks[s.Uplink], networks[s.Local])
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Name is the cell's own name.
func (c Cell) Name() string { return c.Group() + "/peer=" + c.Peer }

// StateOf is the state that receiver i, from 0 on, starts in.
func (c Cell) StateOf(i int) string {
	states := strings.Split(c.State, "+")
	return states[i%len(states)]
}

// Groups returns the scenario's cells, those of one group together, in the
// order of the file.
func (s *Scenario) Groups() (groups [][]Cell) {
	cells := []Cell{{Scenario: s}}
	cells = multiply(cells, s.Nets, func(c *Cell, v string) { c.Net = v })
	cells = multiply(cells, s.States, func(c *Cell, v string) { c.State = v })
	cells = multiply(cells, s.Sizes, func(c *Cell, v Size) { c.Size = v })
	cells = multiply(cells, s.Caches, func(c *Cell, v string) { c.Cache = v })
	cells = multiply(cells, s.DiskLoads, func(c *Cell, v int) { c.DiskLoad = v })
	cells = multiply(cells, s.DiskLimits, func(c *Cell, v Size) { c.DiskLimit = v })
	cells = multiply(cells, s.CPULoads, func(c *Cell, v CPULoad) { c.CPULoad = v })
	for _, c := range cells {
		groups = append(groups, s.group(c))
	}
	return groups
}

// multiply gives every cell each value of an axis in turn; the last axis changes fastest.
func multiply[T any](cells []Cell, axis []T, set func(*Cell, T)) (out []Cell) {
	for _, c := range cells {
		for _, v := range axis {
			set(&c, v)
			out = append(out, c)
		}
	}
	return out
}

func (s *Scenario) group(c Cell) (cells []Cell) {
	for _, peer := range s.Peers {
		c.Peer = peer
		if hasParts(c.Name(), s.Only) {
			cells = append(cells, c)
		}
	}
	return cells
}
