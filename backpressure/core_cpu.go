package backpressure

import "time"

// CPUConfig sets the budget of the processor. Zero values mean the defaults.
type CPUConfig struct {
	Cores     int           // 0 = 1
	PlanShare float64       // of the time; 0 = 0.02
	PlanPause time.Duration // shortest time between two plans; 0 = 100 ms
}

func (c CPUConfig) withDefaults() CPUConfig {
	c.Cores = max(1, c.Cores)
	if c.PlanShare <= 0 {
		c.PlanShare = 0.02
	}
	if c.PlanPause <= 0 {
		c.PlanPause = 100 * time.Millisecond
	}
	return c
}

// quiet is how long no network data must have waited until hashing gets the last core back.
const quiet = 100 * time.Millisecond

// CPU decides what the processor may take. It is not safe for concurrent use.
type CPU struct {
	cfg      CPUConfig
	planAt   time.Time // not before
	readable time.Time // network data waited last
	last     CPUSample
	sampled  time.Time
	idle     average // share of the time of all cores
}

// CPUSample is the time of all cores since the machine started, in any unit; negative if unknown.
type CPUSample struct {
	Idle, Total int64
}

// UnknownCPU is the sample when nothing is known.
var UnknownCPU = CPUSample{Idle: -1, Total: -1}

// enoughIdle is the share of all cores that must be idle for work that only saves bytes.
const enoughIdle = 0.25

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

// AllowCompress says whether to spend time on making what is sent smaller. limited tells that the
// network is what limits. Without samples the processor counts as idle.
func (c *CPU) AllowCompress(now time.Time, limited bool) Verdict {
	switch {
	case !limited:
		return refuse(now, ReasonEnough, maxWait)
	case c.idle.known && c.idle.value < enoughIdle:
		return refuse(now, ReasonBusy, sampleWindow)
	}
	return allowed
}

// NewCPU makes an idle processor.
func NewCPU(cfg CPUConfig) *CPU { return &CPU{cfg: cfg.withDefaults()} }

// Readable tells that network data waits to be read.
func (c *CPU) Readable(now time.Time) { c.readable = now }

// Planned tells that a plan was made and how long it took.
func (c *CPU) Planned(now time.Time, took time.Duration) {
	pause := time.Duration(float64(took) * (1/c.cfg.PlanShare - 1))
	c.planAt = now.Add(max(c.cfg.PlanPause-took, pause))
}

// AllowPlan says whether to plan anew. fed tells that the present plan can still feed a source.
func (c *CPU) AllowPlan(now time.Time, readable, fed bool) Verdict {
	if readable {
		c.Readable(now)
	}
	switch {
	case now.Before(c.planAt):
		return refuse(now, ReasonBudget, c.planAt.Sub(now))
	case readable:
		return refuse(now, ReasonReadable, c.cfg.PlanPause/10)
	case fed:
		return refuse(now, ReasonFed, c.cfg.PlanPause/2)
	}
	return allowed
}

// Hashers is how many may hash at one time: all cores, or all but one while network data has been
// waiting of late; at least one.
func (c *CPU) Hashers(now time.Time) int {
	if c.reading(now) {
		return max(1, c.cfg.Cores-1)
	}
	return c.cfg.Cores
}

func (c *CPU) reading(now time.Time) bool {
	return !c.readable.IsZero() && now.Sub(c.readable) < quiet
}

// AllowHash says whether one more may hash beside those that do.
func (c *CPU) AllowHash(now time.Time, hashing int) Verdict {
	if hashing < c.Hashers(now) {
		return allowed
	}
	if hashing < c.cfg.Cores {
		return refuse(now, ReasonCores, c.readable.Add(quiet).Sub(now))
	}
	return refuse(now, ReasonDepth, 10*time.Millisecond)
}
