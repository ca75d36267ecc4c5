package diskscan

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestCopy(t *testing.T) {
	dir := t.TempDir()
	data := noise("x", 1<<20)
	write(t, filepath.Join(dir, "f"), data)
	d := open(t, ScopeConfig{Roots: []string{dir}}, Config{})
	src, err := d.Open(t.Context(), fileAt("f"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	type way func(ctx context.Context, dst, src *os.File, dstOff, srcOff, n int64) (int64, error)
	ways := map[string]way{
		"by hand": copyByHand,
		"whatever works": func(ctx context.Context, dst, src *os.File, dstOff, srcOff, n int64) (int64, error) {
			r, err := Copy(ctx, dst, src, dstOff, srcOff, n)
			return r.Cloned + r.Copied + r.Written, err
		},
	}
	for name, copyRange := range ways {
		t.Run(name, func(t *testing.T) {
			dst, err := os.Create(filepath.Join(t.TempDir(), "copy"))
			if err != nil {
				t.Fatal(err)
			}
			defer dst.Close()
			const from, to, n = 4097, 10_001, 700_003
			if got, err := copyRange(t.Context(), dst, src, to, from, n); got != n || err != nil {
				t.Fatalf("copied %d, %v", got, err)
			}
			got, err := os.ReadFile(dst.Name())
			if err != nil {
				t.Fatal(err)
			}
			if want := append(make([]byte, to), data[from:from+n]...); !bytes.Equal(got, want) {
				t.Error("the copy has other bytes")
			}
			if _, err := copyRange(t.Context(), dst, src, 0, int64(len(data))-5, 10); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("beyond the end: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := copyRange(ctx, dst, src, 1, 0, 1000); !errors.Is(err, context.Canceled) {
				t.Errorf("canceled: %v", err)
			}
		})
	}
}

func TestOpenObeysTheScope(t *testing.T) {
	base := home(t)
	d := open(t, ScopeConfig{Dest: filepath.Join(base, "dest"), Siblings: true}, Config{})
	if f, err := d.Open(t.Context(), File{Dir: Dir{Root: 1}, Name: "diary"}); !errors.Is(err, ErrOutside) {
		f.Close()
		t.Errorf("got %v", err)
	}
}
