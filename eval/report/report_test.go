package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"dfetch/eval/netlab"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func run(group, peer string, o result.Outcome, seconds float64) result.Result {
	return result.Result{
		Cell: group + "/peer=" + peer, Group: group, Peer: peer, Outcome: o, Seconds: seconds, Bytes: 10e6,
		WireDown: 11e6, WireUp: 1e5, Receiver: result.Usage{CPU: 1, PeakBytes: 100 << 20}, Sender: result.Usage{PeakBytes: 50 << 20},
		Where: result.Where{Machine: "M", Kernel: "K", CPUs: 2, Commit: "c"},
	}
}

const (
	empty   = "fig/net=t1/state=empty"
	similar = "fig/net=t1/state=similar-99"
)

// sample has every outcome.
func sample() []result.Result {
	gap := run(empty, "zsync", result.Gap, 0)
	gap.Reason = "zsync is not installed"
	wrong := run(similar, "zsync", result.Wrong, 3)
	wrong.Reason = "a < b & c"
	list := []result.Result{
		run(similar, "dfetch", result.OK, 6), run(similar, "rsync", result.OK, 5), run(similar, "curl", result.TimeBox, 60),
		run(empty, "rsync", result.OK, 12), run(empty, "dfetch", result.OK, 9), run(empty, "dfetch", result.OK, 11),
		run(empty, "curl", result.OK, 8), gap, wrong,
	}
	for _, size := range []string{"1MB", "10MB", "100MB"} {
		list = append(list, run("sizes/net=lan/state=empty/size="+size, "dfetch", result.OK, 2))
	}
	told := run("time/net=t1/state=empty", "dfetch", result.OK, 10)
	for i := range 11 {
		told.Timeline = append(told.Timeline, result.Point{T: float64(i), Sources: map[string]int64{"disk": int64(min(i, 5)) * 1e6, "sender": int64(i) * 1e6}})
	}
	return append(list, told)
}

// Two groups have their timelines apart, and the one without a mark of its own has a dash for a label.
func TestTimelinesOfTwoGroups(t *testing.T) {
	var list []result.Result
	for _, group := range []string{"time/net=t1", "time/net=t1/disk-limit=70MB"} {
		r := run(group, "dfetch", result.OK, 10)
		for i := range 11 {
			r.Timeline = append(r.Timeline, result.Point{T: float64(i), Sources: map[string]int64{"sender": int64(i) * 1e6}})
		}
		list = append(list, r)
	}
	sec := New(list, nil).Sections[0]
	var names []string
	for _, f := range sec.Figures {
		names = append(names, f.Name)
	}
	if !slices.Equal(names, []string{"time", "time-plain-dfetch", "time-70MB-dfetch"}) || sec.Times.rows[0][0] != "–" {
		t.Errorf("figures %v, rows %v", names, sec.Times.rows)
	}
}

// Goals about bytes on the wire and about other figures.
func TestFiguresOfClaims(t *testing.T) {
	a, b := run("x/net=t1/state=empty", "dfetch", result.OK, 1), run("x/net=t1/state=right", "rsync", result.OK, 1)
	a.WireDown, a.Figures = 22e6, map[string]float64{"share": 3.5}
	s, err := scenarios.Parse("x", "title = t\nsuites = s\ndata = file\nsize = 1MB\nstate = empty right\nnet = t1\npeer = dfetch rsync\n"+
		"goal = bytes | <= 2.0 | wire-ratio dfetch,state=empty / rsync,state=right @ any\n"+
		"goal = share | <= 3 | figure:share dfetch @ any\ngoal = none | <= 3 | figure:other dfetch @ any",
		map[string]netlab.Settings{"t1": {}})
	if err != nil {
		t.Fatal(err)
	}
	sec := New([]result.Result{a, b}, []*scenarios.Scenario{s}).Sections[0]
	var got []string
	for _, row := range sec.Goals.rows {
		got = append(got, row[2]+" "+row[3])
	}
	if !slices.Equal(got, []string{"1.99 reached", "3.50 missed", "not measured "}) {
		t.Errorf("%q", got)
	}
	if want := []string{"empty", "dfetch", "3.50"}; !slices.Equal(sec.More.rows[0], want) {
		t.Errorf("more: %v, want %v", sec.More.rows, want)
	}
}

// A goal over several cells is judged by the worst of them: the least where it wants at least so much. What has no figure
// is left out of it.
func TestGoalsTakeTheWorstCell(t *testing.T) {
	a, b, c := run("x/net=t1/state=empty", "dfetch", result.OK, 1), run("x/net=t1/state=right", "dfetch", result.OK, 4), run("x/net=t1/state=useless", "dfetch", result.OK, 2)
	a.Figures, b.Figures = map[string]float64{"share": 3, "below": -3}, map[string]float64{"share": 5, "below": -5}
	a.Receiver.PeakBytes, c.Receiver.PeakBytes = 50<<20, 0
	text := "title = t\nsuites = s\ndata = file\nsize = 10MB\nstate = empty right useless\nnet = t1\npeer = dfetch\n"
	for _, goal := range []string{
		">= 4 | figure:share", "<= 4 | figure:share", ">= 3 | MB/s", "<= 3 | MB/s", ">= 60 | receiver-MiB", "<= 60 | receiver-MiB", "<= -4 | figure:below",
	} {
		text += "goal = g | " + goal + " dfetch @ any\n"
	}
	s, err := scenarios.Parse("x", text+"claim = c | 3 | MB/s dfetch @ any\n", map[string]netlab.Settings{"t1": {}})
	if err != nil {
		t.Fatal(err)
	}
	sec := New([]result.Result{a, b, c}, []*scenarios.Scenario{s}).Sections[0]
	var got []string
	for _, row := range sec.Goals.rows {
		got = append(got, row[2]+" "+row[3])
	}
	want := []string{"3.00 missed", "5.00 missed", "2.50 missed", "10.0 missed", "50.0 missed", "100 missed", "−3.00 missed"}
	if !slices.Equal(got, want) || sec.Claims.rows[0][2] != "5.00" {
		t.Errorf("%q, %v, want %q", got, sec.Claims.rows, want)
	}
}

// What ran in the lab's own process has no peak memory of its own: a dash, and no figure for a goal.
func TestNoMemoryIsADash(t *testing.T) {
	r := run("x/net=t1/state=empty", "dfetch", result.OK, 1)
	r.Receiver.PeakBytes, r.Sender.PeakBytes = 0, 0
	s, err := scenarios.Parse("x", "title = t\nsuites = s\ndata = file\nsize = 10MB\nstate = empty\nnet = t1\npeer = dfetch\n"+
		"goal = g | <= 4 | receiver-MiB dfetch @ any\ngoal = g | <= 4 | sender-MiB dfetch @ any\n", map[string]netlab.Settings{"t1": {}})
	if err != nil {
		t.Fatal(err)
	}
	sec := New([]result.Result{r}, []*scenarios.Scenario{s}).Sections[0]
	if got := sec.Costs.rows[0][1]; !strings.Contains(got, "; – + –;") {
		t.Errorf("costs %q", got)
	}
	if sec.Goals.rows[0][2] != "not measured" || sec.Goals.rows[1][2] != "not measured" {
		t.Errorf("goals %v", sec.Goals.rows)
	}
}

// The report says which programs of others its figures rest on, and on which file systems; and what does not say.
func TestVersionsAreTold(t *testing.T) {
	list := sample()
	for i := range list {
		if list[i].Peer == "rsync" {
			list[i].Versions, list[i].FileSystem = "rsync 3.4.1", "ext4"
		}
	}
	list[len(list)-1].FileSystem = "xfs"
	got := New(list, nil).Machines[1:]
	want := []string{"programs of others: rsync 3.4.1, not recorded in 2 runs", "receivers' file systems: ext4, xfs, not recorded in 8 runs"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := New(nil, nil).Machines; len(got) != 0 {
		t.Errorf("of nothing: %q", got)
	}
}

// A regret that rests on late runs, of either side, has a mark that is explained.
func TestLateRegretsAreMarked(t *testing.T) {
	fair := []result.Result{run(empty, "dfetch", result.OK, 2), run(empty, "rsync", result.OK, 1), run(empty, "curl", result.OK, 3)}
	for late, want := range map[int]bool{-1: false, 0: true, 1: true, 2: false} {
		list := slices.Clone(fair)
		if late >= 0 {
			list[late].LateMax = 1
		}
		r := New(list, nil)
		var page strings.Builder
		if err := r.HTML(&page); err != nil {
			t.Fatal(err)
		}
		text := r.Markdown("figures")
		if marked := strings.Contains(text, "| 2.00 † |"); marked != want {
			t.Errorf("run %d late: marked %v", late, marked)
		}
		const note = "† (1 of 1 cells): the link's emulator was late"
		if strings.Contains(text, note) != want || strings.Contains(page.String(), strings.ReplaceAll(note, "'", "&#39;")) != want {
			t.Errorf("run %d late: explained %v", late, !want)
		}
	}
}

const scenarioText = `
title = A figure & more
suites = full
data = file
size = 10MB
state = empty similar-99
net = t1
peer = dfetch rsync curl zsync
claim = ours faster | 2 | ratio rsync / dfetch @ state=empty
claim = longer by | 2.8 | difference dfetch - rsync @ state=empty
claim = throughput | 1 | MB/s dfetch @ state=empty
claim = nobody | 1 | seconds zsync @ any
goal = in time | <= 1.5 | ratio dfetch / rsync @ state=similar-99
goal = small | <= 64 | receiver-MiB dfetch @ any
goal = unknown | >= 1 | seconds zsync @ any
`

func sampleReport(t *testing.T) *Report {
	t.Helper()
	s, err := scenarios.Parse("fig", scenarioText, map[string]netlab.Settings{"t1": {}})
	if err != nil {
		t.Fatal(err)
	}
	return New(sample(), []*scenarios.Scenario{s})
}

func TestMarkdown(t *testing.T) {
	text := sampleReport(t).Markdown("figures")
	for _, want := range []string{
		"## A figure & more",
		"| seconds | dfetch | curl | rsync | zsync |",
		"| empty | 10.0 [9.00–11.0] | 8.00 | 12.0 | gap |",
		"| similar-99 | 6.00 | > 60.0 | 5.00 | wrong |",
		"- zsync: gap: zsync is not installed",
		"- zsync, similar-99: wrong: a < b & c",
		"| ours faster | 2 | 1.20 |",
		"| longer by | 2.8 | −2.00 |",
		"| throughput | 1 | 1.00 |",
		"| nobody | 1 | not measured |",
		"| in time | <= 1.5 | 1.20 | reached |",
		"| small | <= 64 | 100 | missed |",
		"| unknown | >= 1 | not measured |  |",
		"| fig t1 empty | 10.0 | curl | 8.00 | 1.25 |",
		"| fig t1 similar-99 | 6.00 | rsync | 5.00 | 1.20 |",
		"Of 2 cells, 0 are within 1.10; the median is 1.23, the worst 1.25.",
		"- M, 2 cores, Linux K, commit c",
		"(figures/regret.svg)", "(figures/fig.svg)", "(figures/sizes.svg)", "(figures/time-dfetch.svg)",
		"11.0 + 0.10; 1.00 + 0.00; 105 + 52.4; 0.00",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestReportRepeats(t *testing.T) {
	page := func() string {
		var b strings.Builder
		if err := sampleReport(t).HTML(&b); err != nil {
			t.Fatal(err)
		}
		return b.String() + sampleReport(t).Markdown("f")
	}
	if first := page(); first != page() {
		t.Error("two reports of the same results differ")
	}
}

func TestPageLoadsNothing(t *testing.T) {
	var b strings.Builder
	if err := sampleReport(t).HTML(&b); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(b.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, bad := range []string{"http:", "https:", "<script", "<link", "src=", "url("} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, want := range []string{"a &lt; b &amp; c", "<svg", "Bytes by source: dfetch", "reached"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// wellFormed counts the drawn elements of each kind.
func wellFormed(t *testing.T, f Figure) map[string]int {
	t.Helper()
	counts := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(f.SVG))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return counts
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if e, ok := tok.(xml.StartElement); ok {
			counts[e.Name.Local]++
		}
		if text, ok := tok.(xml.CharData); ok && strings.Contains(string(text), "NaN") {
			t.Errorf("%s shows NaN", f.Name)
		}
	}
}

func TestFiguresAreDrawings(t *testing.T) {
	r := sampleReport(t)
	figures := slices.Clone(r.Figures)
	for _, s := range r.Sections {
		figures = append(figures, s.Figures...)
	}
	if len(figures) != 5 { // regret, fig, sizes, time's bars and timeline
		t.Errorf("%d figures", len(figures))
	}
	for _, f := range figures {
		if strings.Contains(f.SVG, "NaN") || strings.Contains(f.SVG, "Inf") {
			t.Errorf("%s has a number that is none", f.Name)
		}
		if n := wellFormed(t, f); n["svg"] != 1 || n["rect"] < 2 {
			t.Errorf("%s: %v", f.Name, n)
		}
	}
}

func TestEmptyReport(t *testing.T) {
	r := New(nil, nil)
	if text := r.Markdown("f"); !strings.Contains(text, "No cell has both") {
		t.Error(text)
	}
	if err := r.HTML(io.Discard); err != nil {
		t.Error(err)
	}
}

func TestRegretOfAStoppedRunIsABound(t *testing.T) {
	list := Regrets(result.Summarize([]result.Result{
		run(empty, "dfetch", result.TimeBox, 60), run(empty, "rsync", result.OK, 70),
		run(similar, "dfetch", result.OK, 1), // nothing to compare with
	}))
	if len(list) != 1 || !list[0].Bound {
		t.Fatalf("got %+v", list)
	}
	if within, total, _, _ := verdict(list); within != 0 || total != 1 {
		t.Errorf("%d of %d within the goal", within, total)
	}
}

func TestCompareGroups(t *testing.T) {
	want := []string{
		"a/net=t1/state=empty/size=9MB", "a/net=t1/state=empty/size=10MB", "a/net=t1/state=empty/size=1GB",
		"a/net=t1/state=useless", "a/net=t1/state=similar-50", "a/net=t1/state=sibling", "a/net=t1/state=zebra", "b/net=a",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareGroups)
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestBytesAt(t *testing.T) {
	points := []result.Point{{T: 1, Sources: map[string]int64{"a": 10}}, {T: 3, Sources: map[string]int64{"a": 30}}}
	for at, want := range map[float64]float64{0: 0, 0.5: 5, 1: 10, 2: 20, 3: 30, 9: 30} {
		if got := bytesAt(points, "a", at); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

func TestScale(t *testing.T) {
	lin, log := fit([]float64{0, 50, 100}, 210), fit([]float64{0.5, 50, 100}, 100)
	if lin.log || lin.at(0) != 0 || fmt.Sprint(lin.ticks()) != "[0 20 40 60 80 100]" {
		t.Errorf("linear: %+v %v", lin, lin.ticks())
	}
	if !log.log || log.at(0.1) > 1e-9 || log.at(120) < 99.9 || fmt.Sprint(log.ticks()) != "[0.1 1 10 100]" {
		t.Errorf("logarithmic: %+v %v", log, log.ticks())
	}
}

// TestNotRunIsSaid: a peer that a scenario names and that was not tried is said, and on how many runs a regret rests.
func TestNotRunIsSaid(t *testing.T) {
	runs := func(peer string, n int) (list []result.Result) {
		for i := range n {
			group := "s/net=t1/state=empty"
			list = append(list, result.Result{
				Cell: group + "/peer=" + peer, Group: group, Peer: peer, Round: i + 1, Outcome: result.OK, Seconds: 2,
			})
		}
		return list
	}
	results := append(runs("dfetch", 3), runs("rsync", 1)...)
	r := New(results, []*scenarios.Scenario{{Name: "s", Title: "S", Peers: []string{"dfetch", "rsync", "curl"}}})
	text := r.Markdown("figures")
	for _, want := range []string{"- curl: not run (1 of 1 cells)", "| 3, 1 |", "1 rest on a single run"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if strings.Contains(text, "rsync: not run") || strings.Contains(text, "dfetch failed") {
		t.Error("what was run is said not to have been, or to have failed")
	}
	for i := range results {
		if results[i].Peer == "dfetch" && results[i].Round == 2 {
			results[i].Outcome = result.Wrong
		}
	}
	if text := New(results, nil).Markdown("figures"); !strings.Contains(text, "In 1 more, dfetch failed or gave a wrong tree.") {
		t.Error("a wrong tree is not said")
	}
}
