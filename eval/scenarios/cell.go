package scenarios

import (
	"fmt"
	"strings"
)

// Cell is one combination of a scenario's axes: what one run measures. Cells
// that differ in nothing but the peer are compared with one another.
type Cell struct {
	Scenario *Scenario
	Net      string
	State    string
	Size     Size
	Cache    string
	DiskLoad int
	Peer     string
}

// Group names the cell without its peer: NAME/key=value/…, as Go's benchmarks
// have it. Axes on their default are left out.
func (c Cell) Group() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/net=%s/state=%s", c.Scenario.Name, c.Net, c.State)
	if c.Size != (Size{}) {
		fmt.Fprintf(&b, "/size=%s", c.Size)
	}
	if c.Cache != "warm" {
		fmt.Fprintf(&b, "/cache=%s", c.Cache)
	}
	if c.DiskLoad != 0 || len(c.Scenario.DiskLoads) > 1 {
		fmt.Fprintf(&b, "/disk-load=%d", c.DiskLoad)
	}
	return b.String()
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
	for _, net := range s.Nets {
		for _, state := range s.States {
			for _, size := range s.Sizes {
				for _, cache := range s.Caches {
					for _, load := range s.DiskLoads {
						groups = append(groups, s.group(Cell{s, net, state, size, cache, load, ""}))
					}
				}
			}
		}
	}
	return groups
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
