package report

import (
	"fmt"
	"slices"
	"strings"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// Report is what results say, ready to be written.
type Report struct {
	Sections []Section
	Regrets  []Regret
	Figures  []Figure // of all results together
	Machines []string // and the software on them
	Runs     int
	Broken   int // cells in which dfetch failed or gave a wrong tree
}

// Section is one scenario's part.
type Section struct {
	Name, Title string
	Common      string // what all its cells share
	Times       table
	Costs       table
	More        table // other figures, if there are any
	Claims      table
	Goals       table
	Gaps        []string
	Figures     []Figure
}

// New makes a report. Scenarios give titles and the paper's claims; results of
// scenarios that are not among them are shown under their names.
func New(results []result.Result, list []*scenarios.Scenario) *Report {
	summaries := result.Summarize(results)
	r := &Report{Regrets: Regrets(summaries), Machines: append(machines(results), software(results)...), Runs: len(results), Broken: broken(summaries)}
	byName := map[string]*scenarios.Scenario{}
	for _, s := range list {
		byName[s.Name] = s
	}
	for _, g := range grids(summaries) {
		r.Sections = append(r.Sections, section(g, byName[g.name]))
	}
	if f, ok := heat(summaries); ok {
		r.Figures = append(r.Figures, f)
	}
	return r
}

func section(g *grid, s *scenarios.Scenario) Section {
	sec := Section{
		Name: g.name, Title: g.name, Common: strings.Join(g.common(), ", "),
		Times: g.times(), Costs: g.costs(), More: g.figuresTable(), Gaps: g.gaps(), Figures: g.figures(),
	}
	if s != nil {
		sec.Title = s.Title
		sec.Gaps = append(sec.Gaps, g.notRun(s.Peers)...)
		if len(s.Claims) > 0 {
			sec.Claims = g.claims(s.Claims)
		}
		if len(s.Goals) > 0 {
			sec.Goals = g.goals(s.Goals)
		}
	}
	return sec
}

// figures draws what the grid is about.
func (g *grid) figures() (out []Figure) {
	timed := 0
	g.each(func(int, int, result.Summary) { timed++ })
	if timed == 0 {
		return nil
	}
	if axis := g.axis(); axis != "" {
		out = append(out, lines(g, axis))
	} else {
		out = append(out, bars(g))
	}
	if len(g.groups) > mostTimelines {
		return out
	}
	for _, group := range g.groups {
		out = append(out, g.timelines(group)...)
	}
	return out
}

// mostTimelines is of how many groups timelines are drawn: a scenario with more is not about them.
const mostTimelines = 2

// timelines draws the bytes by source of a group's cells that tell of them.
func (g *grid) timelines(group string) (out []Figure) {
	name, title := g.name, ""
	if len(g.groups) > 1 {
		title = ", " + g.label(group)
		name += "-" + strings.NewReplacer(", ", "-", "–", "plain").Replace(g.label(group))
	}
	for _, peer := range g.peers {
		if cell, ok := g.at(group, peer); ok && cell.N > 0 {
			if f, ok := timeline(name+"-"+peer, cell); ok {
				f.Title = "Bytes by source: " + peer + title
				out = append(out, f)
			}
		}
	}
	return out
}

// machines lists what the results were made on.
func machines(results []result.Result) (out []string) {
	for _, r := range results {
		line := fmt.Sprintf("%s, %d cores, Linux %s, commit %s", r.Machine, r.CPUs, r.Kernel, r.Commit)
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// software lists the programs of others, and the file systems, that the transfers' figures rest on.
func software(results []result.Result) []string {
	var versions, systems told
	for _, r := range results {
		if r.Outcome != result.OK && r.Outcome != result.TimeBox || !strings.Contains(r.Group, "/net=") {
			continue
		}
		systems.add(r.FileSystem)
		if !strings.HasPrefix(r.Peer, "dfetch") {
			versions.add(r.Versions)
		}
	}
	return slices.Concat(versions.line("programs of others"), systems.line("receivers' file systems"))
}

// told is what runs tell of one thing, and how many don't.
type told struct {
	what   []string
	silent int
}

// add takes in one run's words, a list by commas.
func (t *told) add(text string) {
	if text == "" {
		t.silent++
		return
	}
	for word := range strings.SplitSeq(text, ", ") {
		if !slices.Contains(t.what, word) {
			t.what = append(t.what, word)
		}
	}
}

// line says it, in no line at all if there were no runs.
func (t *told) line(title string) []string {
	parts := slices.Sorted(slices.Values(t.what))
	if t.silent > 0 {
		parts = append(parts, fmt.Sprintf("not recorded in %d runs", t.silent))
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{title + ": " + strings.Join(parts, ", ")}
}

// regretTable lists the regrets, the worst first.
func (r *Report) regretTable() table {
	t := table{head: []string{"cell", "dfetch, s", "best single way", "its time, s", "regret", "runs"}}
	list := slices.Clone(r.Regrets)
	slices.SortStableFunc(list, func(a, b Regret) int {
		switch {
		case a.Ratio > b.Ratio:
			return -1
		case a.Ratio < b.Ratio:
			return 1
		}
		return 0
	})
	for _, g := range list {
		ratio := number(g.Ratio)
		if g.Bound {
			ratio = "> " + ratio
		}
		if g.Late {
			ratio += " " + lateRegret
		}
		t.rows = append(t.rows, []string{groupLabel(g.Group), number(g.Ours), g.Best, number(g.BestSeconds), ratio, fmt.Sprintf("%d, %d", g.Runs, g.BestRuns)})
	}
	return t
}

// lateRegret marks a regret that rests on late runs.
const lateRegret = "†"

// lateNote explains the mark beneath the table; empty if no regret has it.
func (r *Report) lateNote() string {
	if n := late(r.Regrets); n > 0 {
		return fmt.Sprintf("%s (%d of %d cells): the link's emulator was late in all runs of one side, so the figure says little.", lateRegret, n, len(r.Regrets))
	}
	return ""
}

// summary is the regret in one sentence.
func (r *Report) summary() string {
	within, total, median, worst := verdict(r.Regrets)
	failures := ""
	if r.Broken > 0 {
		failures = fmt.Sprintf(" In %d more, dfetch failed or gave a wrong tree.", r.Broken)
	}
	if total == 0 {
		return "No cell has both dfetch and another way yet." + failures
	}
	return fmt.Sprintf("Regret is dfetch's time ÷ the best single way's in the same cell. Of %d cells, %d are within %.2f; the median is %s, the worst %s. %d rest on a single run on one side at least.",
		total, within, goal, number(median), number(worst), single(r.Regrets)) + failures
}
