package netlab

import (
	"bufio"
	"fmt"
	"strings"
	"time"
)

// maxSteps bounds a script.
const maxSteps = 10000

// Step is one change of a wire: from At on, counted from the script's start, it
// has these settings.
type Step struct {
	At       time.Duration
	Settings Settings
}

// ParseScript reads changes, one a line, in the order of their times:
//
//	# when  which     settings as in Shape.With
//	at 5s   both      rate=5M
//	at 10s  up        loss=1 delay=80ms
//
// The direction may be left out and is both then. What a line doesn't name stays
// as it was; base is how the wire starts. Errors name the line.
func ParseScript(base Settings, text string) ([]Step, error) {
	var steps []Step
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		step, err := parseStep(base, line)
		if err != nil {
			return nil, fmt.Errorf("netlab: script line %d: %w", n, err)
		}
		if len(steps) > 0 && step.At < steps[len(steps)-1].At {
			return nil, fmt.Errorf("netlab: script line %d: %v is before the line above", n, step.At)
		}
		if len(steps) == maxSteps {
			return nil, fmt.Errorf("netlab: script line %d: more than %d changes", n, maxSteps)
		}
		steps, base = append(steps, step), step.Settings
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("netlab: script: %w", err)
	}
	return steps, nil
}

func parseStep(base Settings, line string) (Step, error) {
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "at" {
		return Step{}, fmt.Errorf("%q is not \"at TIME [both|up|down] key=value…\"", strings.TrimSpace(line))
	}
	at, err := time.ParseDuration(f[1])
	if err != nil {
		return Step{}, err
	}
	if at < 0 {
		return Step{}, fmt.Errorf("time %v is negative", at)
	}
	f = f[2:]
	up, down := f[0] != "down", f[0] != "up"
	if !strings.Contains(f[0], "=") {
		if f[0] != "both" && f[0] != "up" && f[0] != "down" {
			return Step{}, fmt.Errorf("direction %q is not both, up or down", f[0])
		}
		f = f[1:]
	}
	s, err := base.with(up, down, strings.Join(f, " "))
	return Step{At: at, Settings: s}, err
}

func (s Settings) with(up, down bool, list string) (Settings, error) {
	var err error
	if up {
		if s.Up, err = s.Up.With(list); err != nil {
			return s, err
		}
	}
	if down {
		if s.Down, err = s.Down.With(list); err != nil {
			return s, err
		}
	}
	return s, s.Validate()
}
