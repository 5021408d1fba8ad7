package host

import (
	"io"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// Remote is an SMTP server on loopback, independent of reqmail's code, that
// can be made to refuse every recipient.
type Remote struct {
	Port int

	server *smtp.Server

	mu       sync.Mutex
	refusal  *smtp.SMTPError
	messages []string
}

// StartRemote starts a server on a free port of 127.0.0.1.
func StartRemote(name string) (*Remote, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Remote{Port: listener.Addr().(*net.TCPAddr).Port}
	r.server = smtp.NewServer(r)
	r.server.Domain = name
	go func() { _ = r.server.Serve(listener) }() // ends with an error when Stop closes it
	return r, nil
}

// Stop closes the server and its connections.
func (r *Remote) Stop() { _ = r.server.Close() }

// Refuse makes the server answer every RCPT with a code and text.
func (r *Remote) Refuse(code int, status [3]int, text string) {
	r.set(&smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode(status), Message: text})
}

// Accept makes the server accept mail, as it does at first.
func (r *Remote) Accept() { r.set(nil) }

func (r *Remote) set(refusal *smtp.SMTPError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusal = refusal
}

// Received returns the messages accepted so far.
func (r *Remote) Received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.messages...)
}

// NewSession implements smtp.Backend.
func (r *Remote) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{remote: r}, nil }

type session struct{ remote *Remote }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.remote.mu.Lock()
	defer s.remote.mu.Unlock()
	if s.remote.refusal == nil {
		return nil // not a typed nil in the interface
	}
	return s.remote.refusal
}

func (s *session) Data(in io.Reader) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	s.remote.mu.Lock()
	defer s.remote.mu.Unlock()
	s.remote.messages = append(s.remote.messages, string(text))
	return nil
}
