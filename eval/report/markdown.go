package report

import (
	"fmt"
	"strings"
)

// Markdown writes the report; figures are linked below the folder of that name.
func (r *Report) Markdown(figureDir string) string {
	var b strings.Builder
	b.WriteString("<!-- Made by \"lab report\" out of result files; not to be edited. -->\n# Performance\n\n")
	fmt.Fprintf(&b, "%s\n\n", preamble)
	fmt.Fprintf(&b, "%d runs, made on:\n\n", r.Runs)
	for _, m := range r.Machines {
		fmt.Fprintf(&b, "- %s\n", m)
	}
	fmt.Fprintf(&b, "\n## Regret\n\n%s\n\n", r.summary())
	markdownFigures(&b, figureDir, r.Figures)
	if len(r.Regrets) > 0 {
		markdownTable(&b, r.regretTable())
	}
	if note := r.lateNote(); note != "" {
		fmt.Fprintf(&b, "%s\n\n", note)
	}
	for _, s := range r.Sections {
		s.markdown(&b, figureDir)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// preamble explains the tables.
const preamble = `Times are medians in seconds with the least and the most in brackets; "> 60" was stopped after that time, and
in "(late)" ones the link's emulator was more than a thirtieth of the run behind at worst. With
several receivers it is the last one's time, with the first one's and the mean of the median run.
Sender, receivers and links share one machine. Megabytes are of 10⁶ bytes. Nothing is forced to the disk but where a
peer's name says so (-fsync); the source is in the page cache. With a fresh disk every run has an empty file system of its
own. "eval/README.md" tells how to repeat it.`

func (s Section) markdown(b *strings.Builder, figureDir string) {
	fmt.Fprintf(b, "\n## %s\n\n", s.Title)
	if s.Common != "" {
		fmt.Fprintf(b, "Scenario `%s`: %s.\n\n", s.Name, s.Common)
	}
	markdownTable(b, s.Times)
	if len(s.Goals.rows) > 0 {
		markdownTable(b, s.Goals)
	}
	if len(s.Claims.rows) > 0 {
		markdownTable(b, s.Claims)
	}
	if len(s.More.rows) > 0 {
		markdownTable(b, s.More)
	}
	markdownFigures(b, figureDir, s.Figures)
	if len(s.Gaps) > 0 {
		b.WriteString("Not measured:\n\n")
		for _, g := range s.Gaps {
			fmt.Fprintf(b, "- %s\n", g)
		}
		b.WriteString("\n")
	}
	b.WriteString("<details><summary>What the runs took besides time</summary>\n\n")
	markdownTable(b, s.Costs)
	b.WriteString("</details>\n")
}

// GoalTables writes the tables of goals alone, with the times they are from.
func (r *Report) GoalTables() string {
	var b strings.Builder
	for _, s := range r.Sections {
		if len(s.Goals.rows) > 0 {
			fmt.Fprintf(&b, "%s\n\n", s.Title)
			markdownTable(&b, s.Goals)
			markdownTable(&b, s.Times)
		}
	}
	return b.String()
}

func markdownTable(b *strings.Builder, t table) {
	row := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			fmt.Fprintf(b, " %s |", strings.ReplaceAll(c, "|", `\|`))
		}
		b.WriteString("\n")
	}
	row(t.head)
	b.WriteString("|" + strings.Repeat("---|", len(t.head)) + "\n")
	for _, r := range t.rows {
		row(r)
	}
	b.WriteString("\n")
}

func markdownFigures(b *strings.Builder, dir string, figures []Figure) {
	for _, f := range figures {
		title := f.Title
		if title == "" {
			title = f.Name
		}
		fmt.Fprintf(b, "![%s](%s/%s.svg)\n\n", title, dir, f.Name)
	}
}
