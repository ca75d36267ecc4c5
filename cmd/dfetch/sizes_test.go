package main

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		err  error
	}{
		{in: "0", want: 0},
		{in: "17", want: 17},
		{in: "17b", want: 17},
		{in: "1K", want: 1024},
		{in: "1k", want: 1024},
		{in: "64KiB", want: 64 << 10},
		{in: "1.5M", want: 3 << 19},
		{in: "0.1K", want: 102},
		{in: "2G", want: 2 << 30},
		{in: "3T", want: 3 << 40},
		{in: "9223372036854775807", want: math.MaxInt64},
		{in: "8388607T", want: 8388607 << 40},
		{in: "9223372036854775808", err: errTooLarge},
		{in: "8388608T", err: errTooLarge},
		{in: "0.0001K", err: errTooSmall},
		{in: "10MB", err: errDecimal},
		{in: "", err: errSizeSyntax},
		{in: "-1", err: errSizeSyntax},
		{in: "+1", err: errSizeSyntax},
		{in: "1e3", err: errSizeSyntax},
		{in: "0x10", err: errSizeSyntax},
		{in: "1/2", err: errSizeSyntax},
		{in: ".5K", err: errSizeSyntax},
		{in: "1.K", err: errSizeSyntax},
		{in: "1.2.3", err: errSizeSyntax},
		{in: "1_000", err: errSizeSyntax},
		{in: "1 K", err: errSizeSyntax},
		{in: "K", err: errSizeSyntax},
		{in: "100Mbit", err: errSizeSyntax},
		{in: strings.Repeat("9", 1000), err: errSizeSyntax},
	} {
		got, err := parseSize(tt.in)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("parseSize(%q) = %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64
		err  error
	}{
		{in: "0", want: 0},
		{in: "100", want: 100 << 10},
		{in: "1.5", want: 1536},
		{in: "100K", want: 100 << 10},
		{in: "1M", want: 1 << 20},
		{in: "500B", want: 500},
		{in: "8bit", want: 1},
		{in: "100Mbit", want: 12_500_000},
		{in: "2.5gbit", want: 312_500_000},
		{in: "1Kbit", want: 125},
		{in: "7bit", err: errTooSmall},
		{in: "10Mb", err: errDecimal},
		{in: "9007199254740993T", err: errTooLarge},
		{in: "fast", err: errRateSyntax},
		{in: "10M/s", err: errRateSyntax},
	} {
		got, err := parseRate(tt.in)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("parseRate(%q) = %d, %v; want %d, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestSizeErrorTexts(t *testing.T) {
	for in, want := range map[string]string{
		"ten":                 `"ten": not a size: want a number with K, M, G or T (powers of 1024 bytes), as 64K or 1.5G`,
		"10MB":                `"10MB": ambiguous unit: write K, M, G or T for powers of 1024 bytes, or a link rate in Kbit, Mbit or Gbit`,
		"9e9T":                `"9e9T": not a size: want a number with K, M, G or T (powers of 1024 bytes), as 64K or 1.5G`,
		"9999999999999999999": `"9999999999999999999": too large: the limit is 8388607T`,
	} {
		if _, err := parseSize(in); err == nil || err.Error() != want {
			t.Errorf("parseSize(%q): %v, want %s", in, err, want)
		}
	}
	_, err := parseRate("quick")
	const want = `"quick": not a rate: want KiB a second, a number with K, M, G or T (powers of 1024 bytes a second), or link bits as 100Mbit`
	if err == nil || err.Error() != want {
		t.Errorf("parseRate: %v, want %s", err, want)
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", -5: "-5 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB",
		10234: "9.99 KiB", 10235: "10.0 KiB", 102348: "99.9 KiB", 102400: "100 KiB",
		1023 << 10: "1.00 MiB", 1 << 20: "1.00 MiB", 1 << 30: "1.00 GiB", 5 << 40: "5.00 TiB",
		math.MaxInt64: "8.00 EiB", math.MinInt64: "-8.00 EiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("formatSize(%d) = %q, want %q", n, got, want)
		}
	}
	if got := formatRate(12.5 * (1 << 20)); got != "12.5 MiB/s" {
		t.Errorf("formatRate = %q", got)
	}
}

func TestSizeFlags(t *testing.T) {
	var size sizeFlag
	var rate rateFlag
	if err := errors.Join(size.Set("3M"), rate.Set("80Mbit")); err != nil {
		t.Fatal(err)
	}
	if size != 3<<20 || size.String() != "3M" {
		t.Errorf("size %d %q", int64(size), size.String())
	}
	if rate != 10_000_000 || rate.String() != "10000000B" {
		t.Errorf("rate %d %q", int64(rate), rate.String())
	}
}

// A size that is accepted is not negative, and what exactSize writes is read back.
func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"", "0", "1.5M", "64KiB", "100Mbit", "10MB", "9223372036854775808", "1e9", "0.00000001T", "１K", "Kbit"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, parse := range map[string]func(string) (int64, error){"size": parseSize, "rate": parseRate} {
			n, err := parse(s)
			if err != nil {
				if n != 0 {
					t.Errorf("%s %q: %d with error %v", name, s, n, err)
				}
				continue
			}
			if n < 0 {
				t.Errorf("%s %q: negative %d", name, s, n)
			}
			if again, err := parse(exactSize(n)); err != nil || again != n {
				t.Errorf("%s %q: %d is written %q and read back %d, %v", name, s, n, exactSize(n), again, err)
			}
		}
	})
}
