package main

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// maxNumber bounds the text of a size, so that a long one costs nothing.
const maxNumber = 40

// unit is a suffix of a size or rate, and the bytes that it stands for: num/den.
type unit struct {
	suffix   string
	num, den int64
}

// byteUnits are powers of 1024 bytes. The longest suffix stands first.
var byteUnits = []unit{
	{"kib", 1 << 10, 1}, {"mib", 1 << 20, 1}, {"gib", 1 << 30, 1}, {"tib", 1 << 40, 1},
	{"k", 1 << 10, 1}, {"m", 1 << 20, 1}, {"g", 1 << 30, 1}, {"t", 1 << 40, 1},
	{"b", 1, 1},
}

// bitUnits are powers of 1000 bits, as the rates of links are told.
var bitUnits = []unit{
	{"kbit", 1e3, 8}, {"mbit", 1e6, 8}, {"gbit", 1e9, 8}, {"tbit", 1e12, 8},
	{"bit", 1, 8},
}

// Why a size or rate is refused. The texts follow the refused word and a colon.
var (
	errSizeSyntax = errors.New("not a size: want a number with K, M, G or T (powers of 1024 bytes), as 64K or 1.5G")
	errRateSyntax = errors.New("not a rate: want KiB a second, a number with K, M, G or T (powers of 1024 bytes a second), or link bits as 100Mbit")
	errDecimal    = errors.New("ambiguous unit: write K, M, G or T for powers of 1024 bytes, or a link rate in Kbit, Mbit or Gbit")
	errTooLarge   = errors.New("too large: the limit is 8388607T")
	errTooSmall   = errors.New("less than one byte; 0 means none")
)

// parseSize reads a size: bytes, or a number with a unit of byteUnits. A part of a byte is cut off.
func parseSize(s string) (int64, error) {
	n, err := parseNumber(s, byteUnits, unit{"", 1, 1}, errSizeSyntax)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", clip(s), err)
	}
	return n, nil
}

// parseRate reads a rate and returns bytes a second. A plain number is KiB a second, as rsync's
// --bwlimit has it; 0 is a rate, which commands take as "no limit".
func parseRate(s string) (int64, error) {
	units := append(append([]unit(nil), bitUnits...), byteUnits...)
	n, err := parseNumber(s, units, unit{"", 1 << 10, 1}, errRateSyntax)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", clip(s), err)
	}
	return n, nil
}

// parseNumber reads a decimal number and its unit; without one, plain is it.
func parseNumber(s string, units []unit, plain unit, syntax error) (int64, error) {
	if len(s) > maxNumber {
		return 0, syntax
	}
	number, suffix := splitNumber(strings.ToLower(s))
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, syntax
	}
	u, err := findUnit(suffix, units, plain, syntax)
	if err != nil {
		return 0, err
	}
	return wholeBytes(value.Mul(value, big.NewRat(u.num, u.den)))
}

// splitNumber cuts s behind its leading digits, with at most one point between two of them.
// Without such digits the number is empty.
func splitNumber(s string) (number, suffix string) {
	end := countDigits(s)
	if end == 0 {
		return "", s
	}
	if rest := s[end:]; strings.HasPrefix(rest, ".") {
		if more := countDigits(rest[1:]); more > 0 {
			end += 1 + more
		}
	}
	return s[:end], s[end:]
}

// countDigits returns how many digits s starts with.
func countDigits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// findUnit returns the unit of a suffix.
func findUnit(suffix string, units []unit, plain unit, syntax error) (unit, error) {
	if suffix == "" {
		return plain, nil
	}
	for _, u := range units {
		if u.suffix == suffix {
			return u, nil
		}
	}
	switch suffix {
	case "kb", "mb", "gb", "tb":
		return unit{}, errDecimal
	}
	return unit{}, syntax
}

// wholeBytes cuts a value to whole bytes.
func wholeBytes(v *big.Rat) (int64, error) {
	whole := new(big.Int).Quo(v.Num(), v.Denom())
	switch {
	case !whole.IsInt64():
		return 0, errTooLarge
	case whole.Sign() == 0 && v.Sign() != 0:
		return 0, errTooSmall
	}
	return whole.Int64(), nil
}

// clip shortens a word that an error quotes.
func clip(s string) string {
	if len(s) > maxNumber {
		return s[:maxNumber] + "…"
	}
	return s
}

// formatSize writes a size for people, with three digits that count: "0 B", "16.0 KiB".
func formatSize(n int64) string {
	if -1024 < n && n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, prefix := float64(n)/1024, 0
	for math.Abs(value) >= 999.5 && prefix < len("KMGTPE")-1 {
		value /= 1024
		prefix++
	}
	digits := 2
	switch a := math.Abs(value); {
	case a >= 99.95:
		digits = 0
	case a >= 9.995:
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + "KMGTPE"[prefix:prefix+1] + "iB"
}

// formatRate writes a rate in bytes a second for people.
func formatRate(bytesPerSecond float64) string {
	return formatSize(int64(bytesPerSecond)) + "/s"
}

// exactSize writes a size so that parseSize and parseRate read the same number back.
func exactSize(n int64) string {
	if n == 0 {
		return "0"
	}
	for i, suffix := range []string{"T", "G", "M", "K"} {
		if size := int64(1) << (40 - 10*i); n%size == 0 {
			return strconv.FormatInt(n/size, 10) + suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// sizeFlag and rateFlag are flags that hold a size in bytes and a rate in bytes a second.
type (
	sizeFlag int64
	rateFlag int64
)

var (
	_ pflag.Value = (*sizeFlag)(nil)
	_ pflag.Value = (*rateFlag)(nil)
)

// String implements pflag.Value.
func (f *sizeFlag) String() string { return exactSize(int64(*f)) }

// Type implements pflag.Value: the word that help shows for the value.
func (f *sizeFlag) Type() string { return "SIZE" }

// Set implements pflag.Value.
func (f *sizeFlag) Set(s string) error {
	n, err := parseSize(s)
	*f = sizeFlag(n)
	return err
}

// String implements pflag.Value.
func (f *rateFlag) String() string { return exactSize(int64(*f)) }

// Type implements pflag.Value: the word that help shows for the value.
func (f *rateFlag) Type() string { return "RATE" }

// Set implements pflag.Value.
func (f *rateFlag) Set(s string) error {
	n, err := parseRate(s)
	*f = rateFlag(n)
	return err
}
