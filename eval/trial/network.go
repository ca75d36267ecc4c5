package trial

import (
	"errors"
	"time"

	"dfetch/eval/netlab"
	"dfetch/eval/peer"
	"dfetch/eval/scenarios"
)

// network is what a run goes over: a lab of emulated links or, with a nil lab,
// the loopback.
type network struct{ lab *netlab.Topology }

// network makes the cell's network and gives the job its hosts.
func (b *Bench) network(cell scenarios.Cell, p peer.Peer, job *peer.Job) (network, error) {
	if cell.Scenario.Topology == "loopback" {
		job.Sender, job.Receivers[0].Host = peer.Loopback{}, peer.Loopback{}
		return network{}, nil
	}
	lab, err := b.topology(cell, p)
	if err != nil {
		return network{}, err
	}
	job.Sender = lab.Sender
	for i, h := range lab.Receivers {
		job.Receivers[i].Host = h
	}
	return network{lab}, nil
}

// Close removes the lab.
func (n network) Close() error {
	if n.lab == nil {
		return nil
	}
	return n.lab.Close()
}

// play starts a script on the sender's wire. Its settings are from the receiver's
// side.
func (n network) play(steps []netlab.Step) error {
	if len(steps) == 0 || n.lab == nil {
		return nil
	}
	for i := range steps {
		steps[i].Settings = fromSender(steps[i].Settings)
	}
	return n.lab.Wires[0].Play(steps)
}

// traffic is what the sender's wire carried; how late any wire delivered at worst, and what all of them lost that no
// setting says.
type traffic struct {
	down, up         int64
	late             time.Duration
	dropped, refused int64
}

// add takes in one wire's noise.
func (t *traffic) add(w netlab.WireCounters) {
	t.late = max(t.late, w.Up.LateMax, w.Down.LateMax)
	t.dropped += w.Up.DeviceDrops + w.Down.DeviceDrops
	t.refused += w.Up.DeliveryRefused + w.Down.DeliveryRefused
}

// minus is the traffic since an earlier count, or −1 where nothing counts.
func (t traffic) minus(before traffic, n network) (down, up int64) {
	if n.lab == nil {
		return -1, -1
	}
	return t.down - before.down, t.up - before.up
}

func (n network) sent() (t traffic, err error) {
	if n.lab == nil {
		return traffic{}, nil
	}
	c, err := n.lab.Wires[0].Counters()
	t.down = c.Up.InBytes - c.Up.QueueDropBytes
	t.up = c.Down.InBytes - c.Down.QueueDropBytes
	for _, w := range n.lab.Wires {
		each, countErr := w.Counters()
		t.add(each)
		err = errors.Join(err, countErr)
	}
	return t, err
}

// topology builds the cell's network. Networks are written from the receiver's
// side; netlab's point to point, uplink and thin wires from the sender's.
func (b *Bench) topology(cell scenarios.Cell, p peer.Peer) (*netlab.Topology, error) {
	cfg := netlab.Config{Seed: 1}
	if t, ok := p.(peer.Tuned); ok {
		cfg.CongestionControl = t.CongestionControl()
	}
	s := cell.Scenario
	net := b.Networks[cell.Net]
	switch s.Topology {
	case "star":
		wires := make([]netlab.Settings, s.Receivers)
		for i := range wires {
			wires[i] = net
		}
		return netlab.Star(cfg, fromSender(b.Networks[s.Uplink]), wires)
	case "sites":
		return netlab.Sites(cfg, fromSender(net), b.Networks[s.Local], 1, s.Receivers)
	}
	return netlab.PointToPoint(cfg, fromSender(net))
}

// fromSender turns a network of a receiver's view round.
func fromSender(s netlab.Settings) netlab.Settings {
	return netlab.Settings{Up: s.Down, Down: s.Up}
}
