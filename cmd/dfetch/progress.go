package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"dfetch/fetch"
)

// line is a line on a terminal that is written over again and again. On anything else, or when it is
// to be quiet, it shows nothing. Safe for concurrent use.
type line struct {
	mu    sync.Mutex
	w     io.Writer // nil: show nothing
	width func() int
	last  time.Time
	shown bool
}

// lineEvery is how often at most a line is written.
const lineEvery = 100 * time.Millisecond

func newLine(w io.Writer, quiet bool) *line {
	f, ok := w.(*os.File)
	if !ok || quiet || !isTerminal(f) {
		return &line{}
	}
	return &line{w: w, width: func() int { return columns(f) }}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// columns is the width of a terminal, 80 if it doesn't say.
func columns(f *os.File) int {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 {
		return 80
	}
	return int(ws.Col)
}

// show writes over the line.
func (l *line) show(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil || time.Since(l.last) < lineEvery {
		return
	}
	l.last, l.shown = time.Now(), true
	text := fmt.Sprintf(format, args...)
	if w := l.width() - 1; len(text) > w {
		text = text[:w]
	}
	fmt.Fprintf(l.w, "\r%s\x1b[K", text)
}

// clear takes the line away.
func (l *line) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}

// sourceOrder is the order in which sources are named to people.
var sourceOrder = []string{"dest", "disk", "sender", "udp", "swarm", "web"}

// progressLine is a snapshot in a terminal's line.
func progressLine(s fetch.Snapshot) string {
	var b strings.Builder
	if s.Bytes > 0 {
		fmt.Fprintf(&b, "%3d%% ", min(100, 100*s.Done/s.Bytes))
	}
	fmt.Fprintf(&b, "%s of %s", formatSize(int64(s.Done)), formatSize(int64(s.Bytes)))
	if s.Rate > 0 {
		fmt.Fprintf(&b, "  %s", formatRate(s.Rate))
	}
	switch {
	case !s.Planned:
		b.WriteString("  looking what is missing")
	case s.ETA > 0:
		fmt.Fprintf(&b, "  %s left", s.ETA.Round(time.Second))
	}
	for _, kind := range sourceOrder {
		if n := s.Sources[kind].Bytes; n > 0 {
			fmt.Fprintf(&b, "  %s %s", kind, formatSize(int64(n)))
		}
	}
	return b.String()
}

// summary says in a few lines what a transfer did.
func summary(w io.Writer, r *fetch.Report) {
	elapsed := time.Duration(r.ElapsedS * float64(time.Second)).Round(10 * time.Millisecond)
	fmt.Fprintf(w, "%d files, %s in %v: %d written, %d right already", r.Files, formatSize(int64(r.Bytes)), elapsed, r.FilesWritten, r.FilesRight)
	if r.Deleted > 0 {
		fmt.Fprintf(w, ", %d deleted", r.Deleted)
	}
	fmt.Fprintln(w)
	for _, kind := range sourceOrder {
		s := r.Sources[kind]
		if s.Bytes == 0 && s.WireBytes == 0 {
			continue
		}
		fmt.Fprintf(w, "  %-7s %10s", kind, formatSize(int64(s.Bytes)))
		if s.WireBytes > 0 {
			fmt.Fprintf(w, "  (%s over the network)", formatSize(int64(s.WireBytes)))
		}
		if kind == "disk" && r.SharedBytes > 0 {
			fmt.Fprintf(w, "  (%s of it in shared blocks)", formatSize(int64(r.SharedBytes)))
		}
		if kind == "dest" && r.ResumedBytes > 0 {
			fmt.Fprintf(w, "  (%s of it from an earlier run)", formatSize(int64(r.ResumedBytes)))
		}
		fmt.Fprintln(w)
	}
}
