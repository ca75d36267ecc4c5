package tree

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"dfetch/recipe"
)

func verifyWorld(t *testing.T, w world, cfg Config) (diffs []string) {
	t.Helper()
	v := VerifyConfig{Dest: cfg.Dest, Root: cfg.Root, Nodes: cfg.Nodes, walk: cfg.walk, Report: func(d Difference) {
		diffs = append(diffs, d.Path+" "+d.What)
	}}
	for i := range w {
		if e := &w[i].entry; e.Type == recipe.TypeFile && e.Size > 0 {
			e.Content = chunks(cfg.Root, w[i].data)
		}
	}
	r, err := Verify(context.Background(), v)
	if err != nil {
		t.Fatal(err)
	}
	if int(r.Differences) != len(diffs) {
		t.Errorf("%d differences counted, %d told", r.Differences, len(diffs))
	}
	slices.Sort(diffs)
	return diffs
}

// chunks is a chunk list of 100 000 byte chunks; zeros of 64 KiB are holes.
func chunks(root *recipe.Root, data string) (l recipe.List) {
	if root.Hash == 0 {
		root.Hash = recipe.BLAKE3
	}
	for part := range slices.Chunk([]byte(data), 100_000) {
		if strings.Trim(string(part), "\x00") == "" {
			l.Refs = append(l.Refs, recipe.Ref{Bytes: int64(len(part)), Hole: true})
			continue
		}
		l.Refs = append(l.Refs, recipe.Ref{ID: root.Hash.Chunk(part), Bytes: int64(len(part)), Chunks: 1})
	}
	return l
}

func TestVerify(t *testing.T) {
	big := strings.Repeat("0123456789", 300_000)
	w := world{
		file("big", big, 0o644), dir("d", 0o755), file("d/f", "content", 0o644), symlink("d/l", "x"),
		file("holes", "a"+strings.Repeat("b", 99_999)+strings.Repeat("\x00", 200_000), 0o644), file("z", "z", 0o644),
	}
	cfg := w.config(t.TempDir())
	w.mustGet(t, cfg)
	if diffs := verifyWorld(t, w, cfg); len(diffs) > 0 {
		t.Fatalf("nothing changed: %v", diffs)
	}
	for _, c := range []struct {
		want   string
		change func(p string) error
	}{
		{"big content", func(p string) error { return poke(p+"/big", 2_500_000) }},
		{"holes content", func(p string) error { return poke(p+"/holes", 250_000) }},
		{"d/f mode", func(p string) error { return os.Chmod(p+"/d/f", 0o600) }},
		{"d mtime", func(p string) error { return setTimesAt(-100, p+"/d", stamp+1) }},
		{"z missing", func(p string) error { return os.Remove(p + "/z") }},
		{"z size", func(p string) error { return os.WriteFile(p+"/z", []byte("zz"), 0o644) }},
		{"z type", func(p string) error { return firstError(os.Remove(p+"/z"), os.Symlink("d/f", p+"/z")) }},
		{"d/l target", func(p string) error { return firstError(os.Remove(p+"/d/l"), os.Symlink("y", p+"/d/l")) }},
		{"d/more extra", func(p string) error { return os.WriteFile(p+"/d/more", nil, 0o644) }},
		{"d/f missing", func(p string) error { return os.Rename(p+"/d", p+"/e") }},
	} {
		t.Run(c.want, func(t *testing.T) {
			if err := c.change(cfg.Dest); err != nil {
				t.Fatal(err)
			}
			diffs := verifyWorld(t, w, cfg)
			if c.want == "d/f missing" {
				c.want = "d missing" // the one difference stands for all that is below
			}
			if !slices.Contains(diffs, c.want) {
				t.Errorf("got %v", diffs)
			}
			if got, _ := os.ReadDir(cfg.Dest); slices.ContainsFunc(got, func(d os.DirEntry) bool { return d.Name() == DirName }) {
				t.Error("verify wrote")
			}
			again := w.config(cfg.Dest)
			again.Delete = true
			os.Remove(cfg.Dest + "/big")
			os.Remove(cfg.Dest + "/holes")
			w.mustGet(t, again)
			if diffs := verifyWorld(t, w, cfg); len(diffs) > 0 {
				t.Errorf("after another run: %v", diffs)
			}
		})
	}
}

// poke changes one byte and keeps size and time.
func poke(path string, off int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{'!'}, off)
	return firstError(err, setTimesAt(-100, path, stamp))
}
