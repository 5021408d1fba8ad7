// Package smtptls is qmail-smtpd's TLS: certificates and ciphers from the
// control files of the TLS patch, and who may relay by a certificate. It must
// not know SMTP. It links crypto/tls and belongs into the second binary alone.
package smtptls

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/ascii"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/openssl"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/smtpd"
)

// Server begins TLS on connections. It is safe for many at once.
type Server struct {
	home string

	mu     sync.Mutex
	loaded *material
	stamp  time.Time // of servercert.pem when it was loaded
	length int64     // of it
}

// material is what is read from control files.
type material struct {
	certificate tls.Certificate
	minimum     uint16
	ciphers     []uint16
	clients     *clients // nil where no certificate lets relay
}

// New returns a server for the control files below home. They are read when
// they are first needed and again when servercert.pem has changed.
func New(home string) *Server { return &Server{home: home} }

// For returns security for a connection with that environment.
func (s *Server) For(env environ.List) smtpd.Security { return security{s, env} }

type security struct {
	server *Server
	env    environ.List
}

// Offered implements smtpd.Security.
func (security) Offered() bool { return true }

// Start implements smtpd.Security.
func (s security) Start(conn smtpd.Conn, _ string, ready func() error) (*smtpd.Secured, error) {
	m, err := s.server.current()
	if err != nil {
		return nil, err
	}
	config := m.config()
	if list, ok := s.env.Lookup("TLSCIPHERS"); ok {
		config.CipherSuites = openssl.Suites(list)
	}
	if err := ready(); err != nil {
		return nil, err
	}
	secured := tls.Server(plain{conn}, config)
	if err := secured.Handshake(); err != nil {
		return nil, &smtpd.TLSError{What: "connection failed", Detail: ascii.Printable(err.Error())}
	}
	state := secured.ConnectionState()
	result := &smtpd.Secured{ReadWriter: timed{secured}, Cipher: openssl.CipherName(state.CipherSuite)}
	if m.clients != nil {
		result.Client, result.NoClient = m.clients.judge(state.PeerCertificates, time.Now())
	}
	return result, nil
}

// current returns what the control files say now. The error is a
// *smtpd.TLSError.
func (s *Server) current() (*material, error) {
	path := s.home + "/control/servercert.pem"
	info, err := os.Stat(path)
	if err != nil {
		return nil, &smtpd.TLSError{What: "missing certificate"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded != nil && info.ModTime().Equal(s.stamp) && info.Size() == s.length {
		return s.loaded, nil
	}
	m, err := load(s.home, path)
	if err != nil {
		return nil, err
	}
	s.loaded, s.stamp, s.length = m, info.ModTime(), info.Size()
	return m, nil
}

func load(home, path string) (*material, error) {
	m := &material{}
	var err error
	if m.certificate, err = tls.LoadX509KeyPair(path, path); err != nil {
		what := "missing certificate"
		if strings.Contains(err.Error(), "private key") {
			what = "no valid RSA private key"
		}
		return nil, &smtpd.TLSError{What: what}
	}
	d, err := control.Open(home + "/control")
	if err == nil {
		err = m.read(d, home)
	}
	if err != nil {
		return nil, &smtpd.TLSError{What: "unable to initialize ctx"}
	}
	return m, nil
}

func (m *material) read(d *control.Dir, home string) error {
	lowest, _, err := d.Line(control.TLSMinimum)
	if err != nil {
		return err
	}
	m.minimum = openssl.Version(lowest)
	list, _, err := d.List(control.TLSServerCiphers)
	if err != nil {
		return err
	}
	m.ciphers = openssl.Suites(strings.Join(list, ":"))
	addresses, ok, err := d.List(control.TLSClients)
	if err != nil || !ok {
		return err
	}
	m.clients, err = readClients(home, addresses)
	return err
}

func (m *material) config() *tls.Config {
	c := &tls.Config{
		Certificates: []tls.Certificate{m.certificate},
		MinVersion:   m.minimum,
		CipherSuites: m.ciphers,
	}
	if m.clients != nil {
		// Judged after the handshake: one that is not good must not keep a
		// client from sending mail to us.
		c.ClientAuth = tls.RequestClientCert
		c.ClientCAs = m.clients.authorities
	}
	return c
}

// plain makes a net.Conn of a client's connection, which times out by itself.
type plain struct{ smtpd.Conn }

func (plain) Close() error                     { return nil }
func (plain) LocalAddr() net.Addr              { return &net.UnixAddr{} }
func (plain) RemoteAddr() net.Addr             { return &net.UnixAddr{} }
func (plain) SetDeadline(time.Time) error      { return nil }
func (plain) SetReadDeadline(time.Time) error  { return nil }
func (plain) SetWriteDeadline(time.Time) error { return nil }

// timed gives the time-out of the connection below back its own name.
type timed struct{ conn *tls.Conn }

func (t timed) Read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	return n, timeout(err)
}

func (t timed) Write(p []byte) (int, error) {
	n, err := t.conn.Write(p)
	return n, timeout(err)
}

func timeout(err error) error {
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return syscall.ETIMEDOUT
	}
	return err
}

// clients are the certificates that let their owners relay.
type clients struct {
	authorities *x509.CertPool
	revoked     []*x509.RevocationList
	addresses   control.Map
}
