// Package wire is what the sources that talk to dfetch peers share: who the peer is, and frames.
//
// Identity. A sender keeps a self-made key pair on disk. An address carries the key's pin: the hash
// of the public key. A client accepts the peer that holds the pinned key and no other; there is no
// certificate authority, and names and dates in certificates mean nothing. What a client may fetch is
// said by a bearer token. TLS 1.3 only, session tickets off, protocols chosen by ALPN.
//
// Frames. After the handshake both sides send frames: a type, a length, a body. In steps:
//
//  1. A Reader reads a header and checks the length against the limit of its type.
//  2. Control bodies are CBOR, read whole and decoded under limits. DATA, PARTS and NODE have a binary
//     header, and their payload is read straight into the buffer that it stays in. FINE is binary too.
//  3. A type that is not known is skipped if its high bit is set, and breaks the protocol if not.
//
// The package does not know what a chunk is, and it verifies no content.
package wire
