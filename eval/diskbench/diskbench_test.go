package diskbench

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dfetch/costmodel/homes"
	"dfetch/eval/dataset"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench makes a Bench without programs.
func bench(t *testing.T) *Bench {
	t.Helper()
	return &Bench{Store: &dataset.Store{Dir: t.TempDir()}, Work: t.TempDir(), Dfetch: "/does/not/exist", Lab: "/does/not/exist"}
}

// measure runs the first cell of a scenario.
func measure(t *testing.T, b *Bench, text string) (result.Result, error) {
	t.Helper()
	return measureFirst(t, b, parse(t, text))
}

func parse(t *testing.T, text string) *scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Parse("test", "title = t\nsuites = x\nbox = 60s\n"+text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func measureFirst(t *testing.T, b *Bench, s *scenarios.Scenario) (result.Result, error) {
	t.Helper()
	r := result.Result{Outcome: result.OK}
	err := b.Run(t.Context(), s.Groups()[0][0], &r)
	left, globErr := filepath.Glob(filepath.Join(b.Work, "*"))
	if globErr != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, globErr)
	}
	return r, err
}

// The search of a small home finds the useful file of rows that end by themselves and of one that does not, and leaves
// the home as it was.
func TestSearch(t *testing.T) {
	b := bench(t)
	b.Dfetch = filepath.Join(t.TempDir(), "dfetch")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", b.Dfetch, "dfetch/cmd/dfetch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const size = "data = home\nsize = 600x170KB\nbench = search\n"
	for _, cell := range []string{"state = row-4\npeer = dfetch", "state = row-9\npeer = dfetch-bfs", "state = row-8\npeer = dfetch"} {
		r, err := measure(t, b, size+cell)
		if err != nil || r.Outcome != result.OK {
			t.Fatalf("%s: %v, %s", cell, err, r.Reason)
		}
		if f := r.Figures; r.Seconds <= 0 || f["hashed"] < 1 || f["hashed-MB"] < 12 || f["hashed-MB"] > 400 || f["dirs-%"] > 100 || f["of-paper"] <= 0 {
			t.Errorf("%s: %.3f s, %v", cell, r.Seconds, f)
		}
	}
	var names []string
	err := filepath.WalkDir(filepath.Join(b.Store.Dir, "home-600"), func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			names = append(names, d.Name())
		}
		return err
	})
	if err != nil || len(names) != 610 || slices.Contains(names, "diff") {
		t.Errorf("the home has %d files, want 610; %v", len(names), err)
	}
	other := parse(t, size+"state = row-1\npeer = dfetch")
	other.States = []string{"row-10"} // which no file can name
	if _, err := measureFirst(t, b, other); !errors.As(err, &result.Missing{}) {
		t.Errorf("a row that is not there: %v", err)
	}
}

func TestReadHunt(t *testing.T) {
	const trace = `{"v":1,"config":{}}
{"at":1,"next":true,"act":[{"k":"stat"}]}
{"at":2,"ev":{"k":"stated","ff":5,"files":[{"n":"x","s":100},{"n":"a.out","s":10000000}]}}
{"at":3,"next":true,"act":[{"k":"stat","id":1},{"k":"hash","id":5}]}
{"at":4,"ev":{"k":"hashed","id":5,"units":100,"failed":true}}
{"at":5,"next":true,"act":[{"k":"hash","id":6},{"k":"stat","id":2}]}
{"at":6,"ev":{"k":"hashed","id":6,"units":8388608,"found":3}}
{"at":7,"next":true,"act":[{"k":"hash","id":6,"off":8388608},{"k":"stat","id":3}]}
{"at":8,"ev":{"k":"hashed","id":6,"failed":true}}
{"at":9,"next":true,"act":[{"k":"stat","id":4}]}
`
	h, err := readHunt(strings.NewReader(trace))
	if err != nil || !h.found || h.stats != 2 || h.beside != 2 || len(h.hashed) != 2 || h.bytes() != 10_000_100 || h.at != 8 || h.end != 9 {
		t.Errorf("%+v, %v", h, err)
	}
	if h, err := readHunt(strings.NewReader(trace[:strings.Index(trace, `{"at":8`)])); err != nil || !h.found || h.bytes() != 10_000_100 || h.at != 6 {
		t.Errorf("the transfer was complete before the last slice was told: %+v, %v", h, err)
	}
	if h, err := readHunt(strings.NewReader(trace[:strings.Index(trace, `{"at":6`)])); err != nil || h.found {
		t.Errorf("nothing was found: %+v, %v", h, err)
	}
	if _, err := readHunt(strings.NewReader(trace[:100])); err == nil {
		t.Error("a trace that was cut short is read")
	}
}

func TestWatcher(t *testing.T) {
	w := &watcher{found: make(chan struct{})}
	for _, text := range []string{"{\"event\":\"note\"}\n{\"sources\":{\"di", "sk\":{\"bytes\":0}}}\n", "junk\n", "{\"sources\":{\"disk\":{\"bytes\":7}}}"} {
		if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	select {
	case <-w.found:
		t.Error("told before the line was whole")
	default:
	}
	if _, err := w.Write([]byte("\nmore\n")); err != nil {
		t.Fatal(err)
	}
	<-w.found
}

func TestUsefulContentIsSimilarInPart(t *testing.T) {
	same, want := 0, wanted()
	row := homes.Table3()[1]
	got := usefulContent(row)
	for i := range want {
		if got[i] == want[i] {
			same++
		}
	}
	if share := 100 * same / len(want); share < row.Similar-1 || share > row.Similar+2 || int64(len(got)) != row.Useful.Size {
		t.Errorf("%d %% of %d bytes are wanted, want %d %% of %d", share, len(got), row.Similar, row.Useful.Size)
	}
}

func TestModelCharges(t *testing.T) {
	m := newModel()
	second := int64(modelRate)
	m.access(7, 0, second)
	m.access(7, second, second) // goes on
	if m.elapsed != modelSeek+2*time.Second {
		t.Errorf("two reads in a row take %v", m.elapsed)
	}
	m.disturb()
	m.access(7, 2*second, 0)
	m.access(8, 2*second, 0)
	if m.elapsed != 3*modelSeek+2*time.Second {
		t.Errorf("two reads elsewhere: %v", m.elapsed)
	}
	m.save(second / 100)
	if got := m.took(); got != 4*modelSeek+2*time.Second+10*time.Millisecond {
		t.Errorf("what was saved is written in the end: %v", got)
	}
}

// Reading by runs pays for few seeks, reading chunk after chunk for one each.
func TestIndexOnTheModel(t *testing.T) {
	b := bench(t)
	const cell = "data = file\nsize = 20MB\nstate = model\nbench = index\npeer = "
	runs, err := measure(t, b, cell+"dfetch")
	if err != nil {
		t.Fatal(err)
	}
	naive, err := measure(t, b, cell+"naive")
	if err != nil {
		t.Fatal(err)
	}
	transfer := 2 * 20e6 / modelRate // read and written
	if runs.Seconds < transfer || runs.Seconds > transfer+20*modelSeek.Seconds() {
		t.Errorf("runs take %.3f s, want %.3f and a few seeks", runs.Seconds, transfer)
	}
	if chunks := (naive.Seconds - transfer) / modelSeek.Seconds(); chunks < 600 || chunks > 2500 {
		t.Errorf("one after the other takes %.0f seeks, want one for each of some 1200 chunks", chunks)
	}
}

func TestHash(t *testing.T) {
	r, err := measure(t, bench(t), "data = file\nsize = 3MB\nstate = cached\npeer = dfetch\nbench = hash")
	if err != nil || r.Bytes%3e6 != 0 || r.Bytes == 0 || r.Seconds <= 0 || r.Figures["MB-a-cpu-s"] <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPlan(t *testing.T) {
	r, err := measure(t, bench(t), "data = made-up\nsize = 5000x160KiB\nstate = million\npeer = dfetch\nbench = plan")
	if f := r.Figures; err != nil || f["MB"] <= 0 || f["plan-%"] <= 0 || f["µs-an-op"] <= 0 {
		t.Errorf("%v, %v", r.Figures, err)
	}
}

func TestCopyAndHash(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := os.WriteFile(from, wanted()[:3<<20+5], 0o644); err != nil {
		t.Fatal(err)
	}
	a, err := CopyAndHash(from, to)
	if err != nil {
		t.Fatal(err)
	}
	b, err := CopyAndHash(to, from+"2")
	if err != nil || len(a) != 32 || !slices.Equal(a, b) {
		t.Errorf("%x and %x, %v", a, b, err)
	}
}

func TestProbeRefusesWhatIsTooSmall(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Probe(name); err == nil {
		t.Error("one byte is probed")
	}
}
