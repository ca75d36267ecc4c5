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
	shared  shared
}

// NewCPU makes a processor of which nothing is known.
func NewCPU(cfg CPUConfig) *CPU { return &CPU{cfg: cfg.withDefaults()} }

// CPUSample is the time of all cores since the machine started, in hundredths of a second; negative if unknown.
type CPUSample struct {
	Idle, Total int64
}

// UnknownCPU is the sample when nothing is known.
var UnknownCPU = CPUSample{Idle: -1, Total: -1}

// Sample takes in how busy the processor has been, and what has come meanwhile, from a network that brings rate bytes a
// second; negative if that is unknown.
func (c *CPU) Sample(now time.Time, s CPUSample, n Counts, rate float64) {
	if s.Total < 0 || s.Idle < 0 {
		c.sampled, c.idle = time.Time{}, average{}
		c.shared.stop()
		return
	}
	if !c.sampled.IsZero() {
		if now.Sub(c.sampled) < sampleWindow || s.Total <= c.last.Total {
			return
		}
		idle, total := float64(s.Idle-c.last.Idle), float64(s.Total-c.last.Total)
		c.idle.add(idle / total)
		c.shared.window(now, now.Sub(c.sampled).Seconds(), (total-idle)/100, n, c.full(rate), rate)
	}
	c.shared.counted = n
	c.last, c.sampled = s, now
}

// Hashed takes in what reading and hashing some bytes took of the processor, in seconds.
func (c *CPU) Hashed(seconds float64, bytes int64) { c.shared.hashed(seconds, bytes) }

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

// full says whether all cores are busy, and a network fast enough that it may be for its data. Without samples
// the processor counts as idle.
func (c *CPU) full(rate float64) bool {
	return rate > fastRate && c.idle.known && c.idle.value < searchIdle
}

// AllowSearch says whether to spend time on a disk operation while the network brings rate bytes a
// second; negative if that is unknown. When all cores are busy with a fast network's data, each chunk
// that the search brings costs some that the network would have brought: then it goes ahead only if it takes less of the
// processor for each useful byte.
func (c *CPU) AllowSearch(now time.Time, o Offer) Verdict {
	if !c.full(o.Rate) || c.shared.alone {
		return allowed
	}
	seconds := o.Cost
	if o.Units > 0 {
		seconds = c.shared.hashing() * float64(o.Units)
	}
	if network := c.shared.network.perByte(); network > 0 && seconds < dearer*network*float64(o.Useful) {
		return allowed
	}
	return refuse(now, ReasonBusy, sampleWindow)
}

// SearchAlone says whether what the disk probably has is better left to it, as the network's data would take more of a
// processor that is busy.
func (c *CPU) SearchAlone() bool { return c.shared.alone }
