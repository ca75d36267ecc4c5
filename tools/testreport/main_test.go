package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	skips := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(skips, []byte("# tests\n\np TestRoot  needs root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const pass = `{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}` + "\n"
	for _, tt := range []struct {
		name, in string
		ok       bool
		want     string
	}{
		{"good", pass + `{"Action":"pass","Package":"p","Elapsed":1.25}`, true, "ok    p  1.2s\n1 passed, 0 failed, 0 skipped\n"},
		{"slow", `{"Action":"pass","Package":"p","Test":"TestA","Elapsed":20.04}`, true, "slow  p TestA  20.0s\n1 passed, 0 failed, 0 skipped\n"},
		{"nothing ran", `{"Action":"skip","Package":"p"}`, false, "0 passed, 0 failed, 0 skipped\n"},
		{
			"failed", pass + `{"Action":"output","Package":"p","Test":"TestB","Output":"b: \"no\"\n"}` + "\n" +
				`{"Action":"fail","Package":"p","Test":"TestB"}` + "\n" + `{"Action":"fail","Package":"p","Elapsed":2}`, false,
			"b: \"no\"\nFAIL  p  2.0s\n1 passed, 1 failed, 0 skipped\n",
		},
		{"listed skip", pass + `{"Action":"skip","Package":"p","Test":"TestRoot"}`, true, "skip  p TestRoot: needs root\n1 passed, 0 failed, 1 skipped\n"},
		{
			"other skip", pass + `{"Action":"skip","Package":"q","Test":"TestRoot"}`, false,
			"skip  q TestRoot: NOT ON THE LIST of tests that may be skipped\n1 passed, 0 failed, 1 skipped\n",
		},
		{
			"build failed", pass + `{"Action":"build-output","ImportPath":"q","Output":"q.go:1: bad\n"}` + "\n" + `{"Action":"build-fail","ImportPath":"q"}`,
			false, "q.go:1: bad\n1 passed, 0 failed, 0 skipped\n",
		},
		{
			"died", pass + `{"Action":"output","Package":"p","Test":"TestC","Output":"panic\n"}`, false,
			"panic\nunfinished: p TestC\n1 passed, 0 failed, 0 skipped\n",
		},
		{"not json", pass + "go: downloading x", true, "go: downloading x\n1 passed, 0 failed, 0 skipped\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			ok, err := run(strings.NewReader(tt.in), &out, skips)
			if err != nil || ok != tt.ok || out.String() != tt.want {
				t.Errorf("got %v, %v:\n%s\nwant %v:\n%s", ok, err, out.String(), tt.ok, tt.want)
			}
		})
	}
}

func TestSkipsNeedAReason(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(file, []byte("p TestA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSkips(file); err == nil || !strings.Contains(err.Error(), ":1: want PACKAGE TEST REASON") {
		t.Errorf("got %v", err)
	}
}
