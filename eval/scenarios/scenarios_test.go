package scenarios

import (
	"strings"
	"testing"
	"time"

	"dfetch/eval/netlab"
)

var someNetworks = map[string]netlab.Settings{"t1": netlab.Both(netlab.Shape{Rate: 1544000}), "lan": {}}

const whole = `
# a comment
title     = One
suites    = full fig2   # another
data      = file
size      = 1MB 2MiB
state     = empty similar-90+empty
net       = t1 lan
cache     = warm cold
disk-load = 0 50
disk-limit = none 70MB
cpu-load  = none 2x50
cpu-nice  = 5
load-after = 20s
peer      = rsync dfetch
repeat    = 2
box       = 90s
share     = 4
at        = 5s both rate=1M
at        = 6s up loss=1
claim     = faster | 2.5 | ratio rsync / dfetch @ state=empty size=1MB
goal      = fast | <= 1.5 | ratio dfetch / rsync @ any
`

func mustParse(t *testing.T, text string) *Scenario {
	t.Helper()
	s, err := Parse("one", text, someNetworks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := mustParse(t, whole)
	if s.Box != 90*time.Second || s.Share != 4 || s.Repeat != 2 || s.LoadAfter != 20*time.Second || len(s.Changes) != 2 {
		t.Errorf("got %+v", s)
	}
	if s.Sizes[0].Bytes != 1e6 || s.Sizes[1].Bytes != 2<<20 || s.Suites[1] != "fig2" {
		t.Errorf("sizes %v, suites %v", s.Sizes, s.Suites)
	}
	steps, err := s.Script(someNetworks["t1"])
	if err != nil || len(steps) != 2 || steps[0].Settings.Down.Rate != 1e6 || steps[1].Settings.Up.Loss != 0.01 {
		t.Errorf("steps %+v, %v", steps, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"box ", "bax ", "unknown key"},
		{"box       = 90s", "box = soon", "want a time"},
		{"title     = One", "title =", "key = value"},
		{"title     = One\n", "", "must be given"},
		{"title     = One\n", "title = One\ntitle = Two\n", "twice"},
		{"net       = t1 lan", "net = mars", "no network"},
		{"net       = t1 lan", "net = t1 t1", "twice"},
		{"size      = 1MB 2MiB\n", "", "size must be given"},
		{"data      = file", "data = npm:a@1..2", "size must be given"},
		{"cache     = warm cold", "cache = hot", "want warm, cold"},
		{"disk-load = 0 50", "disk-load = 101", "want 0 to 100"},
		{"disk-load = 0 50", "disk = own", "want fresh, shared"},
		{"disk-load = 0 50", "disk-load = 0 50\ndisk = fresh", "without load on a disk"},
		{"disk-limit = none 70MB", "disk-limit = 0MB", "want bytes a second"},
		{"disk-limit = none 70MB", "disk-limit = 2x3MB", "want bytes a second"},
		{"cpu-load  = none 2x50", "cpu-load = 2x0", "want none"},
		{"cpu-load  = none 2x50", "cpu-load = 65x1", "want none"},
		{"cpu-nice  = 5", "cpu-nice = 20", "want 1 to 19"},
		{"net       = t1 lan\n", "", "net must be given"},
		{"share     = 4", "bench = hash", "which has none"},
		{"share     = 4", "bench = guess", "want search"},
		{"share     = 4", "receivers = 2", "need topology"},
		{"share     = 4", "topology = star", "uplink"},
		{"share     = 4", "receivers = 65", "want 1 to 64"},
		{"at        = 6s", "at = 4s", "before the line above"},
		{"ratio rsync / dfetch", "ratio rsync", "operands"},
		{"ratio rsync / dfetch", "sum rsync / dfetch", "formula"},
		{"| <= 1.5 |", "| 1.5 |", "want <= or >="},
		{"peer      = rsync", "peer = rs/ync", "slash"},
	} {
		text := strings.Replace(whole, tt.old, tt.new, 1)
		if text == whole {
			t.Fatalf("%q is not in the text", tt.old)
		}
		_, err := Parse("one", text, someNetworks)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q for %q: error %v, want %q", tt.new, tt.old, err, tt.want)
		}
	}
}

func TestGroupsMultiplyTheAxes(t *testing.T) {
	s := mustParse(t, whole)
	groups := s.Groups()
	if len(groups) != 2*2*2*2*2*2*2 || len(groups[0]) != 2 {
		t.Fatalf("%d groups of %d cells", len(groups), len(groups[0]))
	}
	names := map[string]bool{}
	for _, g := range groups {
		for _, c := range g {
			if names[c.Name()] {
				t.Errorf("%s is there twice", c.Name())
			}
			names[c.Name()] = true
		}
	}
	want := "one/net=t1/state=similar-90+empty/size=1MB/cache=cold/disk-load=50/disk-limit=70MB/cpu-load=2x50/peer=dfetch"
	if !names[want] {
		t.Errorf("no %s in %v", want, names)
	}
	s.Only = []string{"net=lan", "peer=rsync"}
	n := 0
	for _, g := range s.Groups() {
		n += len(g)
	}
	if n != 64 {
		t.Errorf("%d cells of one net and peer, want 64", n)
	}
}

func TestStateOf(t *testing.T) {
	c := Cell{State: "similar-90+empty"}
	for i, want := range []string{"similar-90", "empty", "similar-90"} {
		if got := c.StateOf(i); got != want {
			t.Errorf("receiver %d: %s, want %s", i, got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"50MB": 50e6, "1GiB": 1 << 30, "2000x20KB": 40e6, "0B": 0, "3x1KiB": 3072} {
		s, err := ParseSize(text)
		if err != nil || s.Total() != want || s.String() != text {
			t.Errorf("%s: %d, %v; want %d", text, s.Total(), err, want)
		}
	}
	for _, text := range []string{"", "5", "MB", "-1MB", "x5MB", "0x5MB", "9999999999GB", "100000000x999999999GB", "1.5MB"} {
		if s, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d bytes", text, s.Total())
		}
	}
}

func TestScaled(t *testing.T) {
	tree, _ := ParseSize("2000x20KB")
	file, _ := ParseSize("50MB")
	if got := (Size{}).Scaled(0.5); got != (Size{}) {
		t.Errorf("no size becomes %v", got)
	}
	for want, s := range map[string]Size{"20x20000B": tree.Scaled(0.01), "500000B": file.Scaled(0.01), "1B": file.Scaled(1e-9)} {
		if s.String() != want {
			t.Errorf("got %s, want %s", s, want)
		}
		if again, err := ParseSize(s.String()); err != nil || again != s {
			t.Errorf("%s reads as %+v, %v", s, again, err)
		}
	}
}

func TestClaimMatches(t *testing.T) {
	s := mustParse(t, whole)
	a := s.Claims[0].A
	for cell, want := range map[string]bool{
		"one/net=t1/state=empty/size=1MB/peer=rsync":     true,
		"one/net=t1/state=empty/size=1MB/peer=rsync-bbr": false,
		"one/net=t1/state=empty/size=10MB/peer=rsync":    false,
		"one/net=t1/state=empty/size=1MB/peer=dfetch":    false,
	} {
		if got := a.Matches(cell); got != want {
			t.Errorf("%s: %v", cell, got)
		}
	}
	if limit, atMost, err := s.Goals[0].Bound(); limit != 1.5 || !atMost || err != nil {
		t.Errorf("bound %v %v %v", limit, atMost, err)
	}
}

// The scenarios that are compiled in are right, and every suite that the
// Makefile names has some.
func TestLoad(t *testing.T) {
	list, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	suites := map[string]int{}
	for _, s := range list {
		for _, name := range s.Suites {
			suites[name] += len(s.Groups())
		}
	}
	for _, want := range []string{"smoke", "quick", "full", "e2e"} {
		if suites[want] == 0 {
			t.Errorf("suite %s is empty", want)
		}
	}
}

func TestNetworks(t *testing.T) {
	nets, err := Networks()
	if err != nil {
		t.Fatal(err)
	}
	if t1 := nets["t1"]; t1.Up.Rate != 1_544_000 || t1.Up.Delay+t1.Down.Delay != 40*time.Millisecond {
		t.Errorf("t1 is %+v", t1)
	}
	if dsl := nets["dsl"]; dsl.Up.Rate >= dsl.Down.Rate || dsl.Up.Delay != dsl.Down.Delay {
		t.Errorf("dsl is %+v", dsl)
	}
	for _, text := range []string{"a = rate=x", "a = rate=1M | rate=2M", "a = rate=1M\na = rate=2M", "a"} {
		if _, err := parseNetworks(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("size = 1x1GB\nstate=a+b\n")
	f.Add("claim = a | b | ratio x / y @ any")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("fuzz", text, someNetworks)
		if err != nil {
			return
		}
		if s.Repeat < 1 || s.Receivers < 1 || s.Share < 1 || s.Box <= 0 || len(s.States) == 0 || len(s.Sizes) == 0 {
			t.Errorf("accepted %+v", s)
		}
	})
}
