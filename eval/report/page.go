package report

import (
	"html/template"
	"io"
)

// HTML writes the report as one page that loads nothing.
func (r *Report) HTML(w io.Writer) error { return page.Execute(w, view{r}) }

// view is what the page's template sees.
type view struct{ *Report }

// Summary is the regret in one sentence.
func (v view) Summary() string { return v.summary() }

// RegretTable lists the regrets.
func (v view) RegretTable() table { return v.regretTable() }

// LateNote is what the mark of late runs means, where there is one.
func (v view) LateNote() string { return v.lateNote() }

// Head is the table's first row.
func (t table) Head() []string { return t.head }

// Rows are the table's others.
func (t table) Rows() [][]string { return t.rows }

// Drawing is the figure's SVG, which this package has written.
func (f Figure) Drawing() template.HTML { return template.HTML(f.SVG) }

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>dfetch: performance</title>
<style>
body{font:15px/1.45 sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;font-size:13px}
td,th{border:1px solid #ccc;padding:2px 7px;text-align:right}
td:first-child,th:first-child{text-align:left}
figure{margin:1em 0;overflow-x:auto}
</style>
{{define "table"}}<table><tr>{{range .Head}}<th>{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table>{{end}}
{{define "figures"}}{{range .}}<figure>{{.Drawing}}{{with .Title}}<figcaption>{{.}}</figcaption>{{end}}</figure>
{{end}}{{end}}
<h1>dfetch: performance</h1>
<p>{{.Runs}} runs, made on:</p><ul>{{range .Machines}}<li>{{.}}</li>{{end}}</ul>
<h2>Regret</h2><p>{{.Summary}}</p>
{{template "figures" .Figures}}
{{with .RegretTable}}{{if .Rows}}{{template "table" .}}{{end}}{{end}}
{{with .LateNote}}<p>{{.}}</p>{{end}}
{{range .Sections}}<h2 id="{{.Name}}">{{.Title}}</h2>
<p>Scenario {{.Name}}: {{.Common}}.</p>
{{template "table" .Times}}
{{if .Goals.Rows}}{{template "table" .Goals}}{{end}}
{{if .Claims.Rows}}{{template "table" .Claims}}{{end}}
{{if .More.Rows}}{{template "table" .More}}{{end}}
{{template "figures" .Figures}}
{{if .Gaps}}<p>Not measured:</p><ul>{{range .Gaps}}<li>{{.}}</li>{{end}}</ul>{{end}}
<details><summary>What the runs took besides time</summary>{{template "table" .Costs}}</details>
{{end}}</html>
`))
