package scenarios

import (
	"fmt"
	"strconv"
	"strings"
)

// Claim is one statement of the paper beside what the results of this lab say
// to it. It is written
//
//	claim = TEXT | PAPER'S FIGURE | FORMULA
//
// where FORMULA is one of
//
//	seconds A @ PART        the median time of peer A
//	MB/s A @ PART           its throughput
//	ratio A / B @ PART      the ratio of two times
//	difference A - B @ PART their difference in seconds
//	receiver-MiB A @ PART   the peak memory of a receiver's process
//	sender-MiB A @ PART     that of a sender's
//	wire-ratio A / B @ PART the ratio of two links' bytes, both directions
//	figure:NAME A @ PART    another figure of the results
//
// Of several cells the median time counts, and of all else the largest figure or,
// for a goal that wants at least so much, the least.
//
// A and B are peers, each with parts of a cell's name that must be there, such
// as rsync,state=empty; the PART after the @ holds for both and may be "any".
type Claim struct {
	Text, Paper string
	Kind        string
	A, B        Selector
}

// Bound reads Paper as a goal's limit: "<= 1.15" or ">= 750".
func (c Claim) Bound() (limit float64, atMost bool, err error) {
	operator, text, _ := strings.Cut(c.Paper, " ")
	limit, err = strconv.ParseFloat(text, 64)
	if err != nil || operator != "<=" && operator != ">=" {
		return 0, false, fmt.Errorf("%q: want <= or >= and a number", c.Paper)
	}
	return limit, operator == "<=", nil
}

// Selector picks cells: of one peer, with all of these parts in their names.
type Selector struct {
	Peer  string
	Parts []string
}

// Matches tells whether a cell of this name is picked.
func (s Selector) Matches(cell string) bool {
	return hasParts(cell, []string{"peer=" + s.Peer}) && hasParts(cell, s.Parts)
}

// hasParts tells whether a cell's name has all of these parts.
func hasParts(cell string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(cell+"/", "/"+p+"/") {
			return false
		}
	}
	return true
}

func parseClaim(v string) (Claim, error) {
	parts := strings.Split(v, "|")
	if len(parts) != 3 {
		return Claim{}, fmt.Errorf("want TEXT | PAPER | FORMULA")
	}
	for i := range parts {
		if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" {
			return Claim{}, fmt.Errorf("want TEXT | PAPER | FORMULA, none of them empty")
		}
	}
	c := Claim{Text: parts[0], Paper: parts[1]}
	return c, c.parseFormula(parts[2])
}

// operators are what stands between the operands of each kind of formula.
var operators = map[string]string{"seconds": "", "MB/s": "", "ratio": "/", "difference": "-", "receiver-MiB": "", "sender-MiB": "", "wire-ratio": "/"}

// figurePrefix comes before the name of a figure that has no kind of its own.
const figurePrefix = "figure:"

// Figure is the name of the figure that a claim is about, empty if it is about another kind of formula.
func (c Claim) Figure() string {
	name, ok := strings.CutPrefix(c.Kind, figurePrefix)
	if !ok {
		return ""
	}
	return name
}

func (c *Claim) parseFormula(text string) error {
	expression, where, ok := strings.Cut(text, "@")
	fields := strings.Fields(expression)
	if !ok || len(fields) < 2 {
		return fmt.Errorf("%q: want KIND A [OPERATOR B] @ PART", text)
	}
	operator, known := operators[fields[0]]
	if !known && (Claim{Kind: fields[0]}).Figure() == "" {
		return fmt.Errorf("%q: want a kind of formula", fields[0])
	}
	c.Kind = fields[0]
	switch {
	case operator == "" && len(fields) == 2:
		c.A = selector(fields[1], where)
	case operator != "" && len(fields) == 4 && fields[2] == operator:
		c.A, c.B = selector(fields[1], where), selector(fields[3], where)
	default:
		return fmt.Errorf("%q: operands don't fit %s", text, c.Kind)
	}
	return nil
}

func selector(operand, where string) Selector {
	parts := strings.Split(operand, ",")
	s := Selector{Peer: parts[0], Parts: parts[1:]}
	for _, p := range strings.Fields(where) {
		if p != "any" {
			s.Parts = append(s.Parts, p)
		}
	}
	return s
}
