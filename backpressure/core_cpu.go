package backpressure

import "time"

// CPUConfig sets the budget of the processor. Zero values mean the defaults.
type CPUConfig struct {
	PlanShare float64       // of the time, for planning; 0 = 0.02
	PlanPause time.Duration // shortest time from one plan to the next; 0 = 100 ms
}

func (c CPUConfig) withDefaults() CPUConfig {
	if c.PlanShare <= 0 {
		c.PlanShare = 0.02
	}
	if c.PlanPause <= 0 {
		c.PlanPause = 100 * time.Millisecond
	}
	return c
}

// CPU decides what the processor may take. It is not safe for concurrent use.
type CPU struct {
	cfg     CPUConfig
	planAt  time.Time // not before
	last    CPUSample
	sampled time.Time
	idle    average // share of the time of all cores
}

// NewCPU makes a processor of which nothing is known.
func NewCPU(cfg CPUConfig) *CPU { return &CPU{cfg: cfg.withDefaults()} }

// CPUSample is the time of all cores since the machine started, in any unit; negative if unknown.
type CPUSample struct {
	Idle, Total int64
}

// UnknownCPU is the sample when nothing is known.
var UnknownCPU = CPUSample{Idle: -1, Total: -1}

// Sample takes in how busy the processor has been.
func (c *CPU) Sample(now time.Time, s CPUSample) {
	if s.Total < 0 || s.Idle < 0 {
		c.sampled, c.idle = time.Time{}, average{}
		return
	}
	if !c.sampled.IsZero() {
		if now.Sub(c.sampled) < sampleWindow || s.Total <= c.last.Total {
			return
		}
		c.idle.add(float64(s.Idle-c.last.Idle) / float64(s.Total-c.last.Total))
	}
	c.last, c.sampled = s, now
}

// Planned tells that planning has ended and how long it took, 0 if that is not known yet. It may be
// told again of the same plan when it is known.
func (c *CPU) Planned(now time.Time, took time.Duration) {
	pause := time.Duration(float64(took) * (1/c.cfg.PlanShare - 1))
	if at := now.Add(max(c.cfg.PlanPause-took, pause)); at.After(c.planAt) {
		c.planAt = at
	}
}

// AllowPlan says whether to plan anew.
func (c *CPU) AllowPlan(now time.Time) Verdict {
	if now.Before(c.planAt) {
		return refuse(now, ReasonBudget, c.planAt.Sub(now))
	}
	return allowed
}

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
