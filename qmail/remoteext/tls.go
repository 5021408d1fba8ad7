package remoteext

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/ascii"
	"github.com/reqmail/reqmail/compat/openssl"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/remote"
)

// client begins TLS with other hosts.
type client struct{ home string }

// begin implements remote.Libraries' TLS.
func (c client) begin(conn remote.Connection, o remote.TLSOptions) (remote.SecureConnection, *remote.TLSFailure) {
	config, err := c.config(o.Name)
	if err != nil {
		return nil, &remote.TLSFailure{Text: "TLS error initializing ctx: " + ascii.Printable(err.Error())}
	}
	var authorities *x509.CertPool
	if o.Authorities != "" {
		if authorities, err = readAuthorities(c.home + "/" + o.Authorities); err != nil {
			return nil, &remote.TLSFailure{Text: "TLS unable to load " + o.Authorities + ": " + ascii.Printable(err.Error())}
		}
	}
	secured := tls.Client(plain{conn}, config)
	if err = secured.SetDeadline(time.Now().Add(o.Timeout)); err == nil {
		err = secured.Handshake()
	}
	if err != nil {
		return nil, &remote.TLSFailure{Text: "TLS connect failed: " + ascii.Printable(err.Error())}
	}
	if authorities != nil {
		if text := verify(secured.ConnectionState().PeerCertificates, authorities, o); text != "" {
			return nil, &remote.TLSFailure{Text: ascii.Printable(text), Connected: true}
		}
	}
	return secured, nil
}

// config reads the control files, all but the authorities. Certificates are
// judged behind the handshake, with the words of the TLS patch, or not at all:
// encryption without knowing the other side is better than none.
func (c client) config(name string) (*tls.Config, error) {
	d, err := control.Open(c.home + "/control")
	if err != nil {
		return nil, err
	}
	lowest, _, err := d.Line(control.TLSMinimum)
	if err != nil {
		return nil, err
	}
	list, _, err := d.List(control.TLSClientCiphers)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		ServerName:         strings.TrimSuffix(name, "."),
		InsecureSkipVerify: true,
		MinVersion:         openssl.Version(lowest),
		CipherSuites:       openssl.Suites(strings.Join(list, ":")),
	}
	// As in the patch one that cannot be loaded is none: the host will
	// complain if it needs it.
	path := c.home + "/control/clientcert.pem"
	if certificate, err := tls.LoadX509KeyPair(path, path); err == nil {
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

// readAuthorities reads a file of certificates, of which there must be one.
func readAuthorities(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errNoCertificate
	}
	return pool, nil
}

// plain makes a net.Conn of a connection that somebody else will close.
type plain struct{ remote.Connection }

func (plain) Close() error         { return nil }
func (plain) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (plain) RemoteAddr() net.Addr { return &net.UnixAddr{} }

func (p plain) SetDeadline(at time.Time) error {
	if err := p.SetReadDeadline(at); err != nil {
		return err
	}
	return p.SetWriteDeadline(at)
}
