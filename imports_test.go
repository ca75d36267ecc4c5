package dfetch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path that our own imports start with.
const module = "dfetch"

// everything stands for all rooms.
const everything = "*"

// rooms lists for each folder of ours what it may import of the others. A folder that is not listed
// belongs to the closest listed one above it, and may import that one's other folders.
var rooms = map[string][]string{
	".":                  {},
	"cmd/dfetch":         {everything},
	"recipe":             {},
	"costmodel":          {},
	"backpressure":       {},
	"diskscan":           {"recipe", "diskscan/lsm"},
	"diskscan/lsm":       {},
	"diskscan/watch":     {"diskscan"},
	"sources":            {"recipe"},
	"sources/sourcetest": {"recipe", "sources"},
	"sources/wire":       {"recipe"},
	"sources/sender":     {"recipe", "sources", "sources/wire"},
	"sources/bulk":       {"recipe", "sources", "sources/wire"},
	"sources/swarm":      {"recipe", "sources", "sources/wire"},
	"sources/web":        {"recipe", "sources"},
	"tree":               {"recipe"},
	"fetch": {
		"recipe", "costmodel", "backpressure", "diskscan", "tree",
		"sources", "sources/wire", "sources/sender", "sources/bulk", "sources/swarm", "sources/web",
	},
	"eval": {everything},
}

// testOnly is what the tests of every room may import besides.
var testOnly = []string{"sources/sourcetest"}

// pureFiles are the patterns of files that decide and do nothing else.
var pureFiles = []string{"costmodel/*.go", "costmodel/*/*.go", "fetch/core*.go", "backpressure/core*.go", "diskscan/watch/queue.go"}

// impureImports may not be imported by a pure file, nor may what lies below them.
var impureImports = []string{"net", "os", "syscall", "golang.org/x/sys", "golang.org/x/net"}

// clockFunctions of package time read the clock or wait for it.
var clockFunctions = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// seededRandom is what a pure file may use of math/rand: what takes a seed. All the rest is global.
var seededRandom = []string{"New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8", "Rand", "Source", "Source64", "Zipf", "PCG", "ChaCha8"}

// emptyNames are names of packages that answer no question.
var emptyNames = []string{"util", "utils", "common", "helpers", "helper", "misc", "types"}

func TestImports(t *testing.T) {
	for name, file := range sourceFiles(t) {
		for _, problem := range checkImports(name, file) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func TestPureFiles(t *testing.T) {
	for name, file := range sourceFiles(t) {
		if !isPure(name) {
			continue
		}
		for _, problem := range checkPure(file) {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func TestPackagesHaveNamesAndComments(t *testing.T) {
	packages := map[string][]*ast.File{}
	for name, file := range sourceFiles(t) {
		if !strings.HasSuffix(name, "_test.go") {
			packages[path.Dir(name)] = append(packages[path.Dir(name)], file)
		}
	}
	for dir, files := range packages {
		for _, problem := range checkPackage(dir, files) {
			t.Errorf("%s: %s", dir, problem)
		}
	}
}

// The checks see what they are there for.
func TestChecksFindProblems(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		want         string // part of the only problem; empty for none
		packageToo   bool   // check the package's name and comment as well
	}{
		{name: "recipe/a.go", source: `package recipe; import _ "dfetch/tree"`, want: "may not import tree"},
		{name: "tree/a.go", source: `package tree; import _ "dfetch/recipe"`},
		{name: "tree/a.go", source: `package tree; import _ "dfetch/sources/sourcetest"`, want: "may not import sources/sourcetest"},
		{name: "sources/sender/a_test.go", source: `package sender; import _ "dfetch/sources/sourcetest"`},
		{name: "sources/bulk/congestion/a.go", source: `package congestion; import _ "dfetch/sources/bulk"`},
		{name: "sources/bulk/a.go", source: `package bulk; import _ "dfetch/sources/bulk/congestion"`},
		{name: "sources/bulk/a.go", source: `package bulk; import _ "dfetch/sources/sender"`, want: "may not import sources/sender"},
		{name: "fetch/a.go", source: `package fetch; import _ "dfetch/cmd/dfetch"`, want: "may not import cmd/dfetch"},
		{name: "cmd/dfetch/a.go", source: `package main; import _ "dfetch/fetch"`},
		{name: "cellar/a.go", source: `package cellar`, want: "folder is not in the table"},
		{name: "costmodel/a.go", source: `package costmodel; import _ "net/netip"`, want: "may not import net/netip"},
		{name: "costmodel/a.go", source: `package costmodel; import _ "golang.org/x/sys/unix"`, want: "may not import golang.org/x/sys/unix"},
		{name: "costmodel/a.go", source: `package costmodel; import _ "network"`},
		{name: "fetch/core.go", source: `package fetch; import "time"; var a = time.Now`, want: "uses time.Now"},
		{name: "fetch/core_state.go", source: `package fetch; import clock "time"; var a = clock.Since`, want: "uses time.Since"},
		{name: "fetch/core.go", source: `package fetch; import "time"; var a time.Duration`},
		{name: "fetch/loop.go", source: `package fetch; import "time"; var a = time.Now`},
		{name: "fetch/core_test.go", source: `package fetch; import "time"; var a = time.Now`},
		{name: "backpressure/core.go", source: `package backpressure; import "math/rand/v2"; var a = rand.IntN(3)`, want: "uses math/rand/v2.IntN"},
		{name: "backpressure/core.go", source: `package backpressure; import "math/rand/v2"; var a = rand.New(rand.NewPCG(1, 2))`},
		{name: "costmodel/a.go", source: `package costmodel; import . "time"`, want: "may not import time into its own names"},
		{name: "tree/util/a.go", source: "// Package util is one.\npackage util", want: "name answers no question", packageToo: true},
		{name: "tree/a.go", source: "// Package tree is one.\npackage tree", packageToo: true},
		{name: "tree/a.go", source: `package tree`, want: "no package comment", packageToo: true},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), tt.name, tt.source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		problems := checkImports(tt.name, file)
		if isPure(tt.name) {
			problems = append(problems, checkPure(file)...)
		}
		if tt.packageToo {
			problems = append(problems, checkPackage(path.Dir(tt.name), []*ast.File{file})...)
		}
		switch {
		case tt.want == "" && len(problems) > 0:
			t.Errorf("%s: %s: unexpected %q", tt.name, tt.source, problems)
		case tt.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], tt.want)):
			t.Errorf("%s: %s: got %q, want %q", tt.name, tt.source, problems, tt.want)
		}
	}
}

// sourceFiles parses every Go file of this module, by slash path below the root.
func sourceFiles(t *testing.T) map[string]*ast.File {
	files := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(name) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		files[filepath.ToSlash(name)] = file
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go files found")
	}
	return files
}

// skipDir tells folders that the go command ignores, and modules inside this one.
func skipDir(name string) bool {
	base := filepath.Base(name)
	if name == "." {
		return false
	}
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

// checkImports holds a file's imports against the table.
func checkImports(name string, file *ast.File) (problems []string) {
	room, ok := roomOf(path.Dir(name))
	if !ok {
		return []string{"folder is not in the table of imports_test.go"}
	}
	allowed := rooms[room]
	if strings.HasSuffix(name, "_test.go") {
		allowed = append(slices.Clone(allowed), testOnly...)
	}
	for _, spec := range file.Imports {
		target, ours := ownImport(spec)
		if !ours {
			continue
		}
		targetRoom, known := roomOf(target)
		if known && (targetRoom == room || slices.Contains(allowed, targetRoom) || slices.Contains(allowed, everything)) {
			continue
		}
		problems = append(problems, fmt.Sprintf("%s may not import %s", room, target))
	}
	return problems
}

// roomOf returns the listed folder that dir belongs to.
func roomOf(dir string) (string, bool) {
	for room := dir; room != "." && room != "/"; room = path.Dir(room) {
		if _, ok := rooms[room]; ok {
			return room, true
		}
	}
	return ".", dir == "."
}

// ownImport returns the folder that an import names, if it is one of ours.
func ownImport(spec *ast.ImportSpec) (string, bool) {
	return strings.CutPrefix(importPath(spec), module+"/")
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has checked it
	}
	return p
}

// isPure tells files of pureFiles; tests may do what they like.
func isPure(name string) bool {
	if strings.HasSuffix(name, "_test.go") {
		return false
	}
	return slices.ContainsFunc(pureFiles, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// checkPure looks for ways out of a pure file: sockets, files, the clock, unseeded randomness.
func checkPure(file *ast.File) (problems []string) {
	names := map[string]string{} // of an import in this file → its path
	for _, spec := range file.Imports {
		p := importPath(spec)
		if below(p, impureImports) {
			problems = append(problems, "a pure file may not import "+p)
		}
		names[localName(spec)] = p
	}
	if p, ok := names["."]; ok {
		problems = append(problems, fmt.Sprintf("a pure file may not import %s into its own names", p))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && isImpureUse(names[x.Name], s.Sel.Name) {
				problems = append(problems, fmt.Sprintf("a pure file uses %s.%s", names[x.Name], s.Sel.Name))
			}
		}
		return true
	})
	return problems
}

// isImpureUse tells whether a name of an imported package reads the clock or is random without a seed.
func isImpureUse(importPath, name string) bool {
	switch importPath {
	case "time":
		return slices.Contains(clockFunctions, name)
	case "math/rand", "math/rand/v2":
		return !slices.Contains(seededRandom, name)
	}
	return false
}

// below tells whether p is one of roots or lies below one.
func below(p string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return p == root || strings.HasPrefix(p, root+"/")
	})
}

// localName returns the name that an import has in its file.
func localName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	p := importPath(spec)
	if p == "math/rand/v2" {
		return "rand"
	}
	return path.Base(p)
}

// checkPackage wants a package to say what it is, in its name and its comment.
func checkPackage(dir string, files []*ast.File) (problems []string) {
	if slices.Contains(emptyNames, path.Base(dir)) || slices.Contains(emptyNames, files[0].Name.Name) {
		problems = append(problems, "the package's name answers no question")
	}
	if !slices.ContainsFunc(files, func(f *ast.File) bool { return f.Doc != nil }) {
		problems = append(problems, "no package comment")
	}
	return problems
}
