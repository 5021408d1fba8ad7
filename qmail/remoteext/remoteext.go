// Package remoteext is what qmail-remote can do only in the second binary: TLS
// with the control files of the TLS patch, logging in, names that are not
// ASCII, signatures. It must not know the dialogue. It links crypto/tls, go-sasl and idna.
package remoteext

import (
	"golang.org/x/net/idna"

	"github.com/reqmail/reqmail/qmail/dkim"
	"github.com/reqmail/reqmail/qmail/remote"
)

// Libraries returns all of it, with the control files below a qmail home.
func Libraries(home string) *remote.Libraries {
	return &remote.Libraries{
		TLS:        client{home}.begin,
		Mechanisms: mechanisms,
		ASCII:      idna.Lookup.ToASCII,
		Fields:     dkim.Signer{Home: home}.Fields,
	}
}
