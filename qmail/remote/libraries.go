package remote

import (
	"io"
	"time"
)

// Libraries is what only the second binary can do. Each function may be nil.
type Libraries struct {
	// TLS begins TLS on a connection, as its client.
	TLS func(conn Connection, o TLSOptions) (SecureConnection, *TLSFailure)

	// Mechanisms returns ways to log in, the best first.
	Mechanisms func(credentials Credentials) []Mechanism

	// ASCII returns the name under which a host whose name is not ASCII is
	// found in DNS (RFC 5891).
	ASCII func(host string) (string, error)

	// Fields returns header fields to put in front of a message, such as a
	// signature: whole lines that end with LF. It must read the message
	// through the reader alone, which is where the message begins, and may
	// leave it anywhere. An error defers the message. It is called only where
	// control files ask for signatures.
	Fields func(sender string, message io.ReadSeeker) ([]byte, error)
}

// needsLibraries reports whether the delivery needs the second binary from its
// start. STARTTLS is not known by then; see exchange.becomeSecure.
func (d *Delivery) needsLibraries() bool {
	r, routed := d.route()
	return d.Config.Signs || routed && (r.port == smtpsPort || r.User != "") || d.international()
}

// TLSOptions is how TLS is to begin.
type TLSOptions struct {
	Name        string        // of the host; empty where only its address is known
	Authorities string        // file below the qmail home with who must vouch for the host; empty: anybody may be it
	Timeout     time.Duration // for the handshake
}

// SecureConnection is a connection with TLS. Close takes leave of the other
// side and leaves the connection below open.
type SecureConnection interface {
	Connection
	io.Closer
}

// TLSFailure is why TLS did not come about.
type TLSFailure struct {
	Text      string // in the words of the TLS patch
	Connected bool   // the handshake succeeded, but the host is not who it should be
}

// Credentials are a user's at a relay.
type Credentials struct{ User, Password string }

// Mechanism is a way to log in, as package go-sasl has it.
type Mechanism interface {
	// Start returns the mechanism's name, and what is to be said first if
	// that needs no challenge.
	Start() (name string, initial []byte, err error)
	// Next answers a challenge.
	Next(challenge []byte) (response []byte, err error)
}
