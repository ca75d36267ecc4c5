package netlab

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	minQueue    = 64 << 10
	defaultHold = time.Millisecond
	maxDelay    = time.Minute
	maxRate     = int64(1e12)
)

// Shape is what one direction of a wire does to packets. The zero Shape is a
// perfect wire: no limit, no delay, no loss.
type Shape struct {
	// Rate is in bits of IP packets per second. Zero means unlimited.
	Rate int64
	// Delay is the time from a packet's last bit to its delivery.
	Delay time.Duration
	// Jitter adds a uniform share of [0, Jitter) to Delay, drawn for each
	// packet. A packet never overtakes the one before it, so packets closer
	// together than Jitter are pushed towards the late end.
	Jitter time.Duration
	// Reorder is the probability (0..1) that a packet is held back by Hold, so
	// that later ones overtake it.
	Reorder float64
	// Hold is how long a reordered packet is held back. Zero means 1 ms.
	Hold time.Duration
	// Loss is the long-run share (0..1) of packets lost. A lost packet has used
	// its place in the queue and its time on the wire.
	Loss float64
	// Burst makes the loss a Gilbert–Elliott process: the mean stay, in packets,
	// in the bad state. Zero or one means that packets are lost independently.
	Burst float64
	// BadLoss is the loss probability in the bad state. Zero means 1.
	BadLoss float64
	// GoodLoss is the loss probability in the good state, below Loss.
	GoodLoss float64
	// Queue is how many bytes may wait while another packet is on the wire; the
	// packet that would exceed it is dropped. Zero means the larger of 64 KiB
	// and one bandwidth-delay product (Rate × both delays).
	Queue int64
}

// Settings are both directions of a wire from a to b: Up carries a's packets to
// b, Down carries b's to a.
type Settings struct {
	Up, Down Shape
}

// Both gives the two directions the same shape.
func Both(s Shape) Settings { return Settings{Up: s, Down: s} }

// Validate says which setting of which direction makes no sense.
func (s Settings) Validate() error {
	if err := s.Up.validate(); err != nil {
		return fmt.Errorf("netlab: up: %w", err)
	}
	if err := s.Down.validate(); err != nil {
		return fmt.Errorf("netlab: down: %w", err)
	}
	return nil
}

func (s Shape) validate() error {
	for _, p := range []struct {
		name  string
		value float64
	}{{"reorder", s.Reorder}, {"loss", s.Loss}, {"badloss", s.BadLoss}, {"goodloss", s.GoodLoss}} {
		if !(p.value >= 0 && p.value <= 1) {
			return fmt.Errorf("%s %g is not within 0..1", p.name, p.value)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"delay", s.Delay}, {"jitter", s.Jitter}, {"hold", s.Hold}} {
		if d.value < 0 || d.value > maxDelay {
			return fmt.Errorf("%s %v is not within 0..%v", d.name, d.value, maxDelay)
		}
	}
	if s.Rate < 0 || s.Rate > maxRate {
		return fmt.Errorf("rate %d is not within 0..%d", s.Rate, maxRate)
	}
	if s.Queue < 0 {
		return fmt.Errorf("queue %d is negative", s.Queue)
	}
	return s.validateBurst()
}

func (s Shape) validateBurst() error {
	if s.Burst == 0 {
		return nil
	}
	if !(s.Burst >= 1 && s.Burst <= 1e9) {
		return fmt.Errorf("burst %g is not a mean length of at least one packet", s.Burst)
	}
	if s.Burst == 1 || s.Loss == 0 {
		return nil
	}
	g := newGilbert(s)
	if s.Loss < s.GoodLoss || s.Loss >= g.badLoss || g.toBad > 1 {
		return fmt.Errorf("loss %g can't be reached with burst %g, badloss %g, goodloss %g",
			s.Loss, s.Burst, g.badLoss, s.GoodLoss)
	}
	return nil
}

// withDefaults fills in what zero means; the queue needs both directions' delays.
func (s Settings) withDefaults() Settings {
	rtt := s.Up.Delay + s.Down.Delay
	return Settings{Up: s.Up.withDefaults(rtt), Down: s.Down.withDefaults(rtt)}
}

func (s Shape) withDefaults(rtt time.Duration) Shape {
	if s.Queue == 0 {
		s.Queue = max(minQueue, int64(float64(s.Rate)/8*rtt.Seconds()))
	}
	if s.Hold == 0 {
		s.Hold = defaultHold
	}
	return s
}

// With returns the shape changed by a list such as
// "rate=20M delay=50ms jitter=5ms reorder=1 hold=2ms loss=1 burst=8 queue=256K".
// The keys are the fields' names in lower case; probabilities are in percent, a
// trailing % is allowed.
func (s Shape) With(list string) (Shape, error) {
	seen := map[string]bool{}
	for _, item := range strings.Fields(list) {
		key, value, found := strings.Cut(item, "=")
		if !found {
			return s, fmt.Errorf("netlab: setting %q is not key=value", item)
		}
		if seen[key] {
			return s, fmt.Errorf("netlab: setting %q: %s is there twice", item, key)
		}
		seen[key] = true
		if err := s.set(key, value); err != nil {
			return s, fmt.Errorf("netlab: setting %q: %w", item, err)
		}
	}
	return s, nil
}

func (s *Shape) set(key, value string) (err error) {
	switch key {
	case "rate":
		s.Rate, err = ParseRate(value)
	case "delay":
		s.Delay, err = time.ParseDuration(value)
	case "jitter":
		s.Jitter, err = time.ParseDuration(value)
	case "hold":
		s.Hold, err = time.ParseDuration(value)
	case "reorder":
		s.Reorder, err = ParsePercent(value)
	case "loss":
		s.Loss, err = ParsePercent(value)
	case "badloss":
		s.BadLoss, err = ParsePercent(value)
	case "goodloss":
		s.GoodLoss, err = ParsePercent(value)
	case "burst":
		s.Burst, err = strconv.ParseFloat(value, 64)
	case "queue":
		s.Queue, err = ParseSize(value)
	default:
		err = fmt.Errorf("no setting is called %q", key)
	}
	return err
}

// ParseRate reads bits per second with a decimal suffix: 20M, 1.544M, 1G.
func ParseRate(s string) (int64, error) { return parseScaled(s, 1000) }

// ParseSize reads bytes with a binary suffix: 64K is 65536.
func ParseSize(s string) (int64, error) { return parseScaled(s, 1024) }

// ParsePercent reads a percentage, with or without %, as a share of one.
func ParsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	return v / 100, err
}

func parseScaled(s string, base float64) (int64, error) {
	number, scale := s, 1.0
	if i := strings.IndexAny("KMGT", strings.ToUpper(lastByte(s))); s != "" && i >= 0 {
		number, scale = s[:len(s)-1], math.Pow(base, float64(i+1))
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, err
	}
	if v *= scale; !(v >= 0 && v < 1<<53) {
		return 0, fmt.Errorf("%s is out of range", s)
	}
	if v > 0 && v < 1 { // rounded, it might become nothing, which has a meaning of its own
		return 0, fmt.Errorf("%s is more than 0 and less than 1; a letter such as K or M after it multiplies it", s)
	}
	return int64(math.Round(v)), nil
}

func lastByte(s string) string { return s[max(0, len(s)-1):] }
