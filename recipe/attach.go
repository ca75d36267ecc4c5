package recipe

// Bounds of the attachments of one recipe.
const (
	MaxAttachments    = 16 << 20 // bytes, encoded
	maxAttachments    = 4096     // their number
	maxAttachmentType = 64       // bytes of a type's name
)

// Types of attachments that this package knows by name. Others are kept as they are.
const (
	AttachMirror    = "mirror"    // URL of a mirror of the original tree
	AttachStore     = "casync"    // URL of a casync chunk store
	AttachSender    = "sender"    // host:port of a sender
	AttachTorrent   = "torrent"   // BitTorrent metainfo
	AttachSignature = "signature" // see Signature
)

// Attachment is something that goes with a recipe without being part of its id. Anyone may add
// one, so nothing in it is to be trusted unless a signature covers it.
type Attachment struct {
	Type string `cbor:"1,keyasint"`
	Data []byte `cbor:"2,keyasint"`
}

// ID is what a signature covers an attachment by.
func (a Attachment) ID() ID {
	raw, err := cborModes().Marshal(a)
	if err != nil {
		panic("recipe: attachment: " + err.Error()) // a string and bytes always encode
	}
	return BLAKE3.Chunk(raw)
}

// EncodeAttachments is the CBOR of a recipe's attachments.
func EncodeAttachments(as []Attachment) ([]byte, error) {
	if err := checkAttachments(as); err != nil {
		return nil, err
	}
	if as == nil {
		as = []Attachment{}
	}
	raw, err := cborModes().Marshal(as)
	if err != nil {
		return nil, &FormatError{What: "attachments", Err: err}
	}
	if len(raw) > MaxAttachments {
		return nil, over("attachments", "", MaxAttachments, len(raw))
	}
	return raw, nil
}

// DecodeAttachments reads what EncodeAttachments wrote.
func DecodeAttachments(raw []byte) ([]Attachment, error) {
	if len(raw) > MaxAttachments {
		return nil, over("attachments", "", MaxAttachments, len(raw))
	}
	var as []Attachment
	if err := cborModes().Unmarshal(raw, &as); err != nil {
		return nil, &FormatError{What: "attachments are not readable", Err: err}
	}
	return as, checkAttachments(as)
}

func checkAttachments(as []Attachment) error {
	if len(as) > maxAttachments {
		return over("number of attachments", "", maxAttachments, len(as))
	}
	for _, a := range as {
		if a.Type == "" {
			return bad("", "attachment without a type")
		}
		if len(a.Type) > maxAttachmentType {
			return over("attachment's type", a.Type[:maxAttachmentType], maxAttachmentType, len(a.Type))
		}
	}
	return nil
}
