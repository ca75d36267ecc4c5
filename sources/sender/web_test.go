package sender

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dfetch/recipe"
)

func TestWeb(t *testing.T) {
	w := smallWorld(t)
	r := serveWorld(t, w, ServerConfig{})
	dfr := filepath.Join(t.TempDir(), "x.dfr")
	check(t, os.WriteFile(dfr, []byte("0123456789"), 0o600))
	check(t, r.srv.Add(Served{Recipe: w, Path: w.dir, Token: testToken, Name: "<name>", DFR: dfr}))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	get := func(path, ranges string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+r.addr+path, nil)
		check(t, err)
		if ranges != "" {
			req.Header.Set("Range", ranges)
		}
		resp, err := client.Do(req)
		check(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		return resp.StatusCode, string(body)
	}
	id := recipe.FormatID(recipe.BLAKE3, w.ID())
	for _, c := range []struct {
		path, ranges string
		status       int
		want, not    string
	}{
		{"/", "", 200, "dfetch", id},
		{"/?tk=wrong", "", 200, "dfetch", id},
		{"/?tk=" + testToken, "", 200, "&lt;name&gt;", "<name>"},
		{"/?tk=" + testToken, "", 200, id, "none"},
		{"/metrics", "", 200, "dfetch_connections_total", id},
		{"/dfr/" + id, "", 404, "", "0123"},
		{"/dfr/" + id + "?tk=wrong", "", 404, "", "0123"},
		{"/dfr/" + id + "?tk=" + testToken, "", 200, "0123456789", "none"},
		{"/dfr/" + id + "?tk=" + testToken, "bytes=2-4", 206, "234", "0"},
		{"/dfr/nonsense?tk=" + testToken, "", 404, "", "0123"},
		{"/etc/passwd", "", 404, "", "root:"},
	} {
		status, body := get(c.path, c.ranges)
		if status != c.status || !strings.Contains(body, c.want) || strings.Contains(body, c.not) {
			t.Errorf("GET %s %s: %d %q, want %d with %q and without %q", c.path, c.ranges, status, body, c.status, c.want, c.not)
		}
	}
}
