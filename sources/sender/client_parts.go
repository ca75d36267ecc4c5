package sender

import (
	"fmt"
	"time"

	"dfetch/recipe"
	"dfetch/sources"
	"dfetch/sources/wire"
)

// Every patch fits a table of parts.
const _ = uint(wire.MaxPartSpans - sources.MaxSpans)

// Zoom asks for fine lists. A server that has none answers as one that does not hold the chunks.
func (c *Client) Zoom(wants []sources.Want, answer func(sources.Want, recipe.FineList, error)) error {
	if !c.fine {
		return c.noZoom(wants, answer)
	}
	if !c.zooms.Waiting() {
		c.useful()
	}
	fresh, err := c.zooms.Ask(wants, answer)
	if err != nil {
		return err
	}
	c.out.zoom(fresh)
	return nil
}

func (c *Client) noZoom(wants []sources.Want, answer func(sources.Want, recipe.FineList, error)) error {
	if c.ctx.Err() != nil {
		return sources.ErrClosed
	}
	for _, w := range wants {
		answer(w, recipe.FineList{}, fmt.Errorf("sender %s has no fine lists: %w", c.cfg.Addr, sources.ErrNotHeld))
	}
	return nil
}

// takeFine hands fine lists to those who wait for them.
func (c *Client) takeFine(body []byte) error {
	lists, err := wire.DecodeFine(body)
	if err != nil {
		return err
	}
	c.zoomBytes.Add(int64(len(wire.AppendHeader(nil, wire.TypeFine, 0)) + len(body)))
	c.useful()
	for _, l := range lists {
		var reason error
		if l.Code != 0 {
			reason = fmt.Errorf("sender %s: fine list of chunk %d: %w", c.cfg.Addr, l.Ordinal, codeError(l.Code))
		}
		if err := c.zooms.Answer(l.Ordinal, l.FineList, reason); err != nil {
			return err
		}
	}
	return nil
}

// takeParts reads parts of chunks and hands them to the intake.
func (c *Client) takeParts() error {
	d, parts, err := wire.ReadParts(c.reader, c.maxRaw)
	if err != nil {
		return err
	}
	c.noteRTT(time.Duration(d.MinRTT) * time.Microsecond)
	came := make([]sources.Part, len(parts))
	wanted := false
	for i, p := range parts {
		came[i] = sources.Part{Ordinal: p.Ordinal, Spans: spansOf[sources.Span](p.Spans)}
		wanted = wanted || c.ledger.Wanted(p.Ordinal, 1)
	}
	buf, err := c.payload(wanted, d.Enc, d.RawLen)
	if err != nil {
		return err
	}
	return c.submit(func() error {
		return c.cfg.Intake.SubmitParts(c.ctx, c.ledger, sources.Parts{Chunks: came, Buf: buf})
	})
}

// partsOf is what wants with patches lack.
func partsOf(wants []sources.Want) []wire.Part {
	parts := make([]wire.Part, len(wants))
	for i := range wants {
		parts[i] = wire.Part{Ordinal: wants[i].Ordinal, Spans: spansOf[wire.Span](wants[i].Patch.Missing)}
	}
	return parts
}

// spansOf copies spans from one package's type to the other's.
func spansOf[To, From wire.Span | sources.Span](from []From) []To {
	to := make([]To, len(from))
	for i, s := range from {
		to[i] = To(s)
	}
	return to
}
