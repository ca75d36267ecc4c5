package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dfetch/eval/netlab"
)

func TestParse(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("at 1s down rate=1M\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := parse([]string{"p2p", "--rate", "100M", "--rtt", "100ms", "--loss", "1", "--down", "rate=8M queue=64K",
		"--script", script, "--", "echo", "--rate"})
	if err != nil {
		t.Fatal(err)
	}
	want := netlab.Both(netlab.Shape{Rate: 100e6, Delay: 50 * time.Millisecond, Loss: 0.01})
	want.Down.Rate, want.Down.Queue = 8e6, 65536
	if o.link != want || strings.Join(o.command, " ") != "echo --rate" {
		t.Errorf("link %+v, command %q", o.link, o.command)
	}
	if len(o.script) != 1 || o.script[0].Settings.Down.Rate != 1e6 || o.script[0].Settings.Up.Rate != 100e6 {
		t.Errorf("script %+v", o.script)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"ring"}, {"p2p", "--rate", "x"}, {"p2p", "--up", "a=b"}, {"star", "--uplink", "x"},
		{"p2p", "--disk-bytes", "?"}, {"p2p", "--script", "/nonexistent"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
}

func TestRunGivesTheCommandItsHosts(t *testing.T) {
	if err := netlab.Supported(); err != nil {
		t.Skip(err)
	}
	counters := filepath.Join(t.TempDir(), "counters")
	err := run(context.Background(), []string{"sites", "--n", "1", "--counters", counters, "--", "sh", "-c",
		`test "$($R1_IN cat /proc/sys/net/ipv4/tcp_congestion_control)" = cubic && test -n "$S_NS$R1_ADDR6" && exit 7`})
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("%v, want the command's exit code 7", err)
	}
	b, err := os.ReadFile(counters)
	if err != nil || strings.Count(string(b), "\n") != 3 || !strings.Contains(string(b), `"A":"x","B":"y"`) {
		t.Errorf("counters %s, %v", b, err)
	}
}
