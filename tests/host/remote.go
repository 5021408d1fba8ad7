package host

import (
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/emersion/go-smtp"
)

// Remote is an SMTP server on loopback, independent of reqmail's code, that
// can be made to refuse every recipient, or all but some.
type Remote struct {
	Port int

	server *smtp.Server

	mu       sync.Mutex
	refusal  *smtp.SMTPError
	known    map[string]bool // nil: everybody
	asked    int
	messages []string
}

// StartRemote starts a server on a free port of 127.0.0.1.
func StartRemote(name string) (*Remote, error) { return StartRemoteAt(name, 0) }

// StartRemoteAt starts a server on a port that was one's before.
func StartRemoteAt(name string, port int) (*Remote, error) {
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
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

// Know makes the server refuse all recipients but these.
func (r *Remote) Know(recipients ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = map[string]bool{}
	for _, recipient := range recipients {
		r.known[recipient] = true
	}
}

// Asked returns how many recipients the server was asked about so far.
func (r *Remote) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
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

func (s *session) Rcpt(recipient string, _ *smtp.RcptOptions) error {
	s.remote.mu.Lock()
	defer s.remote.mu.Unlock()
	s.remote.asked++
	switch {
	case s.remote.refusal != nil:
		return s.remote.refusal
	case s.remote.known != nil && !s.remote.known[recipient]:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	return nil
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
