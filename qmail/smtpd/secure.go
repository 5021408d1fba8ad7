package smtpd

import (
	"io"

	"github.com/reqmail/reqmail/qmail/dialogue"
)

// Security begins TLS on a session's connection.
type Security interface {
	// Offered reports whether STARTTLS can be offered at all.
	Offered() bool

	// Start begins TLS on conn. When everything is prepared it calls ready,
	// which tells the client to begin; an error before that is a *TLSError
	// whose reply leaves the session as it was. helo is the client's name.
	Start(conn Conn, helo string, ready func() error) (*Secured, error)
}

// Secured is a connection with TLS on it.
type Secured struct {
	io.ReadWriter        // times out as the connection below it does
	Cipher        string // its name, if it is known
	Client        string // e-mail address of a client's certificate that may relay
	NoClient      string // why there is none, or empty
}

// TLSError says that TLS could not be begun.
type TLSError struct {
	What   string // one of the texts of the TLS patch
	Detail string
}

func (e *TLSError) Error() string {
	if e.Detail == "" {
		return e.What
	}
	return e.What + ": " + e.Detail
}

// reply words the error as the TLS patch does.
func (e *TLSError) reply() string { return "454 TLS " + e.Error() + " (#4.3.0)" }

// Replies about TLS.
const (
	replyTLSReady  = "220 ready for tls"
	replyTLSSyntax = "501 Syntax error (no parameters allowed) (#5.5.4)"
	replyMustTLS   = "530 Must issue a STARTTLS command first (#5.7.0)"
)

// UseTLS lets the session offer STARTTLS.
func (s *Session) UseTLS(security Security) { s.security = security }

func (s *Session) offersTLS() bool {
	return s.secured == nil && s.security != nil && s.security.Offered()
}

// mustTLS reports whether FORCETLS asks for TLS that has not begun.
func (s *Session) mustTLS() bool {
	value, ok := s.lookup("FORCETLS")
	return ok && value != "0" && s.secured == nil
}

func (s *Session) starttls(arg string) error {
	switch {
	case !s.offersTLS():
		s.Reply(replyUnknown)
		return nil
	case arg != "":
		s.Reply(replyTLSSyntax)
		return nil
	}
	return s.encrypt(func() error {
		s.Reply(replyTLSReady)
		return s.Flush()
	})
}

// encrypt begins TLS. Whatever the client has said so far is forgotten, and
// what it has sent behind the command is thrown away: nobody vouches for it
// (RFC 3207 4.2).
func (s *Session) encrypt(ready func() error) error {
	if err := s.Flush(); err != nil {
		return err
	}
	begun := false
	secured, err := s.security.Start(s.conn, s.greeted, func() error {
		begun = true
		return ready()
	})
	if err != nil {
		failure, ok := err.(*TLSError)
		if !ok {
			return err
		}
		s.Reply(failure.reply())
		if begun {
			return &stop{Lost}
		}
		return nil
	}
	s.secured = secured
	s.Dialogue = dialogue.New(secured)
	s.forget()
	if secured.Client != "" {
		s.mayRelay()
	}
	return nil
}

// forget takes the session back to its beginning.
func (s *Session) forget() {
	s.helo, s.greeted = nil, ""
	s.sender, s.inMail, s.toQueue = "", false, nil
	s.extended = false
}

// mayRelay lets the client send anywhere, and tells the queue program.
func (s *Session) mayRelay() {
	s.peer.MayRelay, s.peer.RelayClient = true, ""
	s.setenv("RELAYCLIENT", "")
}

// ServeSecured is Serve with TLS from the first byte, as on port 465.
func (s *Session) ServeSecured() End {
	if err := s.encrypt(func() error { return nil }); err != nil || s.secured == nil {
		_ = s.Flush()
		return Lost
	}
	return s.Serve()
}

// ServeAfterSTARTTLS goes on where another process left off: at the client's
// STARTTLS, after it had given its name.
func (s *Session) ServeAfterSTARTTLS(helo string) End {
	if helo != "" {
		s.introduce(helo)
	}
	return s.converse(s.starttls(""))
}
