package recipe

import (
	"math"
	"strings"
	"testing"
)

// TestEntryRules has entries that are just allowed, and what makes each of them one that is not.
func TestEntryRules(t *testing.T) {
	file := func() Entry { return Entry{Name: "f", Type: TypeFile, Size: 3, Inline: []byte("abc")} }
	dir := func() Entry {
		return Entry{Name: "d", Type: TypeDir, Dir: NodeRef{ID: ID{1}, RawLen: 10, Entries: 1, Bytes: 5, Chunks: 5}}
	}
	hardlink := func() Entry { return Entry{Name: "h", Type: TypeHardlink, Target: "a/b"} }
	sum := func(alg string) Digest { return Digest{Alg: alg, Sum: make([]byte, digestLen(alg))} }
	for name, c := range map[string]struct {
		entry  Entry
		change func(e *Entry)
	}{
		"owner of a hardlink":        {hardlink(), func(e *Entry) { e.UID = 1 }},
		"attributes of a hardlink":   {hardlink(), func(e *Entry) { e.Xattrs = ID{1} }},
		"time of a hardlink":         {hardlink(), func(e *Entry) { e.MTime = 1 }},
		"NUL in a user name":         {file(), func(e *Entry) { e.User = "a\x00" }},
		"NUL in a group name":        {file(), func(e *Entry) { e.Group = "a\x00" }},
		"chunks of an inline file":   {file(), func(e *Entry) { e.Content.Refs = []Ref{{ID: ID{1}, Bytes: 3, Chunks: 1}} }},
		"level of an inline file":    {file(), func(e *Entry) { e.Content.Level = 1 }},
		"other bytes than its size":  {file(), func(e *Entry) { e.Size++ }},
		"a digest twice":             {file(), func(e *Entry) { e.Digests = []Digest{sum("md5"), sum("md5")} }},
		"digests out of order":       {file(), func(e *Entry) { e.Digests = []Digest{sum("sha1"), sum("md5")} }},
		"directory node of no bytes": {dir(), func(e *Entry) { e.Dir.RawLen = 0 }},
		"more entries than count":    {dir(), func(e *Entry) { e.Dir.Entries = math.MaxInt64 }},
		"more chunks than bytes":     {dir(), func(e *Entry) { e.Dir.Chunks++ }},
	} {
		e := c.entry
		if err := checkEntry(&e, MaskFull, false); err != nil {
			t.Errorf("%s: without it: %v", name, err)
		}
		if c.change(&e); checkEntry(&e, MaskFull, false) == nil {
			t.Errorf("%s is allowed", name)
		}
	}
}

// A path may be as long as MaxPath and as deep as MaxDepth.
func TestLongestPath(t *testing.T) {
	long := strings.Repeat(strings.Repeat("n", MaxName)+"/", MaxPath/(MaxName+1)-1)
	long += strings.Repeat("n", 100) + "/"
	long += strings.Repeat("n", MaxPath-len(long))
	deep := strings.TrimSuffix(strings.Repeat("d/", MaxDepth), "/")
	for path, want := range map[string]bool{long: true, long + "n": false, deep: true, deep + "/d": false} {
		if err := CheckPath(path); (err == nil) != want {
			t.Errorf("%d bytes, %d names: %v", len(path), strings.Count(path, "/")+1, err)
		}
	}
}
