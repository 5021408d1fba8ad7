package main

import (
	"io"
	"net"
	"sync"

	"github.com/emersion/go-smtp"
)

// remoteHost is an SMTP server on loopback that is ill until it is cured: as
// long it answers every message with a temporary refusal.
type remoteHost struct {
	server *smtp.Server
	port   int

	mu       sync.Mutex
	ill      bool
	messages []string
}

func startRemoteHost() (*remoteHost, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &remoteHost{ill: true, port: listener.Addr().(*net.TCPAddr).Port}
	h.server = smtp.NewServer(h)
	h.server.Domain = "mx." + remoteDomain
	go h.server.Serve(listener) // ends with an error when stop closes it
	return h, nil
}

func (h *remoteHost) stop() { h.server.Close() }

func (h *remoteHost) cure() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ill = false
}

// received returns the messages accepted so far.
func (h *remoteHost) received() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.messages...)
}

// NewSession implements smtp.Backend.
func (h *remoteHost) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{host: h}, nil }

type session struct{ host *remoteHost }

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }
func (s *session) Reset()                               {}
func (s *session) Logout() error                        { return nil }

// Rcpt refuses while the host is ill.
func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	if s.host.ill {
		return &smtp.SMTPError{
			Code:         451,
			EnhancedCode: smtp.EnhancedCode{4, 3, 2},
			Message:      "I do not feel well today, come again later",
		}
	}
	return nil
}

// Data keeps the message.
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(r, 1<<20))
	if err != nil {
		return err
	}
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	s.host.messages = append(s.host.messages, string(text))
	return nil
}
