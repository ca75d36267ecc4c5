package recipe

import (
	"crypto/ed25519"
	"strings"
	"testing"
)

const zeroID = "b3-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestAddressesComeBack(t *testing.T) {
	key := FormatKey(make(ed25519.PublicKey, 32))
	for _, a := range []Address{
		{Hash: BLAKE3, ID: ID{1, 2, 3}},
		{Hash: SHA256, ID: ID{31: 255}, Path: "a dir/b%2f?#\xff/ü"},
		{
			Hash: BLAKE3, ID: ID{9}, Path: "x", Senders: []string{"host:7433", "[2001:db8::1]:1", "[fe80::1%eth0]:2"},
			Pin: "sha256-abc_DEF-0=", Files: []string{"https://e.org/a.dfr?x=1&y=2"}, Mirrors: []string{"http://a/", "http://b/ü"},
			Stores: []string{"s3://bucket/x"}, Trackers: []string{"udp://t:1/announce"}, Torrent: strings.Repeat("a", 40),
			Key: key, Token: "s3 cr&t+/=", Other: []AddedHint{{"new", "1"}, {"new", "2"}, {"a&b", "c=d"}},
		},
	} {
		got, err := ParseAddress(a.String())
		if err != nil || !got.Equal(a) {
			t.Errorf("%s: %v\n%+v", a, err, got)
		}
	}
}

func TestAddressText(t *testing.T) {
	a := Address{Hash: BLAKE3, Path: "sub/a b", Senders: []string{"h:1", "[::1]:2"}, Pin: "sha256-x", Mirrors: []string{"http://m/"}, Token: "t"}
	want := "dfetch:" + zeroID + "/sub/a%20b?s=h:1&s=[::1]:2&pin=sha256-x&m=http://m/&tk=t"
	if a.String() != want {
		t.Errorf("%s, want %s", a, want)
	}
	if s := a.WithoutToken().String(); strings.Contains(s, "tk") || a.Token == "" {
		t.Error(s)
	}
	if !IsAddress(want) || IsAddress("http://x/") {
		t.Error("IsAddress")
	}
}

func TestAddressRefuses(t *testing.T) {
	id := "dfetch:" + zeroID
	for s, want := range map[string]string{
		"http://x":                                 "does not start with dfetch:",
		"dfetch:":                                  "starts with neither",
		"dfetch:b4-" + zeroID[3:]:                  "starts with neither",
		"dfetch:" + zeroID[:50]:                    "47 characters",
		id[:len(id)-1] + "b":                       "not base 32",
		"dfetch:" + strings.ToUpper(id[7:]):        "starts with neither",
		"dfetch:b3-" + strings.ToUpper(zeroID[3:]): "not base 32",
		id + "/..":                                 `name ".."`,
		id + "/a//b":                               `name ""`,
		id + "/%2e%2e/x":                           `name ".."`,
		id + "/a%2fb":                              "slash",
		id + "/%zz":                                "percent-encoded",
		id + "?s=%zz":                              "percent-encoded",
		id + "?s=host":                             "not host:port",
		id + "?s=:1":                               "not host:port",
		id + "?s=::1:2":                            "not host:port",
		id + "?s=h:0":                              "no port",
		id + "?s=h:65536":                          "no port",
		id + "?s=h:http":                           "no port",
		id + "?m=nothing":                          "not a URL",
		id + "?xs=%00":                             "not a URL",
		id + "?pin=md5-x":                          "pin does not read",
		id + "?k=rsa-x":                            "does not start with ed25519-",
		id + "?k=ed25519-x":                        "1 characters",
		id + "?bt=a&bt=b":                          "bt twice",
		id + "?tk=secret":                          "token (tk) but no pin",
		id + "?pin=sha256-x&tk=secret&tk=b":        "tk twice",
		id + "?" + strings.Repeat("x=y&", 65):      "number of hints",
		id + "?x=" + strings.Repeat("y", 5000):     "hint of an address",
	} {
		_, err := ParseAddress(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", s, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error repeats the token: %v", err)
		}
	}
	for _, s := range []string{id, id + "/", id + "?", id + "/a/", id + "?&tk=&", id + "?future=1"} {
		if _, err := ParseAddress(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestIDsComeBack(t *testing.T) {
	s := newSampler(1, MaskFull, 0)
	for range 100 {
		id := s.id()
		for _, h := range []Hash{BLAKE3, SHA256} {
			gotH, got, err := ParseID(FormatID(h, id))
			if err != nil || got != id || gotH != h {
				t.Fatal(err)
			}
		}
	}
	if (ID{}).String() != zeroID || !(ID{}).IsZero() || (ID{1}).IsZero() {
		t.Error("zero ID")
	}
}

func TestKindsSeparateIDs(t *testing.T) {
	seen := map[ID]bool{}
	for _, h := range []Hash{BLAKE3, SHA256} {
		seen[h.Chunk([]byte("x"))] = true
		for k := KindRoot; k <= KindXattr; k++ {
			seen[h.Node(k, []byte("x"))] = true
		}
	}
	if len(seen) != 10 {
		t.Error(len(seen))
	}
	if BLAKE3.Node(KindDir, []byte("x")) != BLAKE3.Chunk([]byte("dfr1/dir\x00x")) || SHA256.Node(KindRoot, nil) != SHA256.Chunk([]byte("dfr1/root\x00")) {
		t.Error("a node's id is not the hash of domain, NUL and bytes")
	}
	data := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() { BLAKE3.Chunk(data) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
