package dataset

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

// fakeDebian puts an apt-get that knows one version of a package, of this content, and a dpkg-deb into PATH.
func fakeDebian(t *testing.T, version, content string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"apt-get":  `case "$3" in *:amd64=` + version + `) printf '` + content + `' > p.deb;; *) echo "E: Version not found" >&2; exit 100;; esac`,
		"dpkg-deb": `echo unpacked > "$3/file"`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// TestPinnedPackage: the pinned file is unpacked, another one is an error that says so.
func TestPinnedPackage(t *testing.T) {
	const sum = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of "foo"
	for content, right := range map[string]bool{"foo": true, "bar": false} {
		fakeDebian(t, "1.2", content)
		dir := t.TempDir()
		err := unpackDeb(t.Context(), "some", debPin{"1.2", sum}, dir)
		if right && err != nil || !right && (!errors.Is(err, errOtherFile) || !strings.Contains(err.Error(), sum)) {
			t.Errorf("%s: %v", content, err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "file")); err != nil || (len(left) == 1) != right {
			t.Errorf("%s: unpacked %v, %v", content, left, err)
		}
	}
}

// TestPairOfPinnedPackages: a version that the package sources no longer have is a gap, another file in its place is a
// failure, and so is a package without pinned versions.
func TestPairOfPinnedPackages(t *testing.T) {
	pair := debPins["linux-libc-dev"]
	for version, gap := range map[string]bool{"none": true, pair.older.version: false, pair.newer.version: false} {
		fakeDebian(t, version, "x")
		// Which of both is asked for first is open.
		_, err := (&Store{Dir: t.TempDir()}).Source(t.Context(), "deb:linux-libc-dev", scenarios.Size{})
		var missing result.Missing
		if isGap := errors.As(err, &missing); gap && (!isGap || !strings.Contains(missing.Reason, "Version not found")) || err == nil {
			t.Errorf("sources with %s: %v", version, err)
		}
	}
	_, err := (&Store{Dir: t.TempDir()}).Source(t.Context(), "deb:other", scenarios.Size{})
	if errors.As(err, new(result.Missing)) || err == nil || !strings.Contains(err.Error(), "linux-libc-dev") {
		t.Errorf("a package that is not pinned: %v", err)
	}
}

// TestOtherFileIsNoGap: makePair keeps the two apart.
func TestOtherFileIsNoGap(t *testing.T) {
	fakeDebian(t, "*", "x")
	err := makePair(t.Context(), "deb", "linux-libc-dev", t.TempDir())
	if !errors.Is(err, errOtherFile) || errors.As(err, new(result.Missing)) {
		t.Errorf("got %v", err)
	}
}

// TestScenariosPairsArePinned: every Debian pair that a scenario names is.
func TestScenariosPairsArePinned(t *testing.T) {
	list, err := scenarios.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range list {
		if name, ok := strings.CutPrefix(s.Data, "deb:"); ok {
			n++
			if debPins[name].newer.sha256 == "" || !slices.Contains(s.Suites, "pairs") {
				t.Errorf("%s: %s is not pinned", s.Name, name)
			}
		}
	}
	if n == 0 {
		t.Error("there is no pair of Debian's")
	}
}
