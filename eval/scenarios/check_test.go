package scenarios

import (
	"strings"
	"testing"
)

// TestRefusalsNameLineAndChoice: what there is not is refused, with the line and what there is.
func TestRefusalsNameLineAndChoice(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"empty similar-90+empty", "empty similiar-90+empty", `one:7: state: "similiar-90": want, for a file, empty, right`},
		{"empty similar-90+empty", "empty similar-100", "one:7: state: "},
		{"empty similar-90+empty", "empty similar-05", "one:7: state: "},
		{"empty similar-90+empty", "empty moved", "one:7: state: "},
		{"empty similar-90+empty", "empty previous", "one:7: state: "},
		{"data      = file", "data = flie", `one:5: data: "flie": want file, sparse, tree, npm:PACKAGE@OLD..NEW`},
		{"data      = file", "data = pair", "one:5: data: "},
		{"data      = file\nsize      = 1MB 2MiB", "data = npm:typescript\n", "one:5: data: "},
		{"data      = file\nsize      = 1MB 2MiB", "data = go:1.26.6\n", "one:5: data: "},
		{"data      = file\nsize      = 1MB 2MiB", "data = pip:a@1..2\n", "one:5: data: "},
		{"data      = file", "data = tree", `one:6: size: "1MB": want files and their length`},
		{"size      = 1MB 2MiB", "size = 2x1MB", "one:6: size: "},
		{"size      = 1MB 2MiB", "size = 0MB", `one:6: size: "0MB": want more than nothing`},
		{"size      = 1MB 2MiB", "size = 2x0KB", "one:6: size: "},
		{"peer      = rsync dfetch", "peer = rsnyc dfetch", `one:15: peer: "rsnyc": want aria2,`},
		{"net       = t1 lan", "net = t1 mars", `one:8: net: no network "mars": want lan, t1`},
		{"share     = 4", "topology = star\nuplink = venus", `one:19: uplink: no network "venus"`},
		{"repeat    = 2", "repeat = 0", "one:16: repeat: "},
		{"box       = 90s", "box = 0s", "one:17: box: "},
		{"box       = 90s", "box = 20s", "one:14: load-after: 20s is not within the box"},
		{"box       = 90s", "box = 21s\nbix = 3", `one:18: unknown key "bix": want one of at, bench`},
		{"at        = 6s up loss=1", "at = 90s up loss=1", "one:20: at: 1m30s is not within the box"},
		{"at        = 6s up loss=1", "at = 6s up loss=101", "one:20: at: "},
		{"at        = 6s up loss=1", "at = 6s up delay=-1ms", "one:20: at: "},
		{"at        = 6s up loss=1", "at = 6s up rate=0.4", "one:20: at: "},
		{"at        = 6s up loss=1", "at = 6s up loss=1 loss=2", "one:20: at: "},
		{"cpu-load  = none 2x50\n", "", "one:12: cpu-nice: there is no cpu-load"},
		{"ratio dfetch / rsync @ any", "ratio dfetch / curl @ any", `one:22: goal: "curl": want rsync, dfetch`},
		{"size=1MB\ngoal", "size=3MB\ngoal", "one:21: claim: no cell of rsync has all of state=empty size=3MB"},
	} {
		text := strings.Replace(whole, tt.old, tt.new, 1)
		if strings.Contains(tt.new, "star") {
			text = strings.Replace(strings.Replace(text, "at        = 5s both rate=1M\n", "", 1), "at        = 6s up loss=1\n", "", 1)
		}
		if text == whole {
			t.Fatalf("%q is not in the text", tt.old)
		}
		if _, err := Parse("one", text, someNetworks); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.new, err, tt.want)
		}
	}
}

// TestBenchHasItsOwnNames: a bench knows its own states and peers, and none of a transfer's keys.
func TestBenchHasItsOwnNames(t *testing.T) {
	const right = "title = t\nsuites = s\nbench = index\ndata = file\nsize = 1MB\nstate = disk\npeer = dfetch sequential\n"
	if _, err := Parse("one", right, nil); err != nil {
		t.Error(err)
	}
	for want, change := range map[string][2]string{
		`one:4: data: "tree": want file`:                   {"data = file", "data = tree"},
		`one:6: state: "empty": want disk, model`:          {"state = disk", "state = empty"},
		`one:7: peer: "rsync": want dfetch, sequential, n`: {"peer = dfetch", "peer = rsync"},
		"one:8: cpu-load: a bench has none":                {"sequential\n", "sequential\ncpu-load = 2x50\n"},
	} {
		text := strings.Replace(right, change[0], change[1], 1)
		if _, err := Parse("one", text, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", change[1], err, want)
		}
	}
}

// TestNetworkFiguresThatMeanNothing: a figure that would round to "none", or twice the same, is refused with its line.
func TestNetworkFiguresThatMeanNothing(t *testing.T) {
	for _, list := range []string{
		"rate=0.4", "rate=1M queue=0.3", "rate=-1M", "delay=-1ms", "loss=101", "loss=-1", "rate=NaN", "rate=1M rate=2M",
	} {
		if _, err := parseNetworks("a = rate=1M\nb = " + list); err == nil || !strings.HasPrefix(err.Error(), "networks:2: ") {
			t.Errorf("%s: %v", list, err)
		}
	}
}
