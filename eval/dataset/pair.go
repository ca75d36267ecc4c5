package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dfetch/eval/result"
)

// pairs are the kinds of real releases. Each puts one release's files into dir.
var pairs = map[string]func(ctx context.Context, what, release, dir string) error{
	"npm": npmRelease,
	"go":  goRelease,
	"deb": debRelease,
}

// makePair puts the newer release into dir/src and the older one into dir/old.
// What can't be had is a result.Missing.
func makePair(ctx context.Context, family, what, dir string) error {
	if family == "deb" {
		if debPins[what].newer.version == "" {
			return fmt.Errorf("pair deb:%s: want a package whose versions are pinned: %s", what, strings.Join(slices.Sorted(maps.Keys(debPins)), ", "))
		}
		what = pinned(what)
	}
	name, older, newer := splitPair(what)
	if older == "" || newer == "" {
		return fmt.Errorf("pair %s:%s: want two releases, OLD..NEW", family, what)
	}
	for sub, release := range map[string]string{"old": older, "src": newer} {
		to := filepath.Join(dir, sub)
		if err := os.MkdirAll(to, 0o777); err != nil {
			return err
		}
		err := pairs[family](ctx, name, release, to)
		if errors.Is(err, errOtherFile) {
			return fmt.Errorf("release %s %s of %s: %w", name, release, family, err)
		}
		if err != nil {
			return result.Missingf("release %s %s of %s can't be had: %v", name, release, family, err)
		}
	}
	return makeOlder(filepath.Join(dir, "old"))
}

// makeOlder gives a tree's files the time of older versions. Releases of some families have one time for ever, and
// programs that go by size and time would take a file of the old one for the new one's.
func makeOlder(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.Chtimes(path, time.Time{}, oldTime)
	})
}

// splitPair splits NAME@OLD..NEW; NAME@ may be left out.
func splitPair(what string) (name, older, newer string) {
	name, versions, ok := strings.Cut(what, "@")
	if !ok {
		name, versions = "", what
		if !strings.Contains(what, "..") {
			return what, "", ""
		}
	}
	older, newer, _ = strings.Cut(versions, "..")
	return name, older, newer
}

// in runs a command in dir and returns what it prints.
func in(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	if _, err := exec.LookPath(name); err != nil {
		return nil, result.Missingf("%s is not installed", name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", name, err, lastLine(errs.String()))
	}
	return out, nil
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// npmRelease unpacks a package of the npm registry.
func npmRelease(ctx context.Context, what, release, dir string) error {
	out, err := in(ctx, dir, "npm", "pack", "--silent", what+"@"+release)
	if err != nil {
		return err
	}
	archive := filepath.Join(dir, lastLine(string(out)))
	if _, err := in(ctx, dir, "tar", "-xzf", archive, "--strip-components=1"); err != nil {
		return err
	}
	return os.Remove(archive)
}

// goRelease copies a Go toolchain for this platform out of the module cache,
// after the go command has put it there.
func goRelease(ctx context.Context, _, release, dir string) error {
	module := fmt.Sprintf("golang.org/toolchain@v0.0.1-go%s.linux-amd64", release)
	out, err := in(ctx, os.TempDir(), "go", "mod", "download", "-json", module)
	if err != nil {
		return err
	}
	var found struct{ Dir string }
	if err := json.Unmarshal(out, &found); err != nil || found.Dir == "" {
		return fmt.Errorf("go mod download %s: no folder", module)
	}
	if err := CopyTree(ctx, found.Dir, dir); err != nil {
		return err
	}
	_, err = in(ctx, dir, "chmod", "-R", "u+w", ".") // the module cache is read-only
	return err
}
