package result

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Summary is what the runs of one cell say together.
type Summary struct {
	Cell, Group, Peer string
	// Outcome is Wrong if any run was. Otherwise it is OK if the run with the median time was, TimeBox if that met the
	// time box, and that of the last run if none counts.
	Outcome Outcome
	Reason  string
	// Late says that the emulator was late in all runs that count.
	Late bool
	// N counts the runs that Seconds and the rest are of: those that are OK or met the time box, with its time. Where
	// some were not late, those that were don't count.
	N, Runs                              int
	Seconds, Least, Most                 float64
	WireDown, WireUp                     float64
	CPU, SenderCPU, Memory, SenderMemory float64
	DiskRead                             float64
	Bytes                                int64
	Figures                              map[string]float64
	// Middle is the run with the median time, of an even number the slower one in the middle.
	Middle Result
}

// Summarize groups results by cell, in the order in which cells first appear. Of a cell that was run by several builds of
// dfetch, or in several setups, the last one's runs count alone.
func Summarize(results []Result) []Summary {
	byCell := map[string][]Result{}
	var order []string
	for _, r := range results {
		if _, ok := byCell[r.Cell]; !ok {
			order = append(order, r.Cell)
		}
		byCell[r.Cell] = append(byCell[r.Cell], r)
	}
	out := make([]Summary, 0, len(order))
	for _, cell := range order {
		out = append(out, summarize(byCell[cell]))
	}
	return out
}

func summarize(runs []Result) Summary {
	last := runs[len(runs)-1]
	runs = slices.DeleteFunc(slices.Clone(runs), func(r Result) bool { return !r.Alike(last) })
	s := Summary{
		Cell: last.Cell, Group: last.Group, Peer: last.Peer,
		Outcome: last.Outcome, Reason: last.Reason, Runs: len(runs), Bytes: last.Bytes,
	}
	if wrong := with(runs, Wrong); len(wrong) > 0 {
		s.Outcome, s.Reason = Wrong, wrong[0].Reason
		return s
	}
	counted := append(with(runs, OK), with(runs, TimeBox)...)
	if len(counted) == 0 {
		return s
	}
	if onTime := slices.DeleteFunc(slices.Clone(counted), Result.Late); len(onTime) > 0 {
		counted = onTime
	} else {
		s.Late = true
	}
	slices.SortStableFunc(counted, func(a, b Result) int { return cmp.Compare(a.Seconds, b.Seconds) })
	s.N, s.Middle = len(counted), counted[len(counted)/2]
	s.Outcome, s.Reason = s.Middle.Outcome, s.Middle.Reason
	s.Least, s.Most = counted[0].Seconds, counted[len(counted)-1].Seconds
	of := func(f func(Result) float64) float64 { return medianOf(counted, f) }
	s.Seconds = of(func(r Result) float64 { return r.Seconds })
	s.WireDown = of(func(r Result) float64 { return float64(r.WireDown) })
	s.WireUp = of(func(r Result) float64 { return float64(r.WireUp) })
	s.CPU = of(func(r Result) float64 { return r.Receiver.CPU })
	s.SenderCPU = of(func(r Result) float64 { return r.Sender.CPU })
	s.Memory = of(func(r Result) float64 { return float64(r.Receiver.PeakBytes) })
	s.SenderMemory = of(func(r Result) float64 { return float64(r.Sender.PeakBytes) })
	s.DiskRead = of(func(r Result) float64 { return float64(r.Receiver.DiskRead) })
	s.Figures = map[string]float64{}
	for name := range s.Middle.Figures {
		s.Figures[name] = of(func(r Result) float64 { return r.Figures[name] })
	}
	return s
}

func with(runs []Result, o Outcome) (out []Result) {
	for _, r := range runs {
		if r.Outcome == o {
			out = append(out, r)
		}
	}
	return out
}

func medianOf(runs []Result, f func(Result) float64) float64 {
	values := make([]float64, len(runs))
	for i, r := range runs {
		values[i] = f(r)
	}
	return Median(values)
}

// Median returns the middle of values, the mean of both middles if their number
// is even, and 0 for none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// WriteBenchmarks writes every run that is OK in the form of Go's benchmarks.
func WriteBenchmarks(w io.Writer, results []Result) error {
	for _, r := range results {
		if r.Outcome != OK {
			continue
		}
		_, err := fmt.Fprintf(w, "BenchmarkLab/%s 1 %.0f ns/op %d down-B/op %d up-B/op %.3f cpu-s/op %d peak-B %d disk-read-B/op\n",
			r.Cell, r.Seconds*1e9, r.WireDown, r.WireUp, r.Receiver.CPU, r.Receiver.PeakBytes, r.Receiver.DiskRead)
		if err != nil {
			return err
		}
	}
	return nil
}

// Peers returns the names of the peers in summaries, sorted, dfetch's first.
func Peers(summaries []Summary) []string {
	names := map[string]bool{}
	for _, s := range summaries {
		names[s.Peer] = true
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
}

// rank puts dfetch before its variants, and these before the others.
func rank(peer string) int {
	switch {
	case peer == "dfetch":
		return 0
	case len(peer) > 6 && peer[:7] == "dfetch-":
		return 1
	}
	return 2
}
