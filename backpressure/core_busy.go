package backpressure

import "time"

// Bounds of AllowSearch.
const (
	searchIdle = 0.15 // share of all cores that must be idle for searching beside a fast network
	fastRate   = 32e6 // bytes a second; a slower network leaves the processor time to search
)

// AllowSearch says whether to spend time on searching the disk while the network brings rate bytes a
// second; negative if that is unknown. When all cores are busy with a fast network's data, each chunk
// that the search brings costs one that the network would have brought. Without samples the processor
// counts as idle.
func (c *CPU) AllowSearch(now time.Time, rate float64) Verdict {
	if rate > fastRate && c.idle.known && c.idle.value < searchIdle {
		return refuse(now, ReasonBusy, sampleWindow)
	}
	return allowed
}
