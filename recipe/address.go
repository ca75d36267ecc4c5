package recipe

import (
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Bounds of an address.
const (
	maxAddress = 32 << 10 // bytes
	maxHint    = 4 << 10  // bytes of one value
	maxHints   = 64       // values, all keys together
)

const (
	addressScheme = "dfetch:"
	pinPrefix     = "sha256-"
)

// Address names a recipe and says where to look for it:
//
//	dfetch:b3-…[/sub/path][?s=host:port&pin=sha256-…&xs=URL&m=URL&cs=URL&t=URL&bt=btih&k=ed25519-…&tk=…]
//
// The id alone authenticates content; everything else is an untrusted hint. Path and values are
// percent-encoded.
type Address struct {
	Hash     Hash
	ID       ID
	Path     string      // sub-path of the tree; "" for all of it
	Senders  []string    // s: host:port
	Pin      string      // pin: the senders' TLS key, sha256-…
	Files    []string    // xs: URLs of the .dfr
	Mirrors  []string    // m: URLs of mirrors of the original tree
	Stores   []string    // cs: URLs of casync stores
	Trackers []string    // t
	Torrent  string      // bt: BitTorrent info hash
	Key      string      // k: the expected signer, ed25519-…
	Token    string      // tk: access token, a secret
	Other    []AddedHint // keys that this version does not know, in order
}

// AddedHint is a hint whose key this version does not know. It is kept and not used.
type AddedHint struct{ Key, Value string }

// String is the text form. Hints stand in one fixed order.
func (a Address) String() string {
	var b strings.Builder
	b.WriteString(addressScheme + FormatID(a.Hash, a.ID))
	if a.Path != "" {
		for name := range strings.SplitSeq(a.Path, "/") {
			b.WriteString("/" + url.PathEscape(name))
		}
	}
	sep := "?"
	add := func(key string, values ...string) {
		for _, v := range values {
			if v != "" {
				b.WriteString(sep + url.QueryEscape(key) + "=" + escapeHint(v))
				sep = "&"
			}
		}
	}
	add("s", a.Senders...)
	add("pin", a.Pin)
	add("xs", a.Files...)
	add("m", a.Mirrors...)
	add("cs", a.Stores...)
	add("t", a.Trackers...)
	add("bt", a.Torrent)
	add("k", a.Key)
	add("tk", a.Token)
	for _, h := range a.Other {
		add(h.Key, h.Value)
	}
	return b.String()
}

// escapeHint is url.QueryEscape, but leaves what is harmless in a query readable.
func escapeHint(v string) string {
	return strings.NewReplacer("%3A", ":", "%2F", "/", "%5B", "[", "%5D", "]").Replace(url.QueryEscape(v))
}

// WithoutToken is the address less its access token: what may be logged.
func (a Address) WithoutToken() Address {
	a.Token = ""
	return a
}

// IsAddress says whether s is meant as an address, by its scheme.
func IsAddress(s string) bool { return strings.HasPrefix(s, addressScheme) }

// ParseAddress reads an address. It refuses a token without a pin, since the token would go to
// whoever answers. Errors do not repeat the token.
func ParseAddress(s string) (Address, error) {
	var a Address
	if len(s) > maxAddress {
		return a, over("address", "", maxAddress, len(s))
	}
	rest, ok := strings.CutPrefix(s, addressScheme)
	if !ok {
		return a, bad("", "address does not start with %s", addressScheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	digits, path, sub := strings.Cut(rest, "/")
	var err error
	if a.Hash, a.ID, err = ParseID(digits); err != nil {
		return Address{}, err
	}
	if a.Path, err = parseSubPath(path, sub); err != nil {
		return Address{}, err
	}
	if err := a.hints(query); err != nil {
		return Address{}, err
	}
	if a.Token != "" && a.Pin == "" {
		return Address{}, bad("", "address has a token (tk) but no pin: the token would go to whoever answers")
	}
	return a, nil
}

func parseSubPath(path string, sub bool) (string, error) {
	path = strings.TrimSuffix(path, "/")
	if !sub || path == "" {
		return "", nil
	}
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		name, err := url.PathUnescape(part)
		if err != nil {
			return "", bad("", "address's path is not percent-encoded")
		}
		if err := CheckName(name); err != nil {
			return "", &FormatError{What: "address's path", Err: err}
		}
		names = append(names, name)
	}
	path = strings.Join(names, "/")
	if err := CheckPath(path); err != nil {
		return "", &FormatError{What: "address's path", Err: err}
	}
	return path, nil
}

func (a *Address) hints(query string) error {
	n := 0
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		if n++; n > maxHints {
			return over("number of hints in an address", "", maxHints, n)
		}
		k, v, _ := strings.Cut(part, "=")
		key, err1 := url.QueryUnescape(k)
		value, err2 := url.QueryUnescape(v)
		switch {
		case err1 != nil || err2 != nil:
			return bad("", "address's hint %.20q is not percent-encoded", k)
		case len(value) > maxHint || len(key) > maxHint:
			return over("hint of an address", key[:min(len(key), 20)], maxHint, max(len(value), len(key)))
		case value == "":
			continue
		}
		if err := a.hint(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (a *Address) hint(key, value string) error {
	switch key {
	case "s":
		a.Senders = append(a.Senders, value)
		return checkHostPort(value)
	case "xs":
		a.Files = append(a.Files, value)
		return checkURL(key, value)
	case "m":
		a.Mirrors = append(a.Mirrors, value)
		return checkURL(key, value)
	case "cs":
		a.Stores = append(a.Stores, value)
		return checkURL(key, value)
	case "t":
		a.Trackers = append(a.Trackers, value)
		return checkURL(key, value)
	case "pin":
		if !strings.HasPrefix(value, pinPrefix) || len(value) == len(pinPrefix) || len(value) > 128 {
			return bad("", "address's pin does not read %s…", pinPrefix)
		}
		return once(&a.Pin, key, value)
	case "bt":
		return once(&a.Torrent, key, value)
	case "k":
		if _, err := ParseKey(value); err != nil {
			return err
		}
		return once(&a.Key, key, value)
	case "tk":
		return once(&a.Token, key, value)
	}
	if key != "" {
		a.Other = append(a.Other, AddedHint{key, value})
	}
	return nil
}

func once(field *string, key, value string) error {
	if *field != "" {
		return bad("", "address has %s twice", key)
	}
	*field = value
	return nil
}

func checkHostPort(value string) error {
	host, port, err := net.SplitHostPort(value)
	if err != nil || host == "" || strings.ContainsAny(host, " /@\x00") {
		return bad("", "address's sender %.80q is not host:port", value)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("", "address's sender %.80q has no port from 1 to 65535", value)
	}
	return nil
}

func checkURL(key, value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" && u.Opaque == "" {
		return bad("", "address's %s %.80q is not a URL", key, value)
	}
	return nil
}

// Equal says whether two addresses are the same in every part.
func (a Address) Equal(b Address) bool {
	return a.Hash == b.Hash && a.ID == b.ID && a.Path == b.Path && a.Pin == b.Pin && a.Torrent == b.Torrent &&
		a.Key == b.Key && a.Token == b.Token &&
		slices.Equal(a.Senders, b.Senders) && slices.Equal(a.Files, b.Files) && slices.Equal(a.Mirrors, b.Mirrors) &&
		slices.Equal(a.Stores, b.Stores) && slices.Equal(a.Trackers, b.Trackers) && slices.Equal(a.Other, b.Other)
}
