package costmodel

import (
	"math"
	"testing"
)

func near(a, b, part float64) bool { return math.Abs(a-b) <= part*b }

// "the scheduler updates the operation cost as an exponentially weighted moving average with
// parameter α = 0.2"
func TestCostsMoveByAFifth(t *testing.T) {
	c := NewCosts()
	c.Calibrate(0, Cold, Rate{PerOp: 1}, Rate{PerUnit: 1})
	c.ObserveRead(0, Cold, 10, 20)
	if got := c.Read(0).Seconds(10); !near(got, 12, 1e-9) {
		t.Errorf("10 and then 20 give %v, want 12", got)
	}
}

// Small reads teach the cost of an operation, large ones that of a byte.
func TestCostsTellSeeksFromBytes(t *testing.T) {
	c := NewCosts()
	for range 300 {
		c.ObserveRead(1, Cold, 4<<10, 8e-3+4096/100e6)
		c.ObserveRead(1, Cold, 8<<20, 8e-3+(8<<20)/100e6)
	}
	r := c.Read(1)
	if !near(r.PerOp, 8e-3, 0.1) || !near(r.PerUnit, 1/100e6, 0.1) {
		t.Errorf("got %+v, want 8 ms and 10 ns", r)
	}
	if d := c.Read(2); near(d.PerOp, 8e-3, 0.5) {
		t.Errorf("another device learned it too: %+v", d)
	}
}

// A disk of which most is in memory is expected to answer from memory. Of directories it is not known where they were.
func TestCostsFollowResidency(t *testing.T) {
	c := NewCosts()
	stat, read := c.Stat(0), c.Read(0).Seconds(20_000)
	for range 30 {
		c.ObserveStat(0, 10, 40e-6)
		c.ObserveRead(0, Cached, 20_000, 45e-6)
	}
	if got := c.Stat(0); got > stat/4 {
		t.Errorf("%v after quick STATs, %v before", got, stat)
	}
	if got := c.Read(0).Seconds(20_000); got > read/4 {
		t.Errorf("%v after cached reads, %v before", got, read)
	}
}

// Measurements that can't be are not taken in.
func TestCostsIgnoreNonsense(t *testing.T) {
	c := NewCosts()
	for _, s := range []float64{math.NaN(), math.Inf(1), -1} {
		c.ObserveRead(0, Cold, 100, s)
		c.ObserveStat(200, 100, s)
		c.ObserveCheck(5, s)
	}
	if *c == *NewCosts() {
		return
	}
	if r := c.Read(0); !(r.PerOp > 0) || !(r.PerUnit > 0) || math.IsInf(r.PerOp+r.PerUnit, 1) {
		t.Errorf("got %+v", r)
	}
}

// Calibrate sets what STATs, and reading and hashing, cost for good.
func (c *Costs) Calibrate(dev Device, res Residency, stat, read Rate) {
	d := &c.devices[dev.index()]
	d.stat, d.read[res&1] = stat, read
	d.stats, d.reads[res&1] = manyMeasurements, manyMeasurements
	d.news++
}

// A trial read replaces the guess about a device, and nothing that operations have taught.
func TestCostsAfterTrialRead(t *testing.T) {
	c := NewCosts()
	c.Measured(1, 8e-3, 1e-8)
	if r, s := c.Read(1), c.Stat(1); r != (Rate{8e-3, 1e-8}) || s < 8e-3 || c.Read(0) == r {
		t.Errorf("read %+v, stat %v", r, s)
	}
	c.Measured(1, 50e-6, 1e-12)
	if r := c.Read(1); r.PerUnit < 1e-10 {
		t.Errorf("hashing costs nothing: %+v", r)
	}
	for range manyMeasurements {
		c.ObserveRead(1, Cold, 8<<20, 0.1)
	}
	taught := c.Read(1)
	c.Measured(1, 8e-3, 1e-6)
	c.Measured(1, math.NaN(), math.Inf(1))
	if got := c.Read(1); got != taught {
		t.Errorf("%+v after operations that taught %+v", got, taught)
	}
}

func FuzzCosts(f *testing.F) {
	f.Add(int64(4096), 0.01)
	f.Add(int64(-1), -1.0)
	f.Add(int64(-1), 0.0)
	f.Fuzz(func(t *testing.T, bytes int64, seconds float64) {
		c := NewCosts()
		for range 50 {
			c.ObserveRead(0, Cold, bytes, seconds)
		}
		if r := c.Read(0); !(r.PerOp >= 0) || !(r.PerUnit >= 0) || math.IsInf(r.PerOp+r.PerUnit, 1) {
			t.Errorf("got %+v", r)
		}
	})
}
