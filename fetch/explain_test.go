package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfetch/diskscan"
)

// accounted fails unless an explanation accounts for all bytes of its file.
func accounted(t *testing.T, x Explanation) {
	t.Helper()
	var sum uint64
	for _, o := range x.From {
		sum += o.Bytes
	}
	if sum != x.Bytes {
		t.Errorf("%s: %d of %d bytes are explained: %+v", x.Path, sum, x.Bytes, x.From)
	}
}

// TestOriginsAddUp: for each file that is asked for, the origins account for all of it and name the places.
func TestOriginsAddUp(t *testing.T) {
	src, home := t.TempDir(), t.TempDir()
	sizes := map[string]int{"d/same": 90_000, "d/old": 400_000, "d/new": 60_000, "tiny": 20, "not-asked": 5000}
	writeTree(t, src, 1, sizes)
	copies := filepath.Join(src, "d/twin")
	data, err := os.ReadFile(filepath.Join(src, "d/new"))
	if err := errors.Join(err, os.WriteFile(copies, data, 0o644)); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(home, "tree")
	writeTree(t, dst, 1, map[string]int{"d/same": 90_000})
	writeTree(t, filepath.Join(home, "elsewhere"), 1, map[string]int{"d/old": 400_000})
	if err := errors.Join(os.Chmod(home, 0o755), os.Rename(filepath.Join(home, "elsewhere/d/old"), filepath.Join(home, "elsewhere/d/other"))); err != nil {
		t.Fatal(err)
	}
	s := serveTree(t, src, 0)
	r := run(t, Config{
		Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, MaxRate: 2e5, Search: SearchConfig{NoPressure: true}, Explain: []string{"d/", "/tiny"},
	})
	got := map[string]Explanation{}
	for _, x := range r.Explained {
		accounted(t, x)
		got[x.Path] = x
	}
	if len(got) != 5 {
		t.Errorf("explained: %+v", r.Explained)
	}
	for path, want := range map[string]Origin{
		"d/same": {Source: "dest", How: "right by size"},
		"d/old":  {Source: "disk", Where: filepath.Join(home, "elsewhere/d/other"), How: "another name"},
		"d/new":  {Source: "sender", Where: s.ep.Addrs[0]},
		"d/twin": {Source: "sender", How: "same chunk as d/new"},
		"tiny":   {Source: "sender", How: "recipe"},
	} {
		from := got[path].From
		if len(from) == 0 || from[0].Source != want.Source || !strings.Contains(from[0].Where, want.Where) || !strings.Contains(from[0].How, want.How) {
			t.Errorf("%s: %+v, want %+v", path, from, want)
		}
	}
	if !strings.Contains(got["d/new"].Why, "not found") || got["d/same"].Why != "" {
		t.Errorf("why: %q, %q", got["d/new"].Why, got["d/same"].Why)
	}
}

// TestExplanationsAreBounded: neither many files nor many places take more than so much memory.
func TestExplanationsAreBounded(t *testing.T) {
	e := &explainer{}
	e.ask([]string{"."})
	for i := range maxExplained + 5 {
		e.open(fmt.Sprint("f", i), 1)
	}
	if len(e.files) != maxExplained || e.more != 5 {
		t.Errorf("%d files remembered, %d not", len(e.files), e.more)
	}
	o := e.open("f0", 1)
	for i := range 10 * maxOrigins {
		o.add(Origin{Source: "disk", Where: fmt.Sprint(i), Bytes: 1})
	}
	if len(o.from) != maxOrigins+1 || o.from[maxOrigins].Bytes != 9*maxOrigins {
		t.Errorf("%d places, the last is %+v", len(o.from), o.from[len(o.from)-1])
	}
	if (&explainer{}).open("f", 1) != nil || (*explainer)(nil).open("f", 1) != nil {
		t.Error("a file that nobody asks for is remembered")
	}
}

// TestAskedPaths: a path as users write it asks for the file there and for all below it.
func TestAskedPaths(t *testing.T) {
	for asked, want := range map[string]string{
		".": "a/b a/c ab", "/": "a/b a/c ab", "a/": "a/b a/c", "./a": "a/b a/c", "/a/b": "a/b", "a//c/": "a/c", "b": "",
	} {
		e := &explainer{}
		e.ask([]string{asked})
		var got []string
		for _, path := range []string{"a/b", "a/c", "ab"} {
			if e.asks(path) {
				got = append(got, path)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q asks for %q, want %q", asked, got, want)
		}
	}
}

// TestUnexplainedAreCountedOnce: a dry run that searches says how many files there are beyond those that it explains.
func TestUnexplainedAreCountedOnce(t *testing.T) {
	src, sizes := t.TempDir(), map[string]int{}
	for i := range maxExplained + 3 {
		sizes[fmt.Sprintf("%04d", i)] = 3000
	}
	writeTree(t, src, 1, sizes)
	s := serveTree(t, src, 0)
	p, err := DryRun(t.Context(), Config{
		Recipe: s.file.ID(), Local: s.file, Dest: filepath.Join(t.TempDir(), "tree"), Search: SearchConfig{NoPressure: true}, Explain: []string{"."},
	})
	if err != nil || len(p.Explained) != maxExplained || p.Unexplained != 3 {
		t.Errorf("%d explained, %d not: %v", len(p.Explained), p.Unexplained, err)
	}
}

// TestLikeness: what made a file worth looking at is told by its place and name.
func TestLikeness(t *testing.T) {
	for found, want := range map[string]string{
		"/a/b/c": "what stood there before", "/a/b/d": "in the same directory", "/x/c": "same name", "/x/y": "another name, elsewhere",
	} {
		if got := fromDisk(&diskscan.Found{}, false, found, "/a/b/c").How; got != "hashed: "+want {
			t.Errorf("%s: %q, want %q", found, got, want)
		}
	}
}

// TestPlanIsRehearsed: a dry run says what the disk and the network would bring, and changes nothing.
func TestPlanIsRehearsed(t *testing.T) {
	src, home := t.TempDir(), t.TempDir()
	writeTree(t, src, 1, map[string]int{"d/old": 900_000, "d/new": 100_000, "same": 5000})
	dst := filepath.Join(home, "tree")
	writeTree(t, dst, 1, map[string]int{"same": 5000, "extra/deep/file": 10})
	writeTree(t, filepath.Join(home, "copy"), 1, map[string]int{"d/old": 900_000})
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serveTree(t, src, 0)
	cfg := Config{Recipe: s.file.ID(), Endpoints: []Endpoint{s.ep}, Dest: dst, Delete: true, Search: SearchConfig{NoPressure: true}, Explain: []string{"."}}
	p, err := DryRun(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]uint64{p.Sources["dest"].Bytes, p.Sources["disk"].Bytes, p.Sources["sender"].Bytes}; got != [3]uint64{5000, 900_000, 100_000} {
		t.Errorf("dest, disk, sender: %v", got)
	}
	if p.Rate <= 0 || p.Sources["sender"].Seconds <= 0 || p.Search == nil || !p.Search.Ended || len(p.Search.Roots) != 2 {
		t.Errorf("plan: %+v, search %+v", p, p.Search)
	}
	if fmt.Sprint(p.Deletes) != "[extra/deep/file extra/deep extra]" || p.DeleteCount != 3 {
		t.Errorf("deletes: %q", p.Deletes)
	}
	if len(p.Explained) != 3 {
		t.Errorf("explained: %+v", p.Explained)
	}
	for _, x := range p.Explained {
		accounted(t, x)
	}
	if names, err := os.ReadDir(dst); err != nil || len(names) != 2 {
		t.Errorf("the destination was changed: %v, %v", names, err)
	}
	cfg.Search.Off, cfg.Endpoints, cfg.Local = true, []Endpoint{{Addrs: []string{"127.0.0.1:1"}, Pin: s.ep.Pin}}, s.file
	if p, err = DryRun(t.Context(), cfg); err != nil || p.Rate != 0 {
		t.Errorf("with a sender that is down: %+v, %v", p, err)
	}
	cfg.Endpoints = nil
	if p, err = DryRun(t.Context(), cfg); err != nil || p.Search != nil || p.Rate != 0 || p.Sources["sender"].Bytes != 1_000_000 {
		t.Errorf("without senders and search: %+v, %v", p, err)
	}
}
