// Package peer is the other side for tests of what talks SMTP to it: a server
// that is independent of reqmail's code, with TLS, AUTH and extensions as a
// test asks for them, which remembers what it was told. It must not know what
// is being tested.
package peer

import (
	"crypto/tls"
	"io"
	"net"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// User and Password are the account of every peer.
const (
	User     = "joe@relay.example"
	Password = "s=cr+t|x"
)

// Options is what a peer offers.
type Options struct {
	Address    string      // to listen at; 127.0.0.1 and a free port unless given
	TLS        *tls.Config // for STARTTLS; nil: not offered
	FirstByte  bool        // TLS is there from the start instead
	Mechanisms []string    // of AUTH
	UTF8       bool        // SMTPUTF8
}

// Peer is a server that runs.
type Peer struct {
	Port int

	server     *smtp.Server
	mechanisms []string

	mu    sync.Mutex
	mails []Mail
}

// Mail is a message that was accepted, and how it came.
type Mail struct {
	From, Client string // envelope sender; the client's address without its port
	Recipients   []string
	Options      smtp.MailOptions
	Text         string

	TLS         bool
	Certificate string // common name of the client's
	Mechanism   string // that the client logged in by
}

// Start starts a peer.
func Start(o Options) (*Peer, error) {
	address := o.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &Peer{Port: listener.Addr().(*net.TCPAddr).Port, mechanisms: o.Mechanisms}
	p.server = smtp.NewServer(p)
	p.server.Domain = "peer.example"
	p.server.AllowInsecureAuth = true
	p.server.EnableSMTPUTF8 = o.UTF8
	if o.FirstByte {
		listener = tls.NewListener(listener, o.TLS)
	} else {
		p.server.TLSConfig = o.TLS
	}
	go func() { _ = p.server.Serve(listener) }() // ends with an error when Stop closes it
	return p, nil
}

// Stop closes the server and its connections.
func (p *Peer) Stop() { _ = p.server.Close() }

// Mails returns the messages accepted so far.
func (p *Peer) Mails() []Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Mail(nil), p.mails...)
}

// NewSession implements smtp.Backend.
func (p *Peer) NewSession(c *smtp.Conn) (smtp.Session, error) {
	return &session{peer: p, conn: c}, nil
}

type session struct {
	peer      *Peer
	conn      *smtp.Conn
	mechanism string
	mail      Mail
}

var _ smtp.AuthSession = (*session)(nil)

func (s *session) Logout() error { return nil }
func (s *session) Reset()        { s.mail = Mail{} }

func (s *session) AuthMechanisms() []string { return s.peer.mechanisms }

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.mechanism = mechanism
	return server(mechanism), nil
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.mail = Mail{From: from, Options: *o, Mechanism: s.mechanism}
	s.mail.Client, _, _ = net.SplitHostPort(s.conn.Conn().RemoteAddr().String())
	if state, ok := s.conn.TLSConnectionState(); ok {
		s.mail.TLS = true
		for _, certificate := range state.PeerCertificates {
			s.mail.Certificate = certificate.Subject.CommonName
		}
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.Recipients = append(s.mail.Recipients, to)
	return nil
}

func (s *session) Data(in io.Reader) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	s.mail.Text = string(text)
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.peer.mails = append(s.peer.mails, s.mail)
	return nil
}
