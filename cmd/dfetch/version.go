package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// The Makefile sets these with -ldflags -X; a build without it leaves them empty.
var (
	buildVersion string
	buildCommit  string
)

// newVersionCmd makes "dfetch version".
func newVersionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine(info))
			return err
		},
	}
}

// versionLine tells what this build is. info may be nil.
func versionLine(info *debug.BuildInfo) string {
	if info == nil {
		info = new(debug.BuildInfo)
	}
	version := cmp.Or(buildVersion, info.Main.Version, "(devel)")
	commit := cmp.Or(buildCommit, setting(info, "vcs.revision"), "unknown")
	if buildCommit == "" && setting(info, "vcs.modified") == "true" {
		commit += " (modified)"
	}
	return fmt.Sprintf("dfetch %s, commit %s, %s %s/%s", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// setting returns a build setting, or "".
func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
