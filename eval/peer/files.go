package peer

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ServeFiles serves the folder src as /src/ and pub as /pub/ over HTTP until ctx
// ends. It knows ranges and uses sendfile, has no cache and writes no log.
func ServeFiles(ctx context.Context, addr, src, pub string) error {
	mux := http.NewServeMux()
	mux.Handle("/src/", http.StripPrefix("/src/", files(src)))
	mux.Handle("/pub/", http.StripPrefix("/pub/", files(pub)))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// files serves a folder. Several ranges in one request are answered here, in the
// form of the servers that zsync was written for: it wants a line break before
// the first boundary, which Go's own answer does not have.
func files(dir string) http.Handler {
	plain := http.FileServer(http.Dir(dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Range"), ",") {
			plain.ServeHTTP(w, r)
			return
		}
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path.Clean("/"+r.URL.Path))))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer f.Close()
		if err := serveRanges(w, f, r.Header.Get("Range")); err != nil {
			http.Error(w, err.Error(), http.StatusRequestedRangeNotSatisfiable)
		}
	})
}

// boundary stands between ranges.
const boundary = "0123456789abcdef0123"

// part is a range with what is sent before it.
type part struct {
	head        string
	first, size int64
}

// serveRanges answers a request for several ranges; an error comes before
// anything was sent.
func serveRanges(w http.ResponseWriter, f *os.File, header string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	parts, err := parseRanges(header, info.Size())
	if err != nil {
		return err
	}
	const end = "\r\n--" + boundary + "--\r\n"
	length := int64(len(end))
	for _, p := range parts {
		length += int64(len(p.head)) + p.size
	}
	w.Header().Set("Content-Type", "multipart/byteranges; boundary="+boundary)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(http.StatusPartialContent)
	for _, p := range parts {
		if _, err := io.WriteString(w, p.head); err != nil {
			return nil // the client is gone
		}
		if _, err := io.Copy(w, io.NewSectionReader(f, p.first, p.size)); err != nil {
			return nil
		}
	}
	_, _ = io.WriteString(w, end) // if this fails, the client is gone
	return nil
}

// parseRanges reads "bytes=FIRST-LAST,FIRST-LAST…"; no other form is known.
func parseRanges(header string, size int64) (parts []part, err error) {
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return nil, fmt.Errorf("range %q: want bytes=", header)
	}
	for _, text := range strings.Split(list, ",") {
		a, b, _ := strings.Cut(strings.TrimSpace(text), "-")
		first, errA := strconv.ParseInt(a, 10, 64)
		last, errB := strconv.ParseInt(b, 10, 64)
		if errA != nil || errB != nil || first < 0 || first > last || first >= size {
			return nil, fmt.Errorf("range %q: want FIRST-LAST within %d bytes", text, size)
		}
		last = min(last, size-1)
		head := fmt.Sprintf("\r\n--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %d-%d/%d\r\n\r\n",
			boundary, first, last, size)
		parts = append(parts, part{head, first, last - first + 1})
	}
	return parts, nil
}
