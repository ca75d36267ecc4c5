package netlab

import (
	"errors"
	"fmt"
)

// Topology is a lab with its hosts by their roles. Routers are hosts of the lab
// too, named x and y.
type Topology struct {
	*Lab
	Sender    *Host   // s
	Beside    []*Host // s2 … at the sender's site
	Receivers []*Host // r1 …
	Wires     []*Wire // in the order that the maker's comment tells
}

// PointToPoint joins s and r1 by one wire, up from s to r1.
func PointToPoint(cfg Config, s Settings) (*Topology, error) {
	return build(cfg, func(t *Topology) error {
		return errors.Join(t.sender(), t.receiver(1), t.join("s", "r1", s))
	})
}

// Star joins s to a router x by the uplink, and r1 … to x by a wire each. Up is
// always towards x: a receiver's Down is what it downloads at. Wires: the
// uplink, then the receivers'.
func Star(cfg Config, uplink Settings, receivers []Settings) (*Topology, error) {
	return build(cfg, func(t *Topology) error {
		if err := errors.Join(t.sender(), t.join("s", "x", uplink)); err != nil {
			return err
		}
		return t.receivers("x", receivers)
	})
}

// Sites joins two sites by one thin wire from router x to router y, up from x to
// y. At x are s and s2 …, near hosts in all (at least s); at y are r1 …, far of
// them. All have the same wire to their router, up towards it. Wires: the thin
// one, the near hosts', the far hosts'.
func Sites(cfg Config, thin, local Settings, near, far int) (*Topology, error) {
	return build(cfg, func(t *Topology) error {
		if err := errors.Join(t.join("x", "y", thin), t.sender(), t.join("s", "x", local)); err != nil {
			return err
		}
		for i := 2; i <= near; i++ {
			if err := t.beside(i, local); err != nil {
				return err
			}
		}
		wires := make([]Settings, far)
		for i := range wires {
			wires[i] = local
		}
		return t.receivers("y", wires)
	})
}

func build(cfg Config, plan func(*Topology) error) (*Topology, error) {
	l, err := New(cfg)
	if err != nil {
		return nil, err
	}
	t := &Topology{Lab: l}
	if err := plan(t); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return t, nil
}

func (t *Topology) sender() (err error) {
	t.Sender, err = t.Host("s")
	return err
}

func (t *Topology) receiver(i int) error {
	h, err := t.Host(fmt.Sprintf("r%d", i))
	if err != nil {
		return err
	}
	t.Receivers = append(t.Receivers, h)
	return nil
}

func (t *Topology) receivers(router string, wires []Settings) error {
	for i, s := range wires {
		if err := t.receiver(i + 1); err != nil {
			return err
		}
		if err := t.join(t.Receivers[i].name, router, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *Topology) beside(i int, s Settings) error {
	h, err := t.Host(fmt.Sprintf("s%d", i))
	if err != nil {
		return err
	}
	t.Beside = append(t.Beside, h)
	return t.join(h.name, "x", s)
}

func (t *Topology) join(a, b string, s Settings) error {
	ha, err := t.Host(a)
	if err != nil {
		return err
	}
	hb, err := t.Host(b)
	if err != nil {
		return err
	}
	w, err := t.Link(ha, hb, s)
	if err != nil {
		return err
	}
	t.Wires = append(t.Wires, w)
	return nil
}
