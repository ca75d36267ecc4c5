package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"dfetch/recipe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIdentityIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	a, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a.Pin() != b.Pin() || CheckPin(a.Pin()) != nil {
		t.Fatalf("pins %q and %q", a.Pin(), b.Pin())
	}
	path := filepath.Join(dir, identityFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("a key that all can read: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		t.Fatalf("left over: %v", left)
	}
}

func TestBadIdentityIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, identityFile)
	for _, text := range []string{"", "nonsense", strings.Repeat("x", maxIdentity+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%.10q: %v", text, err)
		}
	}
}

func TestToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tokens")
	a, err := LoadToken(dir, "x")
	if err != nil || len(a) != 22 {
		t.Fatalf("%q, %v", a, err)
	}
	b, _ := LoadToken(dir, "x")
	c, _ := LoadToken(dir, "y")
	if !SameToken(a, b) || SameToken(a, c) || SameToken(a, a+"x") || SameToken(a, "") {
		t.Fatalf("tokens %q %q %q", a, b, c)
	}
	for _, name := range []string{"../x", "a/b", "..", "."} {
		if _, err := LoadToken(dir, name); err == nil {
			t.Errorf("name %q was taken", name)
		}
	}
}

// Servers of one tree may start at the same time. Each gets the token, and none sees half of it.
func TestTokenIsMadeOnce(t *testing.T) {
	for round := range 50 {
		dir := filepath.Join(t.TempDir(), "tokens")
		var tokens [4]string
		var errs [4]error
		var wg sync.WaitGroup
		for i := range tokens {
			wg.Go(func() { tokens[i], errs[i] = LoadToken(dir, "x") })
		}
		wg.Wait()
		for i, got := range tokens {
			if errs[i] != nil || got != tokens[0] {
				t.Fatalf("round %d: %q and %q, %v", round, got, tokens[0], errs[i])
			}
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Fatalf("%d files are left", len(left))
		}
	}
}

// shake does a handshake in memory and returns the client's error.
func shake(t *testing.T, server, client *tls.Config) error {
	a, b := net.Pipe()
	s := tls.Server(a, server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Handshake()
		_, _ = io.Copy(io.Discard, s)
	}()
	err := tls.Client(b, client).Handshake()
	_ = b.Close()
	<-done
	_ = a.Close()
	return err
}

func TestPin(t *testing.T) {
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewIdentity()
	right, _ := ClientTLS(id.Pin())
	wrong, _ := ClientTLS(other.Pin())
	if err := shake(t, ServerTLS(id), right); err != nil {
		t.Errorf("right pin: %v", err)
	}
	if err := shake(t, ServerTLS(id), wrong); !errors.Is(err, ErrPin) {
		t.Errorf("wrong pin: %v, want ErrPin", err)
	}
	old := ServerTLS(id)
	old.MinVersion, old.MaxVersion = 0, tls.VersionTLS12
	if err := shake(t, old, right); err == nil {
		t.Error("TLS 1.2 was taken")
	}
	silent := ServerTLS(id)
	silent.NextProtos = nil
	if err := shake(t, silent, right); err == nil {
		t.Error("a server without dfetch/1 was taken")
	}
	for _, pin := range []string{"", "sha256-", "sha256-AAAA", "md5-" + id.Pin(), id.Pin() + "A"} {
		if _, err := ClientTLS(pin); err == nil {
			t.Errorf("pin %q was taken", pin)
		}
	}
}

func TestMessagesComeBack(t *testing.T) {
	for _, m := range []struct {
		t    Type
		in   any
		into any
	}{
		{TypeHello, &Hello{Versions: []uint16{1}, Recipe: recipe.ID{1}, Token: "t", Features: 1}, new(Hello)},
		{TypeWelcome, &Welcome{Version: 1, Root: []byte("root"), Name: "n"}, new(Welcome)},
		{TypeError, &Error{Code: CodeBusy, Text: "text"}, new(Error)},
		{TypeNodes, &Nodes{Seq: 1, Refs: []NodeRef{{Kind: 2, ID: recipe.ID{3}}}, Recursive: true, Window: 5}, new(Nodes)},
		{TypeMore, &More{Seq: 1, Bytes: 2}, new(More)},
		{TypeNodesEnd, &NodesEnd{Seq: 1}, new(NodesEnd)},
		{TypeGet, &Ordinals{Ranges: []uint64{1, 2, 3, 4}}, new(Ordinals)},
		{TypeFail, &Fail{Ranges: []uint64{1, 2}, Code: CodeChanged, Text: "t"}, new(Fail)},
	} {
		r := NewReader(bytes.NewReader(AppendMessage(nil, m.t, m.in)), 0)
		got, _, err := r.Next()
		if err != nil || got != m.t {
			t.Fatalf("%T: type %d, %v", m.in, got, err)
		}
		body, err := r.Control()
		if err == nil {
			err = Decode(body, m.into)
		}
		if err != nil || !reflect.DeepEqual(m.in, m.into) {
			t.Errorf("%T: %+v came back as %+v, %v", m.in, m.in, m.into, err)
		}
	}
}

func TestFullMessagesFitTheirFrames(t *testing.T) {
	full := make([]uint64, 2*MaxRanges)
	for i := range full {
		full[i] = 1 << 60
	}
	refs := make([]NodeRef, MaxNodeRefs)
	for name, frame := range map[string][]byte{
		"GET":   AppendMessage(nil, TypeGet, Ordinals{Ranges: full}),
		"FAIL":  AppendMessage(nil, TypeFail, Fail{Ranges: full, Text: strings.Repeat("x", MaxText)}),
		"NODES": AppendMessage(nil, TypeNodes, Nodes{Refs: refs}),
	} {
		if len(frame) > MaxControl {
			t.Errorf("%s has %d bytes, limit %d", name, len(frame), MaxControl)
		}
	}
	if n := len(AppendMessage(nil, TypeWelcome, Welcome{Root: make([]byte, recipe.MaxRoot)})); n > MaxWelcome {
		t.Errorf("WELCOME has %d bytes, limit %d", n, MaxWelcome)
	}
}

func TestReaderRefuses(t *testing.T) {
	huge := AppendHeader(nil, TypeGet, MaxControl+1)
	for name, c := range map[string]struct {
		bytes []byte
		want  error
	}{
		"end":       {nil, io.EOF},
		"cut head":  {[]byte{1, 2}, io.ErrUnexpectedEOF},
		"cut body":  {AppendHeader(nil, TypeHello, 5), io.ErrUnexpectedEOF},
		"unknown":   {AppendFrame(nil, 77, nil), ErrFrame},
		"too large": {huge, ErrFrame},
		"data":      {AppendHeader(nil, TypeData, 101), ErrFrame},
	} {
		r := NewReader(bytes.NewReader(c.bytes), 100)
		_, _, err := r.Next()
		if err == nil {
			_, err = r.Control()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestUnknownOptionalFramesAreSkipped(t *testing.T) {
	p := AppendFrame(nil, optional|5, make([]byte, 1000))
	p = AppendFrame(p, TypePing, make([]byte, 8))
	r := NewReader(bytes.NewReader(p), 0)
	if got, n, err := r.Next(); got != TypePing || n != 8 || err != nil {
		t.Fatalf("type %d of %d bytes, %v", got, n, err)
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("a body that was not read was not skipped: %v", err)
	}
}

func TestDataComesBack(t *testing.T) {
	d := Data{First: 7, N: 2, RawLen: 30, Pace: Pace{Rate: 1e9, MinRTT: 5, Unsent: 6}}
	p := append(AppendData(nil, d, []uint32{10, 20}, 30), make([]byte, 30)...)
	r := NewReader(bytes.NewReader(p), 1000)
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	got, lens, err := ReadData(r, 100)
	if err != nil || got != d || lens[0] != 10 || lens[1] != 20 || r.Left() != 30 {
		t.Fatalf("%+v %v %d left, %v", got, lens, r.Left(), err)
	}
}

func TestDataRefuses(t *testing.T) {
	for name, p := range map[string][]byte{
		"no chunks":     AppendData(nil, Data{}, nil, 0),
		"wrong sum":     append(AppendData(nil, Data{N: 1, RawLen: 30}, []uint32{29}, 30), make([]byte, 30)...),
		"payload short": append(AppendData(nil, Data{N: 1, RawLen: 30}, []uint32{30}, 29), make([]byte, 29)...),
		"too large":     append(AppendData(nil, Data{N: 1, RawLen: 300}, []uint32{300}, 300), make([]byte, 300)...),
		"encoding":      append(AppendData(nil, Data{N: 1, RawLen: 3, Enc: 9}, []uint32{3}, 3), make([]byte, 3)...),
		"wraps":         append(AppendData(nil, Data{First: ^uint64(0), N: 1, RawLen: 3}, []uint32{3}, 3), make([]byte, 3)...),
	} {
		r := NewReader(bytes.NewReader(p), 1000)
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ReadData(r, 100); !errors.Is(err, ErrFrame) {
			t.Errorf("%s: %v, want ErrFrame", name, err)
		}
	}
}

// FuzzFrames feeds any bytes to everything that reads frames.
func FuzzFrames(f *testing.F) {
	f.Add(AppendMessage(nil, TypeHello, Hello{Versions: []uint16{1}}))
	f.Add(AppendMessage(nil, TypeWelcome, Welcome{Version: 1, Root: []byte("root")}))
	f.Add(AppendMessage(nil, TypeNodes, Nodes{Seq: 1, Refs: []NodeRef{{Kind: 2}}}))
	f.Add(AppendMessage(nil, TypeGet, Ordinals{Ranges: []uint64{1, 2}}))
	f.Add(AppendMessage(nil, TypeFail, Fail{Ranges: []uint64{1, 2}, Code: 2}))
	f.Add(append(AppendData(nil, Data{N: 1, RawLen: 3}, []uint32{3}, 3), 1, 2, 3))
	f.Add(AppendNode(nil, Node{Seq: 1, RawLen: 3}, []byte{1, 2, 3}))
	f.Add(AppendTaken(nil, 3))
	table := AppendPart(nil, Part{Ordinal: 3, Spans: []Span{{0, 1}, {5, 2}}})
	f.Add(append(AppendPartsFrame(nil, Parts{RawLen: 3}, table, 3), 1, 2, 3))
	f.Fuzz(func(t *testing.T, p []byte) {
		r := NewReader(bytes.NewReader(p), 4096)
		for {
			kind, n, err := r.Next()
			if err != nil {
				return
			}
			if n > max(MaxWelcome, MaxNodeFrame) {
				t.Fatalf("frame of %d bytes", n)
			}
			readBody(t, r, kind)
		}
	})
}

func readBody(t *testing.T, r *Reader, kind Type) {
	switch kind {
	case TypeData:
		if d, lens, err := ReadData(r, 2048); err == nil && (len(lens) != int(d.N) || d.RawLen > 2048) {
			t.Fatalf("%+v with %d lengths", d, len(lens))
		}
		return
	case TypeParts:
		if d, parts, err := ReadParts(r, 2048); err == nil && (len(parts) == 0 || d.RawLen > 2048) {
			t.Fatalf("%+v with %d parts", d, len(parts))
		}
		return
	case TypeNode:
		if n, payload, err := ReadNode(r); err == nil && n.Enc == EncRaw && int(n.RawLen) != len(payload) {
			t.Fatalf("%+v with %d bytes", n, len(payload))
		}
		return
	}
	body, err := r.Control()
	if err != nil {
		return
	}
	for _, into := range []any{new(Hello), new(Welcome), new(Error), new(Nodes), new(More), new(NodesEnd), new(Ordinals), new(Fail)} {
		_ = Decode(body, into)
	}
	_, _ = DecodeTaken(body)
}

func FuzzIdentity(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = parseKey(text) })
}

func TestConnBuffersUntilFlush(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	c := NewConn(a)
	c.Buffer()
	for range 10 {
		if _, err := c.Write([]byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	if _, out := c.Counts(); out != 0 {
		t.Fatalf("%d bytes were sent before Flush", out)
	}
	got := make(chan string)
	go func() {
		p := make([]byte, 200)
		n, _ := b.Read(p)
		got <- string(p[:n])
	}()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != strings.Repeat("0123456789", 10) {
		t.Fatalf("one write of %d bytes", len(s))
	}
}

func TestConnReadsInAnySteps(t *testing.T) {
	data := bytes.Repeat([]byte("abcdefg"), 100_000)
	a, b := net.Pipe()
	go func() {
		_, _ = b.Write(data)
		_ = b.Close()
	}()
	c := NewConn(a)
	var got []byte
	for step := 1; ; step = step*3%500_000 + 1 {
		p := make([]byte, step)
		n, err := c.Read(p)
		got = append(got, p[:n]...)
		if err != nil {
			break
		}
	}
	if in, _ := c.Counts(); !bytes.Equal(got, data) || in != int64(len(data)) {
		t.Fatalf("%d bytes of %d came, %d were counted", len(got), len(data), in)
	}
}

// slowReader gives what it has and says how often it was asked.
type slowReader struct {
	data  []byte
	asked int
}

func (r *slowReader) Read(p []byte) (int, error) {
	r.asked++
	n := copy(p, r.data)
	r.data = r.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestReaderIsReadyForWholeFrames(t *testing.T) {
	ping := AppendFrame(nil, TypePing, make([]byte, 8))
	ping = ping[:len(ping):len(ping)]
	other := AppendFrame(nil, 0x90, []byte("of a later version")) // may be skipped
	other = other[:len(other):len(other)]
	for _, c := range []struct {
		name  string
		after []byte // the first PING
		body  bool   // of it was read
		want  bool
	}{
		{"nothing", nil, true, false},
		{"half a header", ping[:3], true, false},
		{"half a body", ping[:9], true, false},
		{"a frame", ping, true, true},
		{"a frame, body before it not read", ping, false, true},
		{"half a frame, body before it not read", ping[:9], false, false},
		{"a frame and more", append(ping, 1, 2), true, true},
		{"a frame to skip", other, true, false},
		{"frames to skip, body before them not read", append(other, other...), false, false},
		{"a frame and one to skip before it", append(other, ping...), true, true},
		{"half a frame and one to skip before it", append(other, ping[:9]...), true, false},
		{"half a frame to skip", other[:9], true, false},
		{"a frame that is not known", AppendFrame(nil, 0x70, nil), true, true},
	} {
		src := &slowReader{data: append(ping, c.after...)}
		r := NewReader(src, 0)
		if r.Ready() {
			t.Errorf("%s: ready before anything was read", c.name)
		}
		_, _, err := r.Next()
		if err == nil && c.body {
			_, err = r.Control()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Ready(); got != c.want || src.asked != 1 {
			t.Errorf("%s: ready %v, want %v; asked %d times", c.name, got, c.want, src.asked)
		}
	}
}
