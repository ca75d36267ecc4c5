package result

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where tells on what a run was made.
type Where struct {
	Machine string `json:"machine"`
	Kernel  string `json:"kernel"`
	CPUs    int    `json:"cpus"`
	Commit  string `json:"commit"` // of the dfetch or else of the checkout, with + if files differ from it
}

// Here describes this machine and the checkout in dir.
func Here(dir string) Where {
	w := Where{Machine: cpuModel(), CPUs: runtime.NumCPU(), Commit: commit(dir)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		w.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return w
}

// Of is w with the commit that a dfetch says it was built from, where it says that.
func (w Where) Of(dfetch string) Where {
	out, err := exec.Command(dfetch, "version").Output()
	if _, rest, ok := strings.Cut(string(out), "commit "); err == nil && ok {
		if id := strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }); len(id) > 0 {
			w.Commit = id[0]
		}
	}
	return w
}

// LoadAverage is the machine's, over the last minute; 0 if it does not tell.
func LoadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range bytes.Lines(text) {
		if key, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func commit(dir string) string {
	id, err := exec.Command("git", "-C", dir, "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	name := strings.TrimSpace(string(id))
	if exec.Command("git", "-C", dir, "diff", "--quiet", "HEAD", "--", "*.go").Run() != nil {
		name += "+"
	}
	return name
}
