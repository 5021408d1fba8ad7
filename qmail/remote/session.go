package remote

import (
	"bufio"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
)

// connection is what a session talks over.
type connection interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// session is an SMTP conversation (RFC 5321) with one host.
type session struct {
	partner  string // the host's address, for the output
	config   Config
	in       *bufio.Reader
	out      *bufio.Writer
	critical bool // the message is on its way: trouble may mean a duplicate
}

func newSession(conn connection, partner netip.Addr, config Config) *session {
	timed := timedConn{conn, config.Timeout}
	return &session{
		partner: partner.String(),
		config:  config,
		in:      bufio.NewReaderSize(timed, 4096),
		out:     bufio.NewWriterSize(timed, 16<<10),
	}
}

// timedConn gives every single read and write its own deadline.
type timedConn struct {
	conn    connection
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

// maxReply is how much of a reply is kept, in bytes.
const maxReply = 5000

// reply is what a host answered.
type reply struct {
	code uint64
	text string // all lines, without CR
}

// readReply reads one reply, of one or more lines. What is no digit where the
// code should be makes some other number of it: nothing that was asked for.
func (s *session) readReply() (reply, error) {
	var text []byte
	get := func() (byte, error) {
		c, err := s.in.ReadByte()
		if err == nil && c != '\r' && len(text) < maxReply {
			text = append(text, c)
		}
		return c, err
	}
	var r reply
	for range 3 {
		c, err := get()
		if err != nil {
			return r, err
		}
		r.code = r.code*10 + uint64(int64(c)-'0')
	}
	c, err := get()
	for err == nil && c == '-' { // more lines follow: skip to the next one's fourth byte
		for err == nil && c != '\n' {
			c, err = get()
		}
		for skip := 0; err == nil && skip < 4; skip++ {
			c, err = get()
		}
	}
	for err == nil && c != '\n' {
		c, err = get()
	}
	r.text = strings.ReplaceAll(string(text), "\x00", "?")
	return r, err
}

// command sends a line and reads the reply.
func (s *session) command(line string) (reply, error) {
	if _, err := s.out.WriteString(line + "\r\n"); err != nil {
		return reply{}, err
	}
	if err := s.out.Flush(); err != nil {
		return reply{}, err
	}
	return s.readReply()
}

// died is the result of a connection that broke or fell silent.
func (s *session) died() *result {
	text := "Connected to " + s.partner + " but connection died. "
	if s.critical {
		text += "Possible duplicate! "
	}
	return &result{'Z', text + "(#4.4.2)\n"}
}

// quit ends the conversation, without waiting for an answer, and words the
// result: a text before and after the host's address, and what it said.
func (s *session) quit(letter byte, before, after, said string) *result {
	_, err := s.out.WriteString("QUIT\r\n")
	if err == nil {
		err = s.out.Flush()
	}
	if err != nil {
		return s.died()
	}
	text := before + s.partner + after + ".\n"
	if said != "" {
		text += "Remote host said: " + said
	}
	return &result{letter, text}
}

// refusal returns D for codes of 500 and above, Z for those of 400 and above,
// 0 for consent.
func refusal(code uint64) byte {
	switch {
	case code >= 500:
		return 'D'
	case code >= 400:
		return 'Z'
	}
	return 0
}

// deliver hands over the message and returns the recipients' chunks and the
// result.
func (s *session) deliver(d *Delivery) (chunks []byte, res *result) {
	if res := s.greet(); res != nil {
		return nil, res
	}
	r, err := s.command("MAIL FROM:<" + quoted(d.Sender) + ">")
	if err != nil {
		return nil, s.died()
	}
	if letter := refusal(r.code); letter != 0 {
		return nil, s.quit(letter, "Connected to ", " but sender was rejected", r.text)
	}
	anybody := false
	for _, recipient := range d.Recipients {
		r, err := s.command("RCPT TO:<" + quoted(recipient) + ">")
		if err != nil {
			return chunks, s.died()
		}
		chunk := s.recipientChunk(r)
		anybody = anybody || chunk == "r"
		chunks = append(append(chunks, chunk...), 0)
	}
	if !anybody {
		return chunks, s.quit('D', "Giving up on ", "", "")
	}
	return chunks, s.data(d.Message)
}

// greet takes the host's greeting and names ourselves.
func (s *session) greet() *result {
	r, err := s.readReply()
	if err != nil {
		return s.died()
	}
	if r.code != 220 {
		return s.quit('Z', "Connected to ", " but greeting failed", r.text)
	}
	r, err = s.command("EHLO " + s.config.HeloHost)
	if err == nil && r.code >= 500 && r.code <= 504 {
		// No ESMTP there (RFC 5321 3.2).
		r, err = s.command("HELO " + s.config.HeloHost)
	}
	if err != nil {
		return s.died()
	}
	if r.code != 250 {
		return s.quit('Z', "Connected to ", " but my name was rejected", r.text)
	}
	return nil
}

func (s *session) recipientChunk(r reply) string {
	letter := "r"
	switch refusal(r.code) {
	case 0:
		return letter
	case 'D':
		letter = "h"
	case 'Z':
		letter = "s"
	}
	return letter + s.partner + " does not like recipient.\nRemote host said: " + r.text
}

// data sends the message.
func (s *session) data(message io.Reader) *result {
	r, err := s.command("DATA")
	if err != nil {
		return s.died()
	}
	if letter := refusal(r.code); letter != 0 {
		return s.quit(letter, "", " failed on DATA command", r.text)
	}
	switch err := encode(s.out, message); err {
	case nil:
	case errPartialLine:
		return &result{'D', "SMTP cannot transfer messages with partial final lines. (#5.6.2)\n"}
	case errMessage:
		return &result{'Z', "Unable to read message. (#4.3.0)\n"}
	default:
		return s.died()
	}
	s.critical = true
	if r, err = s.command("."); err != nil {
		return s.died()
	}
	s.critical = false
	if letter := refusal(r.code); letter != 0 {
		return s.quit(letter, "", " failed after I sent the message", r.text)
	}
	return s.quit('K', "", " accepted message", r.text)
}

// quoted returns an address as commands have it. One without "@" is sent as
// it is.
func quoted(addr string) string {
	if !strings.Contains(addr, "@") {
		return addr
	}
	return address.Quote(addr)
}
