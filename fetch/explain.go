package fetch

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"dfetch/diskscan"
	"dfetch/recipe"
)

// Bounds of what is remembered to be explained.
const (
	maxExplained = 1000 // files
	maxOrigins   = 32   // places that the bytes of one file came from; the rest is one more
)

// Explanation says where the bytes of a file came from.
type Explanation struct {
	Path  string   `json:"path"`
	Bytes uint64   `json:"bytes"` // the file's size
	From  []Origin `json:"from"`
	Why   string   `json:"why,omitempty"` // why bytes crossed the network that this machine might have had
}

// Origin is a place that bytes came from.
type Origin struct {
	Source string `json:"source"`          // as in Report.Sources
	Where  string `json:"where,omitempty"` // the file on this machine, or the peer; empty for the destination itself
	How    string `json:"how"`             // what found them
	Bytes  uint64 `json:"bytes"`
	Chunks uint64 `json:"chunks,omitempty"`
}

// explainer remembers the origins of the files that are asked for. Its zero value is asked for none.
type explainer struct {
	paths []string // clean slash paths below the destination; "." is every file

	mu     sync.Mutex
	files  []*origins // in the order in which they were opened
	byPath map[string]*origins
	more   uint64 // files that were asked for and are not remembered
}

// origins are those of one file. A nil one remembers nothing.
type origins struct {
	e    *explainer
	path string
	size uint64
	from []Origin
}

// open begins a file, or goes on with it; nil if nobody asks for it, or too many are remembered.
func (e *explainer) open(path string, size int64) *origins {
	if e == nil || !e.asks(path) {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if o := e.byPath[path]; o != nil {
		return o
	}
	if len(e.files) >= maxExplained {
		e.more++
		return nil
	}
	o := &origins{e: e, path: path, size: uint64(size)}
	if e.byPath == nil {
		e.byPath = make(map[string]*origins)
	}
	e.files, e.byPath[path] = append(e.files, o), o
	return o
}

// ask says which files are asked for: those at or below the paths, as a user writes them.
func (e *explainer) ask(paths []string) {
	for _, p := range paths {
		if p = strings.Trim(filepath.ToSlash(filepath.Clean(p)), "/"); p == "" {
			p = "."
		}
		e.paths = append(e.paths, p)
	}
}

func (e *explainer) asks(path string) bool {
	return slices.ContainsFunc(e.paths, func(p string) bool { return p == "." || isBelow(path, p) })
}

// isBelow says whether a path is p or lies below it.
func isBelow(path, p string) bool {
	rest, below := strings.CutPrefix(path, p)
	return below && (rest == "" || rest[0] == '/')
}

// add counts bytes of a place.
func (o *origins) add(from Origin) {
	if o == nil || from.Bytes == 0 {
		return
	}
	o.e.mu.Lock()
	defer o.e.mu.Unlock()
	same := func(f Origin) bool { return f.Source == from.Source && f.Where == from.Where && f.How == from.How }
	i := slices.IndexFunc(o.from, same)
	if i < 0 && len(o.from) >= maxOrigins {
		from.Source, from.Where, from.How = "", "", "further places"
		i = slices.IndexFunc(o.from, same)
	}
	if i < 0 {
		o.from = append(o.from, from)
		return
	}
	o.from[i].Bytes += from.Bytes
	o.from[i].Chunks += from.Chunks
}

// comparedFine is how parts of chunks are found.
const comparedFine = "parts of chunks, compared at fine grain"

// brought counts delivered chunks for the files that they serve.
func (e *explainer) brought(got []claimed, from func(path string) Origin) {
	if e == nil || len(e.paths) == 0 {
		return
	}
	for _, c := range got {
		if c.dup {
			continue
		}
		for i, p := range append([]place{c.place}, c.more...) {
			if p.file == nil || p.file.origins == nil {
				continue
			}
			o := from(p.file.path)
			if i > 0 {
				o = Origin{Source: o.Source, Where: o.Where, How: "the same chunk as " + c.file.path}
			}
			o.Bytes, o.Chunks = uint64(c.want.Len-c.own), 1
			p.file.origins.add(o)
			p.file.origins.add(Origin{Source: "disk", How: comparedFine, Bytes: uint64(c.own)})
		}
	}
}

// fromDisk describes a file of this machine as an origin for a wanted one, whose absolute path is given.
func fromDisk(f *diskscan.Found, shared bool, found, wanted string) Origin {
	how := "hashed"
	if f.Indexed {
		how = "by the index, or hashed before"
	}
	if shared {
		how += ", blocks shared"
	}
	return Origin{Source: "disk", Where: found, How: how + ": " + likeness(found, wanted)}
}

// likeness says what made a file of this machine worth looking at for a wanted one.
func likeness(found, wanted string) string {
	sameName := filepath.Base(found) == filepath.Base(wanted)
	sameDir := filepath.Dir(found) == filepath.Dir(wanted)
	switch {
	case sameName && sameDir:
		return "what stood there before"
	case sameDir:
		return "in the same directory"
	case sameName:
		return "same name"
	}
	return "another name, elsewhere"
}

// expect counts what nothing has accounted for as what is to come from the senders.
func (e *explainer) expect(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, o := range e.files {
		rest := o.size
		for _, f := range o.from {
			rest -= min(rest, f.Bytes)
		}
		if rest > 0 {
			o.from = append(o.from, Origin{Source: "sender", How: "expected; " + why, Bytes: rest})
		}
	}
}

// explained sums up what was asked for.
func (e *explainer) explained(why string) []Explanation {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Explanation
	for _, o := range e.files {
		x := Explanation{Path: o.path, Bytes: o.size, From: slices.Clone(o.from)}
		slices.SortStableFunc(x.From, func(a, b Origin) int { return cmp.Compare(b.Bytes, a.Bytes) })
		if slices.ContainsFunc(x.From, func(f Origin) bool { return isNetwork(f.Source) }) {
			x.Why = why
		}
		out = append(out, x)
	}
	return append(out, e.unknown()...)
}

// unknown are the paths that were asked for and name no file.
func (e *explainer) unknown() (out []Explanation) {
	if e.more > 0 {
		return nil // it may be one of those
	}
	for _, p := range e.paths {
		below := func(o *origins) bool { return isBelow(o.path, p) }
		if p != "." && !slices.ContainsFunc(e.files, below) {
			out = append(out, Explanation{Path: p, From: []Origin{}, Why: "is no file of what is fetched"})
		}
	}
	return out
}

func isNetwork(source string) bool { return source != "dest" && source != "disk" && source != "" }

// wholeOrigin is where a file came from that needed no chunks.
func wholeOrigin(e *recipe.Entry) Origin {
	if len(e.Inline) > 0 {
		return Origin{Source: "sender", How: "lies in the recipe", Bytes: uint64(e.Size)}
	}
	return Origin{Source: "dest", How: "right by size and time, or staged whole by an earlier run", Bytes: uint64(e.Size)}
}

func holeOrigin(r recipe.Ref) Origin {
	return Origin{Source: "dest", How: "holes", Bytes: uint64(r.Bytes)}
}
