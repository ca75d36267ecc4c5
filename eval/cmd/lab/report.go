package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"

	"dfetch/eval/report"
	"dfetch/eval/scenarios"
)

// reportCommand writes a report out of result files.
func reportCommand(_ context.Context, args []string) error {
	set := flag.NewFlagSet("lab report", flag.ContinueOnError)
	markdown := set.String("md", "", "write Markdown to this file, its figures to the folder figures beside it")
	page := set.String("html", "", "write one HTML page to this file")
	if err := set.Parse(args); err != nil {
		return err
	}
	results, err := readAll(set.Args())
	if err != nil {
		return err
	}
	list, err := scenarios.Load()
	if err != nil {
		return err
	}
	r := report.New(results, list)
	if *markdown == "" && *page == "" {
		_, err := os.Stdout.WriteString(r.Markdown(figureDir))
		return err
	}
	return errors.Join(writeMarkdown(r, *markdown), writePage(r, *page))
}

// figureDir is the folder of figures beside a Markdown file.
const figureDir = "figures"

// writeMarkdown writes the file, and every figure afresh.
func writeMarkdown(r *report.Report, name string) error {
	if name == "" {
		return nil
	}
	figures := r.Figures
	for _, s := range r.Sections {
		figures = append(figures, s.Figures...)
	}
	dir := filepath.Join(filepath.Dir(name), figureDir)
	if err := errors.Join(os.MkdirAll(dir, 0o777), removeFigures(dir)); err != nil {
		return err
	}
	for _, f := range figures {
		if err := os.WriteFile(filepath.Join(dir, f.Name+".svg"), []byte(f.SVG), 0o666); err != nil {
			return err
		}
	}
	return os.WriteFile(name, []byte(r.Markdown(figureDir)), 0o666)
}

// removeFigures removes what an earlier report drew, and nothing else.
func removeFigures(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil && report.IsFigure(text) {
			err = os.Remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writePage(r *report.Report, name string) error {
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(r.HTML(f), f.Close())
}
