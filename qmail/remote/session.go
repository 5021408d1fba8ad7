package remote

import (
	"bufio"
	"io"
	"strings"
	"sync"
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

// Session is an SMTP conversation (RFC 5321) with one host: commands, and the
// host's replies. Any number of messages may follow each other. It does not
// judge replies.
//
// An error says that the connection broke or fell silent: the session is over.
type Session struct {
	conn       timedConn
	in         *bufio.Reader
	out        *bufio.Writer
	commands   *bufio.Writer // out, but while a message is sent
	over       bool
	extensions map[string]string // by keyword, in capitals
}

// Sizes of what is collected of replies and commands. Messages have blocks of
// their own.
const (
	inSize  = 4096
	outSize = 1024
)

// NewSession begins a session. Every single read and write must end within
// timeout.
func NewSession(conn Connection, timeout time.Duration) *Session {
	timed := timedConn{conn, timeout}
	out := bufio.NewWriterSize(timed, outSize)
	return &Session{conn: timed, in: bufio.NewReaderSize(timed, inSize), out: out, commands: out}
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
		s.extensions = nil
		return s.command("HELO ", name, "")
	}
	s.extensions = parseExtensions(r)
	return r, err
}

// Extension reports whether the host offers an extension, and returns its
// parameters.
func (s *Session) Extension(keyword string) (parameters string, ok bool) {
	parameters, ok = s.extensions[keyword]
	return parameters, ok
}

// parseExtensions reads the answer to EHLO: a keyword on each line but the
// first (RFC 5321 4.1.1.1). Old hosts say "AUTH=" too.
func parseExtensions(r Reply) map[string]string {
	const textAt = len("250-")
	extensions := map[string]string{}
	first := true
	for line := range strings.Lines(r.Text) {
		if line = strings.TrimSpace(line); !first && len(line) > textAt {
			line = line[textAt:]
			end := strings.IndexAny(line+" ", " =")
			keyword, parameters := strings.ToUpper(line[:end]), line[min(end+1, len(line)):]
			if said, twice := extensions[keyword]; twice {
				parameters = said + " " + parameters
			}
			extensions[keyword] = parameters
		}
		first = false
	}
	return extensions
}

// StartTLS asks to begin TLS (RFC 3207).
func (s *Session) StartTLS() (Reply, error) { return s.command("STARTTLS", "", "") }

// unread reports whether the host has said more than was asked for.
func (s *Session) unread() bool { return s.in.Buffered() > 0 }

// Text sends the message, all but the dot at its end. The errors
// errPartialLine and errMessage are the message's. They end the session all
// the same: it has no other way to take back what was sent.
func (s *Session) Text(message io.Reader) error {
	s.out = writers.Get().(*bufio.Writer)
	s.out.Reset(s.conn)
	err := encode(s.out, message)
	s.over = s.over || err != nil
	return err
}

// writers keeps what collects blocks of messages.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, blockSize) }}

// Dot ends the message. If there is no reply, the host may have taken it or
// not.
func (s *Session) Dot() (Reply, error) {
	err := s.send(".", "", "")
	if s.out != s.commands {
		s.out.Reset(nil)
		writers.Put(s.out)
		s.out = s.commands
	}
	if err != nil {
		return Reply{}, err
	}
	return s.reply()
}

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
	if err := s.put(verb + argument + end); err != nil {
		return err
	}
	return s.flush()
}

// put writes a command that flush will send.
func (s *Session) put(command string) error {
	_, err := s.out.WriteString(command + "\r\n")
	s.over = s.over || err != nil
	return err
}

func (s *Session) flush() error {
	err := s.out.Flush()
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
