package main

import (
	"errors"
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	noHome := errors.New("no such user")
	for _, tt := range []struct {
		name   string
		env    map[string]string
		home   string
		config string // empty: an error
		state  string
	}{
		{"home", map[string]string{"HOME": "/h"}, "", "/h/.config/dfetch", "/h/.local/state/dfetch"},
		{"variables", map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s/"}, "", "/c/dfetch", "/s/dfetch"},
		{"relative variable is ignored", map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "c"}, "", "/h/.config/dfetch", "/h/.local/state/dfetch"},
		{"no HOME, user known", nil, "/u", "/u/.config/dfetch", "/u/.local/state/dfetch"},
		{"relative HOME, user known", map[string]string{"HOME": "h"}, "/u", "/u/.config/dfetch", "/u/.local/state/dfetch"},
		{"no HOME, user without one", map[string]string{"XDG_STATE_HOME": "/s"}, "nowhere", "", "/s/dfetch"},
		{"nothing", nil, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := places{
				getenv: func(name string) string { return tt.env[name] },
				home: func() (string, error) {
					if tt.home == "" {
						return "", noHome
					}
					return tt.home, nil
				},
			}
			check := func(what, want string, ask func() (string, error)) {
				got, err := ask()
				if got != want || (err != nil) != (want == "") {
					t.Errorf("%s: %q, %v; want %q", what, got, err, want)
				}
			}
			check("config", tt.config, p.config)
			check("state", tt.state, p.state)
		})
	}
}

func TestPlacesErrorNamesTheVariable(t *testing.T) {
	p := places{getenv: func(string) string { return "" }, home: func() (string, error) { return "", errors.New("no such user") }}
	_, err := p.cache()
	if want := "XDG_CACHE_HOME: set it or HOME to an absolute path: no such user"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The zero value asks the process's own environment and user.
func TestZeroPlaces(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/var/cache/x")
	if dir, err := (places{}).cache(); err != nil || dir != "/var/cache/x/dfetch" {
		t.Errorf("cache: %q, %v", dir, err)
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_CONFIG_HOME", "")
	if dir, err := (places{}).config(); err != nil || !strings.HasSuffix(dir, "/.config/dfetch") {
		t.Errorf("config without HOME: %q, %v", dir, err)
	}
}
