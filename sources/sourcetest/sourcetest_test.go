package sourcetest

import (
	"testing"

	"go.uber.org/goleak"

	"dfetch/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFaulty(t *testing.T) {
	Run(t, func(_ *testing.T, cfg Config) sources.Source { return NewFaulty(cfg) })
}
