package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"dfetch/diskscan"
)

// hungReader is a disk that does not answer until it is let go.
type hungReader struct{ let chan struct{} }

func (hungReader) Fetch(int, int64, int64, bool) {}

func (r hungReader) ReadAt(int, []byte, int64) (int, error) {
	<-r.let
	return 0, os.ErrDeadlineExceeded
}

// TestDiskThatDoesNotAnswer: of a batch of files the first is given up and the rest left for another time. A person is told
// once, and what the operation that hangs still uses stays open.
func TestDiskThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), make([]byte, 1000), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		scope := diskscan.OpenScope(ctx, diskscan.ScopeConfig{Roots: []string{dir}})
		disk, err := diskscan.New(diskscan.Config{Scope: scope, Reader: hungReader{let}})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		note := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
		s := &searcher{begun: map[uint32]progress{}, ctx: ctx, disk: disk, scope: scope, held: &held{}, note: note, log: note,
			loop: newLoop(nil, newWindow(100), newCounters())}
		listed, err := disk.Stat(ctx, scope.Starts()[0], 0)
		if err != nil {
			t.Fatal(err)
		}
		var batch []Action
		for i, f := range listed.Files {
			s.files = append(s.files, listed.File(f))
			batch = append(batch, Action{Kind: ActHash, ID: uint32(i), Count: 1000})
		}
		s.hash(batch)
		s.wg.Wait()
		evs := s.loop.mail.take(nil)
		if len(evs) != 3 {
			t.Fatalf("events %+v", evs)
		}
		for i, ev := range evs {
			if ev.Kind != EvHashed || !ev.Stalled || ev.Failed != (i == 0) {
				t.Errorf("event %d: %+v", i, ev)
			}
		}
		s.hash(batch[2:])
		s.wg.Wait()
		if len(said) != 1 || !strings.Contains(said[0], dir) {
			t.Errorf("said %q", said)
		}
		cancel()
		if found := s.stop(); found.Running == 0 || found.Abandoned != 2 {
			t.Errorf("stopped: %+v", found)
		}
		again, _ := diskscan.New(diskscan.Config{Scope: scope})
		if _, err := again.Stat(t.Context(), scope.Starts()[0], 0); !errors.Is(err, diskscan.ErrSeen) {
			t.Errorf("the scope is closed: %v", err)
		}
		close(let)
		synctest.Wait()
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
		scope.Close()
	})
}
