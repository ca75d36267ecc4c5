package result

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FileSystem is the kind of file system that a folder lies on, such as ext4; empty if that can't be told.
func FileSystem(dir string) string {
	full, err := filepath.Abs(dir)
	if err == nil {
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return ""
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	return fileSystemOf(string(table), full)
}

// fileSystemOf looks up the last of the mounts that are closest above a path: it hides the ones before it.
func fileSystemOf(table, path string) (kind string) {
	closest := 0
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		end := slices.Index(f, "-")
		if len(f) < 5 || end < 0 || end+1 >= len(f) {
			continue
		}
		at := mountEscapes.Replace(f[4])
		if above(at, path) && len(at) >= closest {
			closest, kind = len(at), f[end+1]
		}
	}
	return kind
}

// mountEscapes are how the table writes what would break its form.
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// above tells whether a path is dir or lies below it.
func above(dir, path string) bool {
	return dir == path || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
