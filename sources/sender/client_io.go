package sender

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"dfetch/sources"
	"dfetch/sources/wire"
)

// ErrHungUp means that the server closed the connection without a word. One that is at its limit of
// connections does so.
var ErrHungUp = errors.New("server closed the connection")

// readLoop takes the server's frames until the connection ends.
func (c *Client) readLoop() {
	for {
		t, n, err := c.reader.Next()
		if errors.Is(err, io.EOF) {
			err = ErrHungUp
		}
		c.lastRead.Store(c.clock())
		if err == nil {
			err = c.take(t, n)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// take acts on one frame.
func (c *Client) take(t wire.Type, n int) error {
	switch t {
	case wire.TypeData:
		return c.takeData()
	case wire.TypeParts:
		return c.takeParts()
	case wire.TypeNode:
		return c.takeNode()
	}
	body, err := c.reader.Control()
	if err != nil {
		return err
	}
	switch t {
	case wire.TypeTaken:
		return c.takeTaken(body)
	case wire.TypeFail:
		return c.takeFail(body)
	case wire.TypeFine:
		return c.takeFine(body)
	case wire.TypeNodesEnd:
		return c.takeNodesEnd(body)
	case wire.TypePing:
		c.out.say(wire.AppendFrame(nil, wire.TypePong, body))
		return nil
	case wire.TypePong:
		return c.takePong(body)
	case wire.TypeError:
		return decodeError(body)
	}
	return fmt.Errorf("frame %d of %d bytes from a server: %w", t, n, wire.ErrFrame)
}

// takeData reads a run of chunks and hands it to the intake.
func (c *Client) takeData() error {
	d, lens, err := wire.ReadData(c.reader, c.maxRaw)
	if err != nil {
		return err
	}
	c.noteRTT(time.Duration(d.MinRTT) * time.Microsecond)
	buf, err := c.payload(c.ledger.Wanted(d.First, uint64(d.N)), d.Enc, d.RawLen)
	if err != nil {
		return err
	}
	return c.submit(func() error {
		return c.cfg.Intake.Submit(c.ctx, c.ledger, sources.Run{First: d.First, Lens: lens, Buf: buf, Starved: d.Starved()})
	})
}

// payload reads the payload of DATA or PARTS. wanted says whether somebody waits for it.
func (c *Client) payload(wanted bool, enc uint8, rawLen uint32) (*sources.Buffer, error) {
	if over := c.ledger.Strays() - c.canceled.Load(); over > maxStrays {
		return nil, fmt.Errorf("server sent %d bytes that nobody asked for: %w", over, sources.ErrProtocol)
	}
	buf := sources.NewBuffer(c.reader.Left())
	if err := c.readPayload(buf.Data, wanted); err != nil {
		buf.Release()
		return nil, err
	}
	if enc == wire.EncRaw {
		return buf, nil
	}
	return c.inflate(buf, enc, rawLen)
}

// readPayload reads in steps, so that a slow link shows progress inside a large frame.
func (c *Client) readPayload(p []byte, wanted bool) error {
	const step = 256 << 10
	for len(p) > 0 {
		n := min(step, len(p))
		if err := c.reader.ReadFull(p[:n]); err != nil {
			return err
		}
		p = p[n:]
		now := c.clock()
		c.lastRead.Store(now)
		if wanted {
			c.lastUseful.Store(now)
		}
	}
	return nil
}

// inflate replaces a compressed payload by what it holds.
func (c *Client) inflate(packed *sources.Buffer, enc uint8, rawLen uint32) (*sources.Buffer, error) {
	defer packed.Release()
	buf := sources.NewBuffer(int(rawLen))
	if enc == wire.EncStream {
		if err := c.stream.unpack(buf.Data, packed.Data); err != nil {
			buf.Release()
			return nil, err
		}
		return buf, nil
	}
	out, err := unpack(buf.Data[:0:len(buf.Data)], enc, packed.Data, int(rawLen))
	if err != nil {
		buf.Release()
		return nil, err
	}
	copy(buf.Data, out) // nothing, if out lies in the buffer
	return buf, nil
}

// submit hands to the intake and waits for room there. That is back-pressure from our side, so the stall
// timer stands still.
func (c *Client) submit(hand func() error) error {
	c.busy.Store(true)
	err := hand()
	now := c.clock()
	c.lastRead.Store(now)
	c.lastUseful.Store(max(now, c.lastUseful.Load()))
	c.busy.Store(false)
	return err
}

func (c *Client) takeTaken(body []byte) error {
	n, err := wire.DecodeTaken(body)
	if err != nil {
		return err
	}
	return c.out.taken(n)
}

func (c *Client) takeFail(body []byte) error {
	var f wire.Fail
	if err := wire.Decode(body, &f); err != nil {
		return err
	}
	c.ledger.Fail(unflatten(f.Ranges), fmt.Errorf("sender %s: %s: %w", c.cfg.Addr, f.Text, codeError(f.Code)))
	c.useful()
	return nil
}

func (c *Client) takePong(body []byte) error {
	if len(body) != 8 {
		return fmt.Errorf("PONG of %d bytes: %w", len(body), wire.ErrFrame)
	}
	sent := int64(binary.LittleEndian.Uint64(body))
	c.noteRTT(time.Duration(c.clock() - sent))
	return nil
}

// writeLoop sends what the outbox has.
func (c *Client) writeLoop() {
	for {
		p := c.out.take()
		if len(p) > 0 {
			if err := c.send(p); err != nil {
				c.fail(fmt.Errorf("write: %w", err))
				return
			}
			continue
		}
		select {
		case <-c.ctx.Done():
			return
		case <-c.out.ready:
		}
	}
}

func (c *Client) send(p []byte) error {
	if _, err := c.tls.Write(p); err != nil {
		return err
	}
	return c.under.Flush()
}

// watch is the stall timer, and sends PING.
func (c *Client) watch() {
	every := max(10*time.Millisecond, min(c.cfg.StallTimeout, c.cfg.IdleTimeout, pingAfter)/10)
	tick := time.NewTicker(every)
	defer tick.Stop()
	c.ping()
	lastPing := c.cfg.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		now := c.cfg.Now()
		if err := c.stalled(now); err != nil {
			c.fail(err)
			return
		}
		if now.Sub(lastPing) >= pingAfter {
			c.ping()
			lastPing = now
		}
	}
}

// stalled says what is wrong if nothing moves. It blames nobody while our own side is the slow one.
func (c *Client) stalled(now time.Time) error {
	if c.busy.Load() {
		return nil
	}
	since := func(t int64) time.Duration { return now.Sub(c.began) - time.Duration(t) }
	waiting := c.ledger.Stats().Outstanding > 0 || c.zooms.Waiting() || c.nodes.waiting()
	switch {
	case waiting && since(c.lastUseful.Load()) >= c.cfg.StallTimeout:
		return fmt.Errorf("nothing useful came for %v: %w", c.cfg.StallTimeout, sources.ErrStalled)
	case since(c.lastRead.Load()) >= pingAfter+c.cfg.IdleTimeout:
		return fmt.Errorf("peer is silent for %v: %w", pingAfter+c.cfg.IdleTimeout, sources.ErrStalled)
	}
	return nil
}

func (c *Client) ping() {
	body := binary.LittleEndian.AppendUint64(nil, uint64(c.clock()))
	c.out.say(wire.AppendFrame(nil, wire.TypePing, body))
}

// wait waits for a channel, a caller, or the client's end.
func wait[T any](ctx context.Context, c *Client, ch <-chan T) (v T, err error) {
	select {
	case v = <-ch:
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	case <-c.ctx.Done():
		return v, context.Cause(c.ctx)
	}
}
