package fetch

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	for _, c := range []struct {
		rules string // + include, - exclude
		path  string
		want  bool
	}{
		{"", "a/b.c", true},
		{"-*.o", "a/b.o", false},
		{"-*.o", "a/b.c", true},
		{"-/b.o", "a/b.o", true},
		{"-/a/b.o", "a/b.o", false},
		{"-a/b.o", "x/a/b.o", false},
		{"-b?.o", "a/bc.o", false},
		{"-b?.o", "a/b/.o", true},
		{"-/a/**/z", "a/b/c/z", false},
		{"-/a/*/z", "a/b/c/z", true},
		{"+keep.o -*.o", "a/keep.o", true},
		{"-*.o +keep.o", "a/keep.o", false},
		{"-cache/", "a/cache/", false},
		{"-cache/", "a/cache", true},
		{"-[ab].c", "b.c", false},
	} {
		var s Selection
		for _, r := range strings.Fields(c.rules) {
			s.Rules = append(s.Rules, Rule{Include: r[0] == '+', Pattern: r[1:]})
		}
		p, dir := strings.CutSuffix(c.path, "/")
		if got := s.Wants(p, dir); got != c.want {
			t.Errorf("rules %q, path %q: wanted %v", c.rules, c.path, got)
		}
	}
}

func TestRuleThatIsNone(t *testing.T) {
	for _, p := range []string{"", "[a", "a{b"} {
		if (&Selection{Rules: []Rule{{Pattern: p}}}).Validate() == nil {
			t.Errorf("pattern %q was taken", p)
		}
	}
}

func TestOnly(t *testing.T) {
	only, err := ReadOnly(strings.NewReader("# list\na/b\n\n/c/\nd/../e\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := Selection{Only: only}
	for path, want := range map[string]bool{
		"a": true, "a/b": true, "a/b/deep/er": true, "a/x": false, "c": true, "c/x": true, "d": false, "e": true, "b": false,
	} {
		if got := s.Wants(path, true); got != want {
			t.Errorf("%s: wanted %v", path, got)
		}
	}
	if !s.protects("a/x/y", false) || s.protects("a/b/y", false) {
		t.Error("deletes would touch the wrong paths")
	}
}
