// Command testreport reads the output of "go test -json" on stdin and tells what a reader wants to know.
//
//  1. One line for each package, when it is done.
//  2. The output of each test that failed, and of each package that did not build.
//  3. Each test that took long, so that slow ones are noticed.
//  4. Each skipped test, with the reason that .ci/allowed-skips gives for it.
//  5. A closing line: how many tests passed, failed and were skipped, subtests included.
//
// It exits with 1 if a test or a build failed, if no test ran, or if a test was skipped that is not on
// the list. It does not guarantee that go test itself succeeded: the caller checks that too.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "file of the tests that may be skipped: lines \"PACKAGE TEST REASON\"")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *skips)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run reports on one test run and tells whether it was good.
func run(in io.Reader, out io.Writer, skipsFile string) (ok bool, err error) {
	allowed, err := readSkips(skipsFile)
	if err != nil {
		return false, err
	}
	r := &report{out: out, allowed: allowed, output: map[test][]string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		r.line(lines.Bytes())
	}
	return r.close(), lines.Err()
}

// test names a test, or with an empty Name a package.
type test struct{ Package, Name string }

// readSkips reads the list of tests that may be skipped. Each needs a reason. Empty lines and lines
// that start with # don't count.
func readSkips(file string) (map[test]string, error) {
	allowed := map[test]string{}
	if file == "" {
		return allowed, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 3 {
			return nil, fmt.Errorf("%s:%d: want PACKAGE TEST REASON", file, n)
		}
		allowed[test{words[0], words[1]}] = strings.Join(words[2:], " ")
	}
	return allowed, nil
}

// slow is when a test is named for its time, in seconds.
const slow = 20

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Elapsed    float64
	Output     string
}

// report is the state of one run.
type report struct {
	out     io.Writer
	allowed map[test]string
	output  map[test][]string // of what is still running

	passed, failed, skipped, broken, forbidden int
}

// line takes one line of input. What is not an event is passed on.
func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		r.printf("%s\n", line)
		return
	}
	of := test{e.Package, e.Test}
	switch e.Action {
	case "output":
		r.output[of] = append(r.output[of], e.Output)
	case "build-output":
		r.printf("%s", e.Output)
	case "build-fail":
		r.broken++
	case "pass", "fail", "skip":
		r.end(of, e)
	}
}

// end takes the end of a test or package.
func (r *report) end(of test, e event) {
	output := r.output[of]
	delete(r.output, of)
	if of.Name != "" && e.Elapsed >= slow {
		r.printf("slow  %s %s  %.1fs\n", of.Package, of.Name, e.Elapsed)
	}
	switch {
	case of.Name == "":
		r.endPackage(of, e, output)
	case e.Action == "pass":
		r.passed++
	case e.Action == "fail":
		r.failed++
		r.printf("%s", strings.Join(output, ""))
	default:
		r.skip(of)
	}
}

// endPackage prints a package's line. A package that failed without a failed test says why in its output.
func (r *report) endPackage(of test, e event, output []string) {
	switch e.Action {
	case "pass":
		r.printf("ok    %s  %.1fs\n", of.Package, e.Elapsed)
	case "fail":
		r.broken++
		r.printf("%sFAIL  %s  %.1fs\n", strings.Join(output, ""), of.Package, e.Elapsed)
	}
}

// skip notes a skipped test and looks for it on the list.
func (r *report) skip(of test) {
	r.skipped++
	reason, ok := r.allowed[of]
	if !ok {
		r.forbidden++
		reason = "NOT ON THE LIST of tests that may be skipped"
	}
	r.printf("skip  %s %s: %s\n", of.Package, of.Name, reason)
}

// close prints the closing line and tells whether all is well.
func (r *report) close() bool {
	for of, output := range r.output { // a test binary that died leaves its tests unfinished
		if of.Name != "" {
			r.broken++
			r.printf("%sunfinished: %s %s\n", strings.Join(output, ""), of.Package, of.Name)
		}
	}
	r.printf("%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.passed > 0 && r.failed == 0 && r.broken == 0 && r.forbidden == 0
}

func (r *report) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(r.out, format, args...)
}
