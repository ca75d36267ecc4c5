// Package sources is the contract between the fetch loop and whatever brings chunks over a network.
//
// A source takes requests for chunks and hands each asked chunk to its sink exactly once: delivered,
// with bytes whose hash was checked, or failed, with a reason. In steps:
//
//  1. The loop calls Request with Wants. The source notes them as outstanding and returns at once.
//  2. Bytes arrive. The source looks up which outstanding wants they claim to be, hashes them, and
//     passes the good ones to Sink.Deliver. What was not asked, or comes twice, is counted and dropped.
//  3. A want that will not come (corrupt, refused, canceled, connection lost) goes to Sink.Fail.
//  4. When the source ends, every outstanding want has been failed; then Sink.Down is called, once.
//
// The package does not decide which source gets a want: that is the loop's work. Nor does it retry.
package sources

import (
	"errors"
	"time"

	"dfetch/recipe"
)

// Want is one chunk that is asked of a source. Patch is an offer: a source that can't fetch parts of
// chunks fetches the whole one. The wants that come back through the sink say by Patch which it was.
type Want struct {
	Ordinal uint64 // place of the chunk reference in recipe order
	ID      recipe.ID
	Len     uint32 // bytes
	Patch   *Patch // nil: the whole chunk is to come
}

// Batch is a run of verified chunks in one buffer.
type Batch struct {
	Wants []Want // in the order of Data
	Data  []byte // their bytes, one after the other
	Free  func() // gives Data back; nil if nothing is to be given back

	// Starved: the source had run out of wants before these, while its network would have taken more.
	Starved bool
}

// Release gives the batch's buffer back. Neither Wants nor Data may be used afterwards.
func (b *Batch) Release() {
	if b.Free != nil {
		b.Free()
	}
}

// Sink takes what a source brings. A source calls it from several goroutines at once.
type Sink interface {
	// Deliver takes verified chunks; the sink owns the batch and releases it. It may block:
	// that is back-pressure, and the source stops reading meanwhile.
	Deliver(b *Batch)
	// Fail says that these wants will not come from this source by this request. errors.Is(err, …)
	// tells the errors below apart.
	Fail(wants []Want, err error)
	// Down says that the source has ended. It is the last call.
	Down(err error)
}

// Source is one place that may hold chunks.
type Source interface {
	// Request asks for chunks, in the order in which they are wanted. It does not wait for the
	// network. A want that is outstanding already is ignored. After Close or Down it fails with ErrClosed.
	Request(wants []Want) error
	// Cancel gives wants back. Each is still either delivered or failed (ErrCanceled), once.
	Cancel(wants []Want)
	// Properties says what the source is. It does not change.
	Properties() Properties
	// Stats says how it does now.
	Stats() Stats
	// Close ends the source and waits for its goroutines. Outstanding wants fail with ErrClosed.
	Close() error
}

// Properties are facts about a source.
type Properties struct {
	Kind     string // the report's key: "sender", "udp", "swarm", "web"
	Name     string // what people call it: "sender host:port"
	HoldsAll bool   // holds every chunk of the recipe
}

// Zoomer is a source that can give fine lists (recipe.FineList) of the chunks that it holds.
type Zoomer interface {
	// Zoom asks for the fine lists of chunks, whose Patch is not looked at. It does not wait for the
	// network. Each want is answered once: with its list, whose lengths sum up to the want's, or with
	// an error as Sink.Fail has it. answer may be called from any goroutine, also before Zoom returns,
	// and must not block; the list must not be modified. A list proves nothing of the chunk's bytes. After Close or Down Zoom fails with ErrClosed and answers nothing; when
	// the source ends, what is not answered yet is answered with the reason, before Down.
	Zoom(wants []Want, answer func(w Want, fine recipe.FineList, err error)) error
}

// Stats are measured. Zero means not known yet.
type Stats struct {
	Rate        float64       // delivery rate, bytes a second
	MinRTT      time.Duration // smallest round trip
	Outstanding int64         // bytes asked for and neither delivered nor failed
	WireBytes   int64         // everything received, protocol included
	WireSent    int64         // everything sent, protocol included
	Rejected    int64         // chunks whose bytes did not match
	Unasked     int64         // chunks that nobody had asked for, or that came twice
	ZoomBytes   int64         // of WireBytes: fine lists
	Progress    time.Time     // when the last useful byte came
}

// Why a want will not come. ErrCorrupt and ErrChanged are about the chunk, ErrClosed is about the
// source; after ErrCanceled the chunk may be asked again anywhere. ErrPatch is about the patch: its parts came,
// but what was put together is not the chunk. Nobody is to blame for sure, and the whole chunk may be
// asked from the same source.
var (
	ErrCanceled = errors.New("request canceled")
	ErrClosed   = errors.New("source closed")
	ErrCorrupt  = errors.New("bytes do not match the chunk's id")
	ErrPatch    = errors.New("patched chunk does not match its id")
	ErrChanged  = errors.New("file changed at the source since the recipe was made")
	ErrNotHeld  = errors.New("source does not hold the chunk")
	ErrStalled  = errors.New("no progress")
	ErrRefused  = errors.New("identity or token refused")
	ErrProtocol = errors.New("peer broke the protocol")
)
