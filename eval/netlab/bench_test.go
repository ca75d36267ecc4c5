package netlab

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkSaturation tells what a wire carries with both endpoints on the same
// machine: TCP, one way and both ways at once, in IP bytes by the wire's counters.
func BenchmarkSaturation(b *testing.B) {
	for _, rate := range []int64{100e6, 500e6, 800e6, 0} {
		for _, both := range []bool{false, true} {
			ways := map[bool]string{false: "one-way", true: "both-ways"}[both]
			b.Run(fmt.Sprintf("rate=%dM/%s", rate/1e6, ways), func(b *testing.B) {
				for range b.N {
					saturate(b, rate, both)
				}
			})
		}
	}
}

func saturate(b *testing.B, rate int64, both bool) {
	lab := pointToPoint(b, Config{Seed: 1}, Both(Shape{Rate: rate, Delay: 5 * ms, Queue: 2 << 20}))
	s, r := lab.Sender, lab.Receivers[0]
	size := int64(200 << 20)
	if rate > 0 {
		size = min(size, rate/8*2)
	}
	start := time.Now()
	back := make(chan error, 1)
	go func() {
		var err error
		if both {
			_, err = transfer(r, s, s.Addr4(), size)
		}
		back <- err
	}()
	if _, err := transfer(s, r, r.Addr4(), size); err != nil {
		b.Fatal(err)
	}
	if err := <-back; err != nil {
		b.Fatal(err)
	}
	took := time.Since(start).Seconds()
	c, err := lab.Wires[0].Counters()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(c.Up.OutBytes)*8/1e6/took, "Mbit/s-up")
	b.ReportMetric(float64(c.Down.OutBytes)*8/1e6/took, "Mbit/s-down")
	b.ReportMetric(float64(c.Up.LateMean.Microseconds()), "late-µs")
	b.ReportMetric(float64(c.Up.DeviceDrops+c.Down.DeviceDrops), "device-drops")
}
