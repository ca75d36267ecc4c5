package fetch

import (
	"context"
	"time"

	"dfetch/backpressure"
)

// machineEvery is how often the core is told about the machine.
const machineEvery = 100 * time.Millisecond

// watchMachine tells the core about the writer, and with a search about disk and processor too, until
// ctx ends.
func (t *transfer) watchMachine(ctx context.Context) {
	disks, cpus := backpressure.NewDiskSampler(), backpressure.NewCPUSampler()
	tick := time.NewTicker(machineEvery)
	defer tick.Stop()
	for {
		ev := Event{Kind: EvMachine, Writer: t.written(0)}
		if !t.cfg.Search.Off {
			now := time.Now()
			disk, cpu := disks.Sample(now), cpus.Sample(now)
			ev.Disk, ev.CPU, ev.Writeback = &disk, &cpu, disks.Writeback(now)
		}
		t.loop.mail.post(ev)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// written is what has come in from the network and what became of it. done is bytes that have just been
// written and that the intake still counts as open.
func (t *transfer) written(done int64) *backpressure.WriterSample {
	in := t.intake.Stats()
	return &backpressure.WriterSample{
		Received: in.Received, Written: in.Settled + done, Busy: time.Duration(t.stats.writeTime.Load()),
	}
}
