package peer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"dfetch/eval/dataset"
	"dfetch/eval/result"
	"dfetch/eval/scenarios"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"))
}

// What scenarios may name is what there is.
func TestScenariosKnowAllPeers(t *testing.T) {
	if known := slices.Sorted(slices.Values(scenarios.Peers)); !slices.Equal(known, Names()) {
		t.Errorf("scenarios may name %v; there are %v", known, Names())
	}
}

// Every peer that a scenario names is one. What is measured on one machine alone has ways of its own.
func TestScenariosNamePeers(t *testing.T) {
	list, err := scenarios.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		for _, name := range s.Peers {
			if _, ok := Find(name); !ok && s.Bench == "" {
				t.Errorf("%s: no peer %s", s.Name, name)
			}
		}
		for _, c := range slices.Concat(s.Claims, s.Goals) {
			for _, peer := range []string{c.A.Peer, c.B.Peer} {
				if peer != "" && !slices.Contains(s.Peers, peer) {
					t.Errorf("%s: %q is about %s, which does not run", s.Name, c.Text, peer)
				}
			}
		}
	}
}

func files20(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("0123456789abcdefghij"), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func request(t *testing.T, ranges string) *http.Response {
	t.Helper()
	r := httptest.NewRequest("GET", "/f", nil)
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	w := httptest.NewRecorder()
	files(files20(t)).ServeHTTP(w, r)
	return w.Result()
}

func TestServeRanges(t *testing.T) {
	resp := request(t, "bytes=0-3,10-11, 18-99")
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusPartialContent || resp.ContentLength != int64(len(body)) && resp.Header.Get("Content-Length") == "" {
		t.Fatalf("%v, %v", resp.Status, err)
	}
	part := func(rng, content string) string {
		return "\r\n--" + boundary + "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes " + rng + "/20\r\n\r\n" + content
	}
	want := part("0-3", "0123") + part("10-11", "ab") + part("18-19", "ij") + "\r\n--" + boundary + "--\r\n"
	if string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestServeOtherRequests(t *testing.T) {
	for ranges, want := range map[string]int{
		"": http.StatusOK, "bytes=3-5": http.StatusPartialContent,
		"bytes=5-3,1-2": http.StatusRequestedRangeNotSatisfiable, "bytes=1-2,20-21": http.StatusRequestedRangeNotSatisfiable,
		"bytes=-5,1-2": http.StatusRequestedRangeNotSatisfiable, "lines=1-2,3-4": http.StatusRequestedRangeNotSatisfiable,
	} {
		if resp := request(t, ranges); resp.StatusCode != want {
			t.Errorf("%q: %s, want %d", ranges, resp.Status, want)
		}
	}
}

func TestServeFilesStaysInItsFolder(t *testing.T) {
	dir := files20(t)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o777); err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.URL.Path = "/../f"
	r.Header.Set("Range", "bytes=0-1,2-3")
	w := httptest.NewRecorder()
	files(inner).ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d", w.Code)
	}
}

func FuzzParseRanges(f *testing.F) {
	f.Add("bytes=0-3,10-11", int64(20))
	f.Add("bytes=-3,10-", int64(0))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		parts, err := parseRanges(header, size)
		if err != nil {
			return
		}
		for _, p := range parts {
			if p.first < 0 || p.size < 1 || p.first+p.size > size {
				t.Errorf("part %+v of %d bytes", p, size)
			}
		}
	})
}

const help = `Flags:
      --from strings        sources to use, of dest, disk and sender (default: all)
      --fsync string        force data to the disk: udp is not meant here
      --no-pressure         never hold the disk back
`

func TestOffers(t *testing.T) {
	for need, want := range map[string]bool{
		"sender": true, "disk": true, "udp": false, "--no-pressure": true, "--no-search": false, "--fsync": true,
	} {
		if got := offers(help, need); got != want {
			t.Errorf("%s: %v", need, got)
		}
	}
}

func TestStory(t *testing.T) {
	s := &dfetchSession{job: Job{Scratch: t.TempDir()}}
	write := func(text string) {
		if err := os.WriteFile(s.events(0), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"v":1,"event":"note","t":0.1,"text":"hello"}
{"v":1,"event":"progress","t":0.5,"sources":{"dest":{"bytes":5},"sender":{"bytes":0}}}
{"v":1,"recipe":"b3-x","elapsed_s":1,"sources":{"dest":{"bytes":5},"sender":{"bytes":7,"wire_bytes":9}}}
`)
	sources, timeline, err := s.Story(0)
	if err != nil || sources["dest"] != 5 || sources["sender"] != 7 || len(timeline) != 1 || timeline[0].T != 0.5 || len(timeline[0].Sources) != 1 {
		t.Errorf("%v, %v, %v", sources, timeline, err)
	}
	write(`{"v":1,"event":"note","t":0.1}` + "\n")
	if _, _, err := s.Story(0); err == nil {
		t.Error("no report, and no error")
	}
	write("{\n")
	if _, _, err := s.Story(0); err == nil {
		t.Error("broken events, and no error")
	}
}

func TestThin(t *testing.T) {
	points := make([]result.Point, 1000)
	for i := range points {
		points[i].T = float64(i)
	}
	got := thin(points)
	if len(got) > mostPoints+1 || got[0].T != 0 || got[len(got)-1].T != 999 {
		t.Errorf("%d points, from %v to %v", len(got), got[0].T, got[len(got)-1].T)
	}
}

// A program that is not there is a gap, for every peer.
func TestCheckNamesGaps(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	job := Job{Dfetch: "/does/not/exist", Receivers: make([]Receiver, 1)}
	job.Set.Name = "f"
	for _, name := range Names() {
		p, _ := Find(name)
		var missing result.Missing
		if err := p.Check(job); !errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// fakePrograms puts programs that print their name and arguments, and how often they ran, into the only folder of PATH.
func fakePrograms(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range names {
		text := "#!/bin/sh\necho x >> \"$0.runs\"\necho\necho \"" + name + " version v1.2.3 (of 2001)\"\nexec /bin/sleep 600\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	return dir
}

// A peer of two programs is a gap where either is missing.
func TestEitherProgramMissingIsAGap(t *testing.T) {
	job := Job{Receivers: make([]Receiver, 1)}
	job.Set.Name = "f"
	for _, name := range Names() {
		p, _ := Find(name)
		all := p.Programs()
		for i := range all {
			fakePrograms(t, slices.Delete(slices.Clone(all), i, i+1)...)
			var missing result.Missing
			if err := p.Check(job); !errors.As(err, &missing) || missing.Reason != all[i]+" is not installed" {
				t.Errorf("%s without %s: %v", name, all[i], err)
			}
		}
		fakePrograms(t, all...)
		if err := p.Check(job); len(all) > 0 && err != nil {
			t.Errorf("%s with all: %v", name, err)
		}
	}
	zsync, _ := Find("zsync")
	if want := []string{"zsync", "zsyncmake"}; !slices.Equal(zsync.Programs(), want) {
		t.Errorf("zsync runs %v, want %v", zsync.Programs(), want)
	}
}

// Versions are asked once a process, of programs that may not end by themselves.
func TestVersions(t *testing.T) {
	dir := fakePrograms(t, "zsync", "zsyncmake", "uftp", "uftpd")
	for name, want := range map[string]string{"zsync": "zsync 1.2.3, zsyncmake 1.2.3", "uftp": "uftp 1.2.3, uftpd", "dfetch": "", "rsync": "rsync"} {
		p, _ := Find(name)
		for range 2 {
			if got := Versions(p); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	if runs, err := os.ReadFile(filepath.Join(dir, "zsync.runs")); err != nil || string(runs) != "x\n" {
		t.Errorf("zsync was asked %q, %v", runs, err)
	}
}

// rsync transfers over the loopback by the same interface as in a lab.
func TestRsyncOverLoopback(t *testing.T) {
	p, _ := Find("rsync")
	size, err := scenarios.ParseSize("20x1KB")
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&dataset.Store{Dir: t.TempDir()}).Source(t.Context(), "tree", size)
	if err != nil {
		t.Fatal(err)
	}
	to := Receiver{Host: Loopback{}, Dir: t.TempDir()}
	if err := set.Populate(t.Context(), "empty", to.Dir); err != nil {
		t.Fatal(err)
	}
	job := Job{Set: set, Sender: Loopback{}, Receivers: []Receiver{to}, Scratch: t.TempDir()}
	var missing result.Missing
	if err := p.Check(job); errors.As(err, &missing) {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	session, err := p.Start(ctx, job)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	cmd, err := session.Command(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := set.Verify(to.Dest()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(strings.Join(cmd.Args, " "), "rsync://127.") {
		t.Errorf("it ran %v", cmd.Args)
	}
}
