package torrent

import (
	"crypto/sha1"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMetainfo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	content := make([]byte, pieceLength+10)
	content[0] = 1
	if err := os.WriteFile(name, content, 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := Metainfo(name, "http://t/announce")
	if err != nil {
		t.Fatal(err)
	}
	a, b := sha1.Sum(content[:pieceLength]), sha1.Sum(content[pieceLength:])
	want := fmt.Sprintf("d8:announce17:http://t/announce4:infod6:lengthi%de4:name4:file12:piece lengthi%de6:pieces40:%s%see",
		len(content), pieceLength, a[:], b[:])
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := Metainfo(name+"x", "u"); err == nil {
		t.Error("a file that is not there has a torrent")
	}
}

func announce(t *Tracker, from, port, hash, event string) (int, string) {
	r := httptest.NewRequest("GET", "/announce?info_hash="+url.QueryEscape(hash)+"&port="+port+"&event="+event, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestTracker(t *testing.T) {
	var tracker Tracker
	one, two := strings.Repeat("\x01", 20), strings.Repeat("\x02", 20)
	const none = "d8:intervali5e5:peers0:e"
	for _, tt := range []struct{ from, hash, event, want string }{
		{"10.0.0.1:900", one, "started", none},
		{"10.0.0.1:901", one, "", none}, // itself is not told
		{"10.0.0.2:900", one, "started", "d8:intervali5e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"},
		{"10.0.0.3:900", two, "started", none},
		{"10.0.0.1:902", one, "stopped", "d8:intervali5e5:peers6:\x0a\x00\x00\x02\x1a\xe1e"},
		{"10.0.0.2:903", one, "", none},
	} {
		code, got := announce(&tracker, tt.from, "6881", tt.hash, tt.event)
		if code != 200 || got != tt.want {
			t.Errorf("%s %s: %d %q, want %q", tt.from, tt.event, code, got, tt.want)
		}
	}
	for _, bad := range [][3]string{{"10.0.0.1:1", "x", one}, {"10.0.0.1:1", "1", "short"}, {"[fd00::1]:1", "1", one}, {"10.0.0.1:1", "70000", one}} {
		if code, _ := announce(&tracker, bad[0], bad[1], bad[2], ""); code != 400 {
			t.Errorf("%v: %d", bad, code)
		}
	}
}
