package load

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	maxWorkers = 1024
	spinTime   = time.Millisecond
)

// CPU is a load of arithmetic.
type CPU struct {
	Cycle
	// Workers is how many cores to keep busy. Zero means all.
	Workers int
}

// Run computes until the cycle's end or until ctx ends, which is no error. It
// returns how long the workers were busy, all together.
func (c CPU) Run(ctx context.Context) (busy time.Duration, err error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	if c.Workers < 0 || c.Workers > maxWorkers {
		return 0, fmt.Errorf("load: %d workers is not within 0..%d", c.Workers, maxWorkers)
	}
	if c.Workers == 0 {
		c.Workers = runtime.NumCPU()
	}
	cycle := c.withDefaults()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range c.Workers {
		all.Go(func() {
			b, _ := cycle.run(ctx, spin) // spin never fails
			mu.Lock()
			defer mu.Unlock()
			busy += b
		})
	}
	all.Wait()
	return busy, nil
}

// spin keeps a core busy for a moment.
func spin() error {
	for end := time.Now().Add(spinTime); time.Now().Before(end); {
	}
	return nil
}
