package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Peers are the ways to transfer that scenarios may name: those that package peer has.
var Peers = []string{
	"aria2", "aria2-bt", "casync", "curl", "curl-bbr", "dfetch", "dfetch-bbr", "dfetch-fsync", "dfetch-net", "dfetch-nopressure",
	"dfetch-recipe", "dfetch-udp", "rsync", "rsync-bbr", "rsync-fsync", "rsync-sparse", "rsync-z", "uftp", "zsync",
}

// benchNames are what can be measured without a transfer, in the order in which people are told.
var benchNames = []string{"search", "index", "neighbour", "hash", "plan"}

// bench is what one measurement without a transfer knows; package diskbench says what it means.
type bench struct {
	data          string
	states, peers []string
}

var benches = map[string]bench{
	"search": {
		"home", []string{"row-1", "row-2", "row-3", "row-4", "row-5", "row-6", "row-7", "row-8", "row-9"},
		[]string{"dfetch", "dfetch-bfs", "dfetch-allstats"},
	},
	"index":     {"file", []string{"disk", "model"}, []string{"dfetch", "sequential", "naive"}},
	"neighbour": {"tree", []string{"cold"}, []string{"dfetch", "alone"}},
	"hash":      {"file", []string{"cached"}, []string{"dfetch"}},
	"plan":      {"made-up", []string{"million"}, []string{"dfetch"}},
}

// kinds of data, and the states besides similar-N that a receiver of each can be in.
var kinds = map[string][]string{
	"file":   {"empty", "right", "sibling", "useless"},
	"sparse": {"empty", "right", "sibling", "useless"},
	"tree":   {"empty", "moved", "right", "sibling", "useless"},
	"pair":   {"empty", "previous", "previous-sibling", "right"},
}

// pairForms is how each family's pairs of releases are written.
var pairForms = map[string]string{"npm": "npm:PACKAGE@OLD..NEW", "go": "go:OLD..NEW", "deb": "deb:PACKAGE"}

// kindOf is the kind of a transfer's data. The error lists what there is.
func kindOf(data string) (string, error) {
	family, what, pair := strings.Cut(data, ":")
	if _, ok := pairForms[family]; pair && ok && wellFormed(family, what) {
		return "pair", nil
	}
	if _, ok := kinds[data]; ok && data != "pair" {
		return data, nil
	}
	return "", fmt.Errorf("%q: want file, sparse, tree, %s, %s or %s", data, pairForms["npm"], pairForms["go"], pairForms["deb"])
}

// wellFormed tells whether what follows a family's colon is as its form says.
func wellFormed(family, what string) bool {
	name, versions, named := strings.Cut(what, "@")
	if family == "deb" {
		return name != "" && !named
	}
	if !named {
		name, versions = "", what
	}
	older, newer, both := strings.Cut(versions, "..")
	return both && older != "" && newer != "" && (family == "npm") == (name != "")
}

// checkState tells whether a receiver of this kind of data can be in a state, which may be several by +.
func checkState(kind, state string) error {
	for _, one := range strings.Split(state, "+") {
		if slices.Contains(kinds[kind], one) || kind != "pair" && isSimilar(one) {
			continue
		}
		others := ""
		if kind != "pair" {
			others = ", similar-1 to similar-99, with -clustered or without"
		}
		return fmt.Errorf("%q: want, for a %s, %s%s", one, kind, strings.Join(kinds[kind], ", "), others)
	}
	return nil
}

// isSimilar tells whether a state is similar-N or similar-N-clustered.
func isSimilar(state string) bool {
	text, ok := strings.CutPrefix(state, "similar-")
	text, _ = strings.CutSuffix(text, "-clustered")
	n, err := strconv.Atoi(text)
	return ok && err == nil && n >= 1 && n <= 99 && strconv.Itoa(n) == text
}

// oneOf tells whether a name is one of the allowed.
func oneOf(name string, allowed []string) error {
	if slices.Contains(allowed, name) {
		return nil
	}
	return fmt.Errorf("%q: want %s", name, strings.Join(allowed, ", "))
}
