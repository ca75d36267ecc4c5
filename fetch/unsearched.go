package fetch

import (
	"fmt"
	"strings"
)

// unsearched says what the search left out, each with how often; nothing if it left nothing out. The search has ended. Nothing of it
// tells of the recipe's content: it is in the report, which others may see.
func (t *transfer) unsearched() (out []string) {
	d := t.found
	for _, left := range []struct {
		n    int64
		what string
	}{
		{d.Private, "entries beside the destination that not every user may read, or with a leading dot (--trust-recipe)"},
		{d.Denied, "entries that may not be read"},
		{d.Errors, "entries that could not be read"},
		{d.Abandoned, "operations on disks that did not answer"},
		{t.loop.rec.core.searchDropped(), "directories and files, as there are more than are remembered"},
	} {
		if left.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", left.n, left.what))
		}
	}
	return out
}

// tellUnsearched tells what the search left out, and once what the user can change with one option.
func (t *transfer) tellUnsearched() {
	for _, text := range t.unsearched() {
		t.cfg.detail("not searched: %s", text)
	}
	if n := t.found.Untrusted; n > 0 {
		t.cfg.log("the index knows where %d chunks lie that are read for trusted recipes alone: see --trust-recipe", n)
	}
}

// whyNetwork says why the search of this machine did not bring what the network brought.
func (t *transfer) whyNetwork() string {
	if t.cfg.Search.Off {
		return "this machine was not searched"
	}
	d := t.found
	looked := fmt.Sprintf("%d directories listed, %d pieces of files hashed, %d stretches read that the index named", d.Stat, d.Hash, d.CacheRead)
	if left := t.unsearched(); len(left) > 0 {
		looked += "; not searched: " + strings.Join(left, ", ")
	}
	switch core := t.loop.rec.core; {
	case core.searchRefused():
		return fmt.Sprintf("not found in what was worth looking at beside the network (%s): %s", core.searchReason(), looked)
	case core.searching():
		return "the network brought it before the search came to it: " + looked
	}
	return "not found on this machine, or not before the network brought it: " + looked
}
