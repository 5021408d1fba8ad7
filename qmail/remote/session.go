package remote

import (
	"bufio"
	"io"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
)

// Connection is what a session talks over. A *os.File over a socket is one; a
// layer of encryption may be another.
type Connection interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Session is an SMTP conversation (RFC 5321) with one host: a method for each
// command, which returns the host's reply. Any number of messages may follow
// each other. It does not judge replies.
//
// An error says that the connection broke or fell silent: the session is over.
type Session struct {
	in   *bufio.Reader
	out  *bufio.Writer
	over bool
}

// outSize is how many bytes are collected before they are written, as many as
// in qmail. It can be seen from outside: by it, a host knows how much of a
// message before qmail-remote finds that it cannot go on, and a connection
// that breaks breaks before or behind the last dot.
const outSize = 1024

// NewSession begins a session. Every single read and write must end within
// timeout.
func NewSession(conn Connection, timeout time.Duration) *Session {
	timed := timedConn{conn, timeout}
	return &Session{
		in:  bufio.NewReaderSize(timed, 4096),
		out: bufio.NewWriterSize(timed, outSize),
	}
}

// timedConn gives every single read and write its own deadline.
type timedConn struct {
	conn    Connection
	timeout time.Duration
}

func (c timedConn) Read(p []byte) (int, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.conn.Read(p)
}

func (c timedConn) Write(p []byte) (int, error) {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.conn.Write(p)
}

// Greeting takes what the host says first.
func (s *Session) Greeting() (Reply, error) { return s.reply() }

// Hello names ourselves: with EHLO, and with HELO where the host does not know
// that (RFC 5321 3.2).
func (s *Session) Hello(name string) (Reply, error) {
	r, err := s.command("EHLO ", name, "")
	if err == nil && r.Code >= 500 && r.Code <= 504 {
		return s.command("HELO ", name, "")
	}
	return r, err
}

// Mail names the sender of a message, who may be empty.
func (s *Session) Mail(sender string) (Reply, error) {
	return s.command("MAIL FROM:<", path(sender), ">")
}

// Rcpt names a recipient of the message.
func (s *Session) Rcpt(recipient string) (Reply, error) {
	return s.command("RCPT TO:<", path(recipient), ">")
}

// Data asks to send the message.
func (s *Session) Data() (Reply, error) { return s.command("DATA", "", "") }

// Text sends the message, all but the dot at its end. The errors
// errPartialLine and errMessage are the message's. They end the session all
// the same: it has no other way to take back what was sent.
func (s *Session) Text(message io.Reader) error {
	err := encode(s.out, message)
	s.over = s.over || err != nil
	return err
}

// Dot ends the message. If there is no reply, the host may have taken it or
// not.
func (s *Session) Dot() (Reply, error) { return s.command(".", "", "") }

// Quit takes leave, without waiting for an answer, of a session that is not
// over yet.
func (s *Session) Quit() error {
	if s.over {
		return nil
	}
	return s.send("QUIT", "", "")
}

func (s *Session) command(verb, argument, end string) (Reply, error) {
	if err := s.send(verb, argument, end); err != nil {
		return Reply{}, err
	}
	return s.reply()
}

func (s *Session) send(verb, argument, end string) error {
	_, err := s.out.WriteString(verb + argument + end + "\r\n")
	if err == nil {
		err = s.out.Flush()
	}
	s.over = s.over || err != nil
	return err
}

func (s *Session) reply() (Reply, error) {
	r, err := readReply(s.in)
	s.over = s.over || err != nil
	return r, err
}

// path returns an address as it stands between the angle brackets of a
// command. One without "@" is sent as it is.
func path(addr string) string {
	if !strings.Contains(addr, "@") {
		return addr
	}
	return address.Quote(addr)
}
