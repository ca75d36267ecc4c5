package scenarios

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"dfetch/eval/netlab"
)

//go:embed *.scenario networks
var files embed.FS

// Scenario is one file: a question, and the axes along which it is asked.
type Scenario struct {
	Name  string // of the file, without its ending
	Title string
	// Suites are the names under which the command line selects it.
	Suites []string
	Data   string
	Sizes  []Size
	States []string
	Nets   []string
	Caches []string
	// Bench is what is measured on this machine alone, instead of a transfer.
	Bench string
	// FreshDisk gives every run a file system of its own.
	FreshDisk bool
	// DiskLoads are percents of time; 0 is no load.
	DiskLoads []int
	// DiskLimits are bytes a second; the zero Size is no limit.
	DiskLimits []Size
	CPULoads   []CPULoad
	// CPUNice is the nice value of the CPU load.
	CPUNice   int
	LoadAfter time.Duration
	// Topology is p2p, star, sites or loopback. Uplink and Local name networks.
	Topology, Uplink, Local string
	Receivers               int
	Peers                   []string
	Repeat                  int
	Box                     time.Duration
	Share                   int
	// Changes are lines of a netlab script, without their "at".
	Changes []string
	Claims  []Claim
	Goals   []Claim
	// Only limits Groups to cells whose names have all of these parts. It is no
	// key of the file; the command line sets it.
	Only []string
}

// Load parses every scenario that is compiled in, in the order of their names.
func Load() ([]*Scenario, error) {
	networks, err := Networks()
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(files, "*.scenario")
	if err != nil {
		return nil, err
	}
	var out []*Scenario
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := Parse(strings.TrimSuffix(path.Base(name), ".scenario"), string(text), networks)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Networks parses the compiled-in file of networks. Settings.Up is from the
// receiver to the sender.
func Networks() (map[string]netlab.Settings, error) {
	text, err := files.ReadFile("networks")
	if err != nil {
		return nil, err
	}
	return parseNetworks(string(text))
}

func parseNetworks(text string) (map[string]netlab.Settings, error) {
	out := map[string]netlab.Settings{}
	err := eachLine("networks", text, func(_ int, key, value string) error {
		if _, twice := out[key]; twice {
			return fmt.Errorf("network %s is there already", key)
		}
		both, up, _ := strings.Cut(value, "|")
		shape, err := netlab.Shape{}.With(both)
		if err != nil {
			return err
		}
		s := netlab.Both(shape)
		if up = strings.TrimSpace(up); up != "" {
			list, ok := strings.CutPrefix(up, "up ")
			if !ok {
				return fmt.Errorf("after the |: want up and settings")
			}
			if s.Up, err = s.Up.With(list); err != nil {
				return err
			}
		}
		out[key] = s
		return s.Validate()
	})
	return out, err
}

// Parse reads one scenario. Every key and every name must be known, every value
// must make sense, and every network must be one of networks. Errors name the
// file, and the line if they are about one.
func Parse(name, text string, networks map[string]netlab.Settings) (*Scenario, error) {
	s := &Scenario{Name: name, Topology: "p2p", Receivers: 1, Repeat: 3, Share: 1, Box: 10 * time.Minute}
	lines := keyLines{}
	err := eachLine(name, text, func(line int, key, value string) error {
		set, ok := keys[key]
		if !ok {
			return fmt.Errorf("unknown key %q: want one of %s", key, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		}
		if len(lines[key]) > 0 && !slices.Contains(repeatable, key) {
			return fmt.Errorf("%s is there twice", key)
		}
		lines[key] = append(lines[key], line)
		if err := set(s, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.complete(lines, networks); err != nil {
		return nil, lines.locate(name, err)
	}
	return s, nil
}

// eachLine calls f for each "key = value" of a file.
func eachLine(name, text string, f func(line int, key, value string) error) error {
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" || value == "" {
			return fmt.Errorf("%s:%d: want key = value", name, i+1)
		}
		if err := f(i+1, key, value); err != nil {
			return fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	return nil
}

// keys set the fields of a scenario.
var keys = map[string]func(*Scenario, string) error{
	"title":      func(s *Scenario, v string) error { s.Title = v; return nil },
	"suites":     func(s *Scenario, v string) error { return words(&s.Suites, v) },
	"data":       func(s *Scenario, v string) error { s.Data = v; return nil },
	"size":       func(s *Scenario, v string) error { return list(&s.Sizes, v, someSize) },
	"state":      func(s *Scenario, v string) error { return words(&s.States, v) },
	"net":        func(s *Scenario, v string) error { return words(&s.Nets, v) },
	"cache":      func(s *Scenario, v string) error { return words(&s.Caches, v, "warm", "cold") },
	"disk":       freshDisk,
	"disk-load":  func(s *Scenario, v string) error { return list(&s.DiskLoads, v, percent) },
	"disk-limit": func(s *Scenario, v string) error { return list(&s.DiskLimits, v, limit) },
	"cpu-load":   func(s *Scenario, v string) error { return list(&s.CPULoads, v, ParseCPULoad) },
	"cpu-nice":   func(s *Scenario, v string) error { return number(&s.CPUNice, v, 19) },
	"bench": func(s *Scenario, v string) error {
		return word(&s.Bench, v, benchNames...)
	},
	"load-after": func(s *Scenario, v string) error { return duration(&s.LoadAfter, v) },
	"topology":   func(s *Scenario, v string) error { return word(&s.Topology, v, "p2p", "star", "sites", "loopback") },
	"uplink":     func(s *Scenario, v string) error { return word(&s.Uplink, v) },
	"local":      func(s *Scenario, v string) error { return word(&s.Local, v) },
	"receivers":  func(s *Scenario, v string) error { return number(&s.Receivers, v, 64) },
	"peer":       func(s *Scenario, v string) error { return words(&s.Peers, v) },
	"repeat":     func(s *Scenario, v string) error { return number(&s.Repeat, v, 100) },
	"box":        func(s *Scenario, v string) error { return duration(&s.Box, v) },
	"share":      func(s *Scenario, v string) error { return number(&s.Share, v, 16) },
	"at":         func(s *Scenario, v string) error { s.Changes = append(s.Changes, v); return nil },
	"claim":      func(s *Scenario, v string) error { return addClaim(&s.Claims, v) },
	"goal":       addGoal,
}

// repeatable are the keys that may be there several times.
var repeatable = []string{"at", "claim", "goal"}

func addClaim(list *[]Claim, v string) error {
	c, err := parseClaim(v)
	*list = append(*list, c)
	return err
}

func addGoal(s *Scenario, v string) error {
	if err := addClaim(&s.Goals, v); err != nil {
		return err
	}
	_, _, err := s.Goals[len(s.Goals)-1].Bound()
	return err
}

func word(field *string, v string, allowed ...string) error {
	var list []string
	if err := words(&list, v, allowed...); err != nil {
		return err
	}
	if len(list) != 1 {
		return fmt.Errorf("%q: want one word", v)
	}
	*field = list[0]
	return nil
}

// words splits v; each word must be one of allowed, if any are given, and not
// be there twice.
func words(field *[]string, v string, allowed ...string) error {
	return list(field, v, func(w string) (string, error) {
		if len(allowed) > 0 && !slices.Contains(allowed, w) {
			return "", fmt.Errorf("%q: want %s", w, strings.Join(allowed, ", "))
		}
		if strings.ContainsAny(w, "/") {
			return "", fmt.Errorf("%q: a slash separates the parts of a cell's name", w)
		}
		return w, nil
	})
}

func list[T comparable](field *[]T, v string, parse func(string) (T, error)) error {
	for _, w := range strings.Fields(v) {
		x, err := parse(w)
		if err != nil {
			return err
		}
		if slices.Contains(*field, x) {
			return fmt.Errorf("%s is there twice", w)
		}
		*field = append(*field, x)
	}
	return nil
}

func number(field *int, v string, most int) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return fmt.Errorf("%q: want 1 to %d", v, most)
	}
	*field = n
	return nil
}

func freshDisk(s *Scenario, v string) error {
	var kind string
	err := word(&kind, v, "fresh", "shared")
	s.FreshDisk = kind == "fresh"
	return err
}

func percent(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 100 {
		return 0, fmt.Errorf("%q: want 0 to 100", v)
	}
	return n, nil
}

// someSize reads a size that is more than nothing.
func someSize(v string) (Size, error) {
	size, err := ParseSize(v)
	if err == nil && size.Bytes == 0 {
		err = fmt.Errorf("%q: want more than nothing, such as 50MB or 2000x20KB", v)
	}
	return size, err
}

// limit reads bytes a second, or none.
func limit(v string) (Size, error) {
	if v == "none" {
		return Size{}, nil
	}
	size, err := ParseSize(v)
	if err == nil && (size.Count > 0 || size.Bytes == 0) {
		err = fmt.Errorf("%q: want bytes a second such as 70MB, or none", v)
	}
	return size, err
}

func duration(field *time.Duration, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return fmt.Errorf("%q: want a time such as 90s", v)
	}
	*field = d
	return nil
}

// Script is what the link does while a run lasts, from the receivers' start.
func (s *Scenario) Script(base netlab.Settings) ([]netlab.Step, error) {
	if len(s.Changes) == 0 {
		return nil, nil
	}
	return netlab.ParseScript(base, "at "+strings.Join(s.Changes, "\nat "))
}
