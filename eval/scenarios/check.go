package scenarios

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dfetch/eval/netlab"
)

// keyLines are the lines on which each key stands.
type keyLines map[string][]int

// keyError is what is wrong with the n-th line, from 0 on, of a key.
type keyError struct {
	key string
	n   int
	err error
}

// Error returns what is wrong, after the key.
func (e *keyError) Error() string { return fmt.Sprintf("%s: %v", e.key, e.err) }

// Unwrap returns what is wrong.
func (e *keyError) Unwrap() error { return e.err }

// wrong makes a keyError of the key's only line, nil of nil.
func wrong(key string, err error) error { return wrongAt(key, 0, err) }

func wrongAt(key string, n int, err error) error {
	if err == nil {
		return nil
	}
	return &keyError{key, n, err}
}

// locate adds the file to an error, and the line if it is about one.
func (l keyLines) locate(name string, err error) error {
	var of *keyError
	if errors.As(err, &of) && of.n < len(l[of.key]) {
		return fmt.Errorf("%s:%d: %w", name, l[of.key][of.n], err)
	}
	return fmt.Errorf("scenario %s: %w", name, err)
}

// complete checks what the keys mean together and gives the defaults.
func (s *Scenario) complete(lines keyLines, networks map[string]netlab.Settings) error {
	for _, check := range []func() error{
		s.checkGiven, s.checkTopology, s.checkNames,
		func() error { return s.checkUnused(lines) },
		func() error { return s.checkNetworks(networks) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	s.fillAxes()
	if err := s.checkChanges(networks); err != nil {
		return err
	}
	return errors.Join(s.checkClaims("claim", s.Claims), s.checkClaims("goal", s.Goals))
}

// checkGiven checks what must be given, and what must not.
func (s *Scenario) checkGiven() error {
	switch {
	case s.Title == "" || len(s.Suites) == 0 || s.Data == "":
		return errors.New("title, suites and data must be given")
	case len(s.States) == 0 || len(s.Peers) == 0:
		return errors.New("state and peer must be given")
	case (s.Bench == "") != (len(s.Nets) > 0):
		return errors.New("net must be given, unless there is a bench, which has none")
	case strings.Contains(s.Data, ":") == (len(s.Sizes) > 0):
		return errors.New("a size must be given, unless the data is a pair of releases")
	}
	return nil
}

// checkTopology checks what not every topology and disk has.
func (s *Scenario) checkTopology() error {
	switch {
	case (s.Topology == "p2p" || s.Topology == "loopback") && s.Receivers != 1:
		return fmt.Errorf("%d receivers need topology star or sites", s.Receivers)
	case (s.Topology == "star") != (s.Uplink != "") || (s.Topology == "sites") != (s.Local != ""):
		return errors.New("a star needs an uplink, sites a local network, and no other topology has one")
	case s.FreshDisk && (s.Bench != "" || len(s.DiskLimits) > 0 || len(s.DiskLoads) > 0):
		return errors.New("a fresh disk is for transfers without load on a disk")
	case len(s.Changes) > 0 && s.Topology != "p2p":
		return errors.New("only a p2p link can change")
	}
	return nil
}

// checkNames checks the names of data, states and peers against what there is.
func (s *Scenario) checkNames() error {
	if s.Bench != "" {
		return s.checkBench(benches[s.Bench])
	}
	kind, err := kindOf(s.Data)
	if err != nil {
		return wrong("data", err)
	}
	for _, size := range s.Sizes {
		if (size.Count > 0) != (kind == "tree") {
			return wrong("size", fmt.Errorf("%q: want files and their length, such as 2000x20KB, for a tree, and bytes, such as 50MB, for all else", size))
		}
	}
	for _, state := range s.States {
		if err := checkState(kind, state); err != nil {
			return wrong("state", err)
		}
	}
	return wrong("peer", eachOneOf(s.Peers, Peers))
}

func (s *Scenario) checkBench(b bench) error {
	if err := oneOf(s.Data, []string{b.data}); err != nil {
		return wrong("data", err)
	}
	if err := eachOneOf(s.States, b.states); err != nil {
		return wrong("state", err)
	}
	return wrong("peer", eachOneOf(s.Peers, b.peers))
}

func eachOneOf(names, allowed []string) error {
	for _, name := range names {
		if err := oneOf(name, allowed); err != nil {
			return err
		}
	}
	return nil
}

// transfersOnly are keys that a bench would not look at.
var transfersOnly = []string{"cache", "disk", "disk-load", "disk-limit", "cpu-load", "cpu-nice", "load-after", "topology", "receivers", "at"}

// checkUnused refuses what would have no effect.
func (s *Scenario) checkUnused(lines keyLines) error {
	for _, key := range transfersOnly {
		if s.Bench != "" && len(lines[key]) > 0 {
			return wrong(key, errors.New("a bench has none"))
		}
	}
	loads := len(lines["disk-load"])+len(lines["cpu-load"]) > 0
	switch {
	case s.CPUNice > 0 && len(lines["cpu-load"]) == 0:
		return wrong("cpu-nice", errors.New("there is no cpu-load"))
	case s.LoadAfter > 0 && !loads:
		return wrong("load-after", errors.New("there is no disk-load and no cpu-load"))
	case s.LoadAfter >= s.Box:
		return wrong("load-after", fmt.Errorf("%v is not within the box of %v", s.LoadAfter, s.Box))
	}
	return nil
}

func (s *Scenario) checkNetworks(networks map[string]netlab.Settings) error {
	known := func(key string, names ...string) error {
		for _, name := range names {
			if _, ok := networks[name]; !ok && name != "" {
				return wrong(key, fmt.Errorf("no network %q: want %s", name, strings.Join(slices.Sorted(maps.Keys(networks)), ", ")))
			}
		}
		return nil
	}
	return errors.Join(known("net", s.Nets...), known("uplink", s.Uplink), known("local", s.Local))
}

// checkChanges checks each change after those above it, on each network.
func (s *Scenario) checkChanges(networks map[string]netlab.Settings) error {
	part := *s
	for i := range s.Changes {
		part.Changes = s.Changes[:i+1]
		for _, net := range s.Nets {
			steps, err := part.Script(networks[net])
			if err == nil && steps[i].At >= s.Box {
				err = fmt.Errorf("%v is not within the box of %v", steps[i].At, s.Box)
			}
			if err != nil {
				return wrongAt("at", i, err)
			}
		}
	}
	return nil
}

// checkClaims checks that each side of each claim is about a cell of this scenario.
func (s *Scenario) checkClaims(key string, list []Claim) error {
	var cells []string
	for _, group := range s.Groups() {
		for _, c := range group {
			cells = append(cells, c.Name())
		}
	}
	for i, c := range list {
		for _, side := range []Selector{c.A, c.B} {
			if side.Peer == "" {
				continue
			}
			if err := oneOf(side.Peer, s.Peers); err != nil {
				return wrongAt(key, i, err)
			}
			if !slices.ContainsFunc(cells, side.Matches) {
				return wrongAt(key, i, fmt.Errorf("no cell of %s has all of %s", side.Peer, strings.Join(side.Parts, " ")))
			}
		}
	}
	return nil
}

// fillAxes gives the axes that the file leaves out their one value.
func (s *Scenario) fillAxes() {
	fill(&s.Sizes, Size{})
	fill(&s.Nets, "")
	fill(&s.Caches, "warm")
	fill(&s.DiskLoads, 0)
	fill(&s.DiskLimits, Size{})
	fill(&s.CPULoads, CPULoad{})
}

func fill[T any](axis *[]T, value T) {
	if len(*axis) == 0 {
		*axis = []T{value}
	}
}
