package wire

import (
	"crypto/tls"
	"fmt"
)

// Protocols that a sender's port speaks.
const (
	ALPN     = "dfetch/1"
	ALPNHTTP = "http/1.1"
)

// ServerTLS is the configuration of a port that speaks dfetch/1 and HTTP.
func ServerTLS(id *Identity) *tls.Config {
	return &tls.Config{
		Certificates:                []tls.Certificate{id.cert},
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{ALPN, ALPNHTTP},
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
	}
}

// ClientTLS is the configuration of a client that wants the peer with this pin. The handshake fails
// with ErrPin if it is another one.
func ClientTLS(pin string) (*tls.Config, error) {
	if err := CheckPin(pin); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{ALPN},
		SessionTicketsDisabled:      true,
		DynamicRecordSizingDisabled: true,
		InsecureSkipVerify:          true, // the pin is the whole check
		VerifyConnection:            func(state tls.ConnectionState) error { return verify(state, pin) },
	}, nil
}

func verify(state tls.ConnectionState, pin string) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("no certificate: %w", ErrPin)
	}
	if got := pinOf(state.PeerCertificates[0]); !samePin(got, pin) {
		return fmt.Errorf("peer has %s, address says %s: %w", got, pin, ErrPin)
	}
	if state.NegotiatedProtocol != ALPN {
		return fmt.Errorf("peer speaks %q, not %s", state.NegotiatedProtocol, ALPN)
	}
	return nil
}
