package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"dfetch/recipe"
)

// Version is the protocol that this program speaks.
const Version = 1

// Code says why something will not come.
type Code uint16

// Codes. Their numbers are part of the protocol.
const (
	CodeRefused  Code = 1 // unknown recipe, no right, wrong token: one answer for all
	CodeChanged  Code = 2 // the file changed since the recipe was made
	CodeNotHeld  Code = 3 // no such chunk or node here
	CodeIO       Code = 4 // reading failed
	CodeProtocol Code = 5 // the peer broke the protocol
	CodeBusy     Code = 6 // over a limit; try later
	CodeClosing  Code = 7 // the server is going away
)

// Hello is the client's first frame.
type Hello struct {
	Versions []uint16  `cbor:"1,keyasint"`
	Recipe   recipe.ID `cbor:"2,keyasint"`
	Token    string    `cbor:"3,keyasint,omitempty"`
	Features uint64    `cbor:"4,keyasint,omitempty"` // Feature bits that the client can use
}

// Welcome is the server's answer.
type Welcome struct {
	Version  uint16 `cbor:"1,keyasint"`
	Root     []byte `cbor:"2,keyasint"` // raw root node
	Name     string `cbor:"3,keyasint,omitempty"`
	Features uint64 `cbor:"4,keyasint,omitempty"` // those of the client's that the server will use
}

// Features.
const (
	FeatureZstd   uint64 = 1 // zstd payloads
	FeatureFine   uint64 = 4 // ZOOM and FINE, GET_PARTS and PARTS
	FeatureStream uint64 = 8 // payloads that are pieces of one zstd stream
)

// Error is the last frame of a connection.
type Error struct {
	Code Code   `cbor:"1,keyasint"`
	Text string `cbor:"2,keyasint,omitempty"`
}

// NodeRef names a node.
type NodeRef struct {
	Kind recipe.Kind `cbor:"1,keyasint"`
	ID   recipe.ID   `cbor:"2,keyasint"`
}

// Nodes asks for nodes. The answer is NODE frames with its Seq, and NODES_END.
type Nodes struct {
	Seq       uint32    `cbor:"1,keyasint"`
	Refs      []NodeRef `cbor:"2,keyasint"`
	Recursive bool      `cbor:"3,keyasint,omitempty"` // and directory nodes below, in pre-order
	Lists     bool      `cbor:"4,keyasint,omitempty"` // and list nodes below
	Window    uint32    `cbor:"5,keyasint"`           // raw bytes that may be sent before the next MORE
}

// More gives room for more raw bytes of nodes. Zero bytes end the request early.
type More struct {
	Seq   uint32 `cbor:"1,keyasint"`
	Bytes uint32 `cbor:"2,keyasint"`
}

// NodesEnd ends the answer to a request for nodes. Code is zero if all were sent.
type NodesEnd struct {
	Seq  uint32 `cbor:"1,keyasint"`
	Code Code   `cbor:"2,keyasint,omitempty"`
	Text string `cbor:"3,keyasint,omitempty"`
}

// Ordinals is the body of GET, CANCEL and ZOOM: first and count, alternating.
type Ordinals struct {
	Ranges []uint64 `cbor:"1,keyasint"`
}

// Fail says that chunks will not come.
type Fail struct {
	Ranges []uint64 `cbor:"1,keyasint"` // first and count, alternating
	Code   Code     `cbor:"2,keyasint"`
	Text   string   `cbor:"3,keyasint,omitempty"`
}

// Limits of control messages.
const (
	MaxRanges   = 2048 // of one GET, CANCEL, FAIL or ZOOM
	MaxNodeRefs = 512  // of one NODES
	MaxText     = 1024 // bytes of a text
	MaxGets     = 32   // GET, GET_PARTS and ZOOM frames that a client sends ahead of TAKEN
	MaxNodeJobs = 8    // NODES requests of a connection at a time
)

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxArrayElements: 2 * MaxRanges,
		MaxMapPairs:      16,
		MaxNestedLevels:  4,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// AppendMessage appends a control frame. The body is one of the structs above.
func AppendMessage(dst []byte, t Type, body any) []byte {
	return AppendFrame(dst, t, must(encoding.Marshal(body)))
}

// Decode decodes a control body into one of the structs above. Its error is an ErrFrame.
func Decode(body []byte, into any) error {
	if err := decoding.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%T: %v: %w", into, err, ErrFrame)
	}
	if c, ok := into.(interface{ check() error }); ok {
		return c.check()
	}
	return nil
}

func (o *Ordinals) check() error { return checkRanges(o.Ranges) }

func (f *Fail) check() error {
	f.Text = clip(f.Text)
	return checkRanges(f.Ranges)
}

func (e *Error) check() error {
	e.Text = clip(e.Text)
	return nil
}

func (e *NodesEnd) check() error {
	e.Text = clip(e.Text)
	return nil
}

func (n *Nodes) check() error {
	if len(n.Refs) == 0 || len(n.Refs) > MaxNodeRefs {
		return fmt.Errorf("NODES of %d, want 1 to %d: %w", len(n.Refs), MaxNodeRefs, ErrFrame)
	}
	return nil
}

// checkRanges refuses odd lists, empty ranges and those that leave the numbers.
func checkRanges(flat []uint64) error {
	if len(flat)%2 != 0 || len(flat) == 0 {
		return fmt.Errorf("%d numbers are not ranges: %w", len(flat), ErrFrame)
	}
	for i := 0; i < len(flat); i += 2 {
		if first, count := flat[i], flat[i+1]; count == 0 || first+count < first {
			return fmt.Errorf("range %d+%d: %w", first, count, ErrFrame)
		}
	}
	return nil
}

// clip cuts a text that a peer sent.
func clip(text string) string {
	return text[:min(len(text), MaxText)]
}

// Encodings of a payload.
const (
	EncRaw    uint8 = 0
	EncZstd   uint8 = 1 // a zstd frame of its own
	EncStream uint8 = 2 // the next piece of the connection's stream of zstd frames; DATA and PARTS
)

// Data is the header of a DATA frame: N chunks from First on. Their lengths follow, four bytes each,
// then the payload.
type Data struct {
	First  uint64 // ordinal
	N      uint32 // chunks
	Enc    uint8
	RawLen uint32 // bytes of the chunks
	Pace
}

const dataSize = 8 + 4 + 1 + 4 + paceSize

// Pace is what a sender says of its connection.
type Pace struct {
	Rate   uint64 // delivery rate, bytes a second; zero is not known
	MinRTT uint32 // microseconds; zero is not known
	Unsent uint32 // bytes that wait in the sender's socket, at least 1; 0: see Starved
}

const paceSize = 8 + 4 + 4

// Starved says that the sender had run out of requests when this one came, while its network would have
// taken more.
func (p Pace) Starved() bool { return p.Unsent == 0 }

func (p Pace) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, p.Rate)
	dst = binary.LittleEndian.AppendUint32(dst, p.MinRTT)
	return binary.LittleEndian.AppendUint32(dst, p.Unsent)
}

// readPace reads what append wrote.
func readPace(p []byte) Pace {
	return Pace{
		Rate:   binary.LittleEndian.Uint64(p),
		MinRTT: binary.LittleEndian.Uint32(p[8:]),
		Unsent: binary.LittleEndian.Uint32(p[12:]),
	}
}

// DataOverhead is the bytes of a DATA body beside the payload, for n chunks.
func DataOverhead(n int) int { return dataSize + 4*n }

// MaxDataBody is the limit of a DATA body in a recipe whose chunks have at most maxChunk bytes.
func MaxDataBody(maxChunk int) int { return max(MaxRun, maxChunk) + MaxRun/4 }

// AppendData appends a DATA frame without its payload of n bytes.
func AppendData(dst []byte, d Data, lens []uint32, n int) []byte {
	dst = AppendHeader(dst, TypeData, DataOverhead(len(lens))+n)
	dst = binary.LittleEndian.AppendUint64(dst, d.First)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(lens)))
	dst = append(dst, d.Enc)
	dst = binary.LittleEndian.AppendUint32(dst, d.RawLen)
	dst = d.Pace.append(dst)
	for _, n := range lens {
		dst = binary.LittleEndian.AppendUint32(dst, n)
	}
	return dst
}

// ReadData reads the header and the lengths of a DATA body, whose payload remains. The lengths are
// a new slice. maxRaw bounds the raw bytes, which are the sum of the lengths.
func ReadData(r *Reader, maxRaw int) (Data, []uint32, error) {
	var head [dataSize]byte
	if err := r.ReadFull(head[:]); err != nil {
		return Data{}, nil, err
	}
	d := Data{
		First:  binary.LittleEndian.Uint64(head[0:]),
		N:      binary.LittleEndian.Uint32(head[8:]),
		Enc:    head[12],
		RawLen: binary.LittleEndian.Uint32(head[13:]),
		Pace:   readPace(head[17:]),
	}
	if err := d.check(r.Left(), maxRaw); err != nil {
		return Data{}, nil, err
	}
	lens, err := readLens(r, d)
	return d, lens, err
}

func (d *Data) check(left, maxRaw int) error {
	switch {
	case d.N == 0 || uint64(d.N)*4 > uint64(left):
		return fmt.Errorf("DATA of %d chunks in %d bytes: %w", d.N, left, ErrFrame)
	case d.First+uint64(d.N) < d.First:
		return fmt.Errorf("DATA from chunk %d on: %w", d.First, ErrFrame)
	case uint64(d.RawLen) > uint64(maxRaw):
		return fmt.Errorf("DATA of %d raw bytes, limit %d: %w", d.RawLen, maxRaw, ErrFrame)
	case d.Enc > EncStream:
		return fmt.Errorf("DATA in encoding %d: %w", d.Enc, ErrFrame)
	case d.Enc == EncRaw && uint64(left) != uint64(d.N)*4+uint64(d.RawLen):
		return fmt.Errorf("DATA of %d raw bytes in %d: %w", d.RawLen, left, ErrFrame)
	}
	return nil
}

func readLens(r *Reader, d Data) ([]uint32, error) {
	lens := make([]uint32, d.N)
	var buf [1024]byte
	sum := uint64(0)
	for i := 0; i < len(lens); {
		part := buf[:min(len(buf), 4*(len(lens)-i))]
		if err := r.ReadFull(part); err != nil {
			return nil, err
		}
		for ; len(part) > 0; part = part[4:] {
			lens[i] = binary.LittleEndian.Uint32(part)
			sum += uint64(lens[i])
			i++
		}
	}
	if sum != uint64(d.RawLen) {
		return nil, fmt.Errorf("DATA of %d raw bytes, its chunks have %d: %w", d.RawLen, sum, ErrFrame)
	}
	return lens, nil
}

// Node is the header of a NODE frame; the payload follows.
type Node struct {
	Seq    uint32
	Ref    NodeRef
	Enc    uint8
	RawLen uint32
}

const nodeSize = 4 + 1 + 1 + 4 + 32

// AppendNode appends a whole NODE frame.
func AppendNode(dst []byte, n Node, payload []byte) []byte {
	dst = AppendHeader(dst, TypeNode, nodeSize+len(payload))
	dst = binary.LittleEndian.AppendUint32(dst, n.Seq)
	dst = append(dst, byte(n.Ref.Kind), n.Enc)
	dst = binary.LittleEndian.AppendUint32(dst, n.RawLen)
	dst = append(dst, n.Ref.ID[:]...)
	return append(dst, payload...)
}

// ReadNode reads a NODE body. The payload is a new slice, still encoded.
func ReadNode(r *Reader) (Node, []byte, error) {
	var head [nodeSize]byte
	if err := r.ReadFull(head[:]); err != nil {
		return Node{}, nil, err
	}
	n := Node{
		Seq:    binary.LittleEndian.Uint32(head[0:]),
		Ref:    NodeRef{Kind: recipe.Kind(head[4])},
		Enc:    head[5],
		RawLen: binary.LittleEndian.Uint32(head[6:]),
	}
	copy(n.Ref.ID[:], head[10:])
	if n.RawLen > recipe.MaxNode || n.Enc > EncZstd || (n.Enc == EncRaw && int(n.RawLen) != r.Left()) {
		return Node{}, nil, fmt.Errorf("NODE of %d raw bytes in %d, encoding %d: %w", n.RawLen, r.Left(), n.Enc, ErrFrame)
	}
	payload := make([]byte, r.Left())
	return n, payload, r.ReadFull(payload)
}

// AppendTaken appends a TAKEN frame.
func AppendTaken(dst []byte, gets uint32) []byte {
	return AppendFrame(dst, TypeTaken, binary.LittleEndian.AppendUint32(nil, gets))
}

// DecodeTaken decodes the body of a TAKEN frame.
func DecodeTaken(body []byte) (uint32, error) {
	if len(body) != 4 {
		return 0, fmt.Errorf("TAKEN of %d bytes: %w", len(body), ErrFrame)
	}
	return binary.LittleEndian.Uint32(body), nil
}
