package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
)

// places finds the directories of the XDG base directory specification. The zero value asks the
// environment and, where HOME is not set, the user database.
type places struct {
	getenv func(string) string    // nil: os.Getenv
	home   func() (string, error) // nil: the user database; asked only without HOME
}

// config returns the directory of configuration and keys. It need not exist.
func (p places) config() (string, error) { return p.dir("XDG_CONFIG_HOME", ".config") }

// cache returns the directory of what can be made again: indexes and recipe nodes.
func (p places) cache() (string, error) { return p.dir("XDG_CACHE_HOME", ".cache") }

// state returns the directory of what a later run goes on from.
func (p places) state() (string, error) { return p.dir("XDG_STATE_HOME", ".local/state") }

// dir returns $variable/dfetch, or fallback/dfetch in the home directory. A variable with a
// relative path counts as not set, as the specification says.
func (p places) dir(variable, fallback string) (string, error) {
	if base := p.env(variable); filepath.IsAbs(base) {
		return filepath.Join(base, "dfetch"), nil
	}
	home, err := p.homeDir()
	if err != nil {
		return "", fmt.Errorf("%s: set it or HOME to an absolute path: %w", variable, err)
	}
	return filepath.Join(home, fallback, "dfetch"), nil
}

// homeDir returns $HOME, or what the user database says.
func (p places) homeDir() (string, error) {
	if home := p.env("HOME"); filepath.IsAbs(home) {
		return home, nil
	}
	lookup := p.home
	if lookup == nil {
		lookup = homeOfUser
	}
	home, err := lookup()
	if err == nil && !filepath.IsAbs(home) {
		err = fmt.Errorf("home directory %q is not an absolute path", home)
	}
	return home, err
}

func (p places) env(name string) string {
	if p.getenv == nil {
		return os.Getenv(name)
	}
	return p.getenv(name)
}

// homeOfUser asks the user database for the home directory of whoever runs this process.
func homeOfUser() (string, error) {
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("home directory: %w", err)
	}
	return u.HomeDir, nil
}
