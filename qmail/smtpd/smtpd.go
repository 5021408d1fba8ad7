// Package smtpd is qmail-smtpd: the server's side of SMTP, with qmail's order
// of checks and qmail's words. It owns the dialogue; how connections come
// about, and who may relay, is told to it. It must not know about TCP.
package smtpd

import (
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/dialogue"
	"github.com/reqmail/reqmail/qmail/intake"
)

// Replies, without their line ends.
const (
	replyOK        = "250 ok"
	replyFlushed   = "250 flushed"
	replyVerify    = "252 send some mail, i'll try my best"
	replyHelp      = "214 notqmail home page: https://notqmail.org"
	replyGoAhead   = "354 go ahead"
	replyControls  = "421 unable to read controls (#4.3.0)"
	replyAddresses = "421 unable to figure out my IP addresses (#4.3.0)"
	replyTimeout   = "451 timeout (#4.4.2)"
	replyBareLF    = "451 See https://cr.yp.to/docs/smtplf.html."
	replyNoQueue   = "451 qqt failure (#4.3.0)"
	replyUnknown   = "502 unimplemented (#5.5.1)"
	replyWantMail  = "503 MAIL first (#5.5.1)"
	replyWantRcpt  = "503 RCPT first (#5.5.1)"
	replyTooBig    = "552 sorry, that message size exceeds my databytes limit (#5.3.4)"
	replyBadFrom   = "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)"
	replyNoGateway = "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"
	replyLoop      = "554 too many hops, this message is looping (#5.4.6)"
	replySyntax    = "555 syntax error (#5.5.4)"
)

// Limits of the dialogue.
const (
	maxAddress = 899 // bytes
	maxHops    = 100 // Received and Delivered-To fields
)

// Config is what qmail-smtpd reads from the control directory; it is shared
// by all sessions of a process.
type Config struct {
	Greeting    string
	LocalIPHost string // stands for our addresses in literals
	HasLocalIP  bool
	Timeout     time.Duration
	BadMailFrom control.Map
	DataBytes   uint32
	RcptHosts   *intake.RcptHosts
	Own         *socket.Host
}

// StartError says why no session can begin, as a reply.
type StartError struct{ Reply string }

func (e *StartError) Error() string { return e.Reply }

// ReadConfig reads the control files below home and the environment. The
// error is a *StartError.
func ReadConfig(home string, lookup func(name string) (string, bool)) (*Config, error) {
	c, err := readControls(home, lookup)
	if err != nil {
		return nil, &StartError{replyControls}
	}
	if c.Own, err = socket.ThisHost(); err != nil {
		return nil, &StartError{replyAddresses}
	}
	return c, nil
}

func readControls(home string, lookup func(name string) (string, bool)) (*Config, error) {
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, err
	}
	c := &Config{}
	var ok bool
	if c.Greeting, ok, err = d.Line(control.SMTPGreeting); err == nil && !ok {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, err
	}
	if c.LocalIPHost, c.HasLocalIP, err = d.Line(control.LocalIPHost); err != nil {
		return nil, err
	}
	timeout, err := d.Int(control.TimeoutSMTPD)
	if err != nil {
		return nil, err
	}
	c.Timeout = time.Duration(max(timeout, 1)) * time.Second
	if c.RcptHosts, err = intake.OpenRcptHosts(d, home); err != nil {
		return nil, err
	}
	bad, _, err := d.List(control.BadMailFrom)
	if err != nil {
		return nil, err
	}
	c.BadMailFrom = control.Set(bad)
	c.DataBytes, err = intake.DataBytes(d, lookup)
	return c, err
}

// End is how a session ended.
type End int

// The ends of a session; they are qmail-smtpd's exit codes.
const (
	Quit End = 0
	Lost End = 1 // connection broken, timed out, or given up
)

// Session is one SMTP conversation.
type Session struct {
	config *Config
	peer   intake.Peer
	env    []string // of the queue program; nil for the process's own
	*dialogue.Dialogue

	helo      string // differing from the peer's host name, else empty
	sender    string
	barred    bool // the sender is in badmailfrom
	inMail    bool
	toQueue   []string // recipients
	announces bool     // SIZE is announced
}

// stop ends a session.
type stop struct{ end End }

func (s *stop) Error() string { return "session ends" }

// NewSession prepares a conversation over conn, whose reads and writes time
// out with ETIMEDOUT.
func NewSession(config *Config, peer intake.Peer, conn io.ReadWriter) *Session {
	return &Session{config: config, peer: peer, Dialogue: dialogue.New(conn)}
}

// AnnounceSize makes the session announce SIZE (RFC 1870), as servers with
// the AUTH patches do, and hold MAIL's parameter against it.
func (s *Session) AnnounceSize() { s.announces = true }

// Environment sets the environment of the queue program.
func (s *Session) Environment(env []string) { s.env = env }

// Serve talks until one side ends it.
func (s *Session) Serve() End {
	s.Reply("220 " + s.config.Greeting + " ESMTP")
	for {
		name, arg, err := s.Command()
		if err == nil {
			err = verbOf(name)(s, arg)
		}
		if err == nil {
			continue
		}
		end := Lost
		if e, ok := err.(*stop); ok {
			end = e.end
		} else if err == syscall.ETIMEDOUT {
			s.Reply(replyTimeout)
		}
		_ = s.Flush()
		return end
	}
}

// verb is a command's method. An error ends the session.
type verb func(s *Session, arg string) error

// verbs are the commands by name.
func verbOf(name string) verb {
	switch address.Lower(name) {
	case "rcpt":
		return (*Session).rcpt
	case "mail":
		return (*Session).mail
	case "data":
		return (*Session).data
	case "quit":
		return (*Session).quit
	case "helo":
		return (*Session).hello
	case "ehlo":
		return (*Session).ehlo
	case "rset":
		return (*Session).reset
	case "help":
		return says(replyHelp)
	case "noop":
		return says(replyOK)
	case "vrfy":
		return says(replyVerify)
	}
	return says(replyUnknown)
}

// says is a command that has no effect.
func says(reply string) verb {
	return func(s *Session, _ string) error {
		s.Reply(reply)
		return nil
	}
}

func (s *Session) quit(string) error {
	s.Reply("221 " + s.config.Greeting)
	return &stop{Quit}
}

func (s *Session) reset(string) error {
	s.inMail = false
	s.Reply(replyFlushed)
	return nil
}

func (s *Session) hello(name string) error {
	s.Reply("250 " + s.config.Greeting)
	s.named(name)
	return nil
}

func (s *Session) ehlo(name string) error {
	s.Reply("250-" + s.config.Greeting)
	s.Reply("250-PIPELINING")
	if s.announces {
		s.Reply("250-SIZE " + strconv.FormatUint(uint64(s.config.DataBytes), 10))
	}
	s.Reply("250 8BITMIME")
	s.named(name)
	return nil
}

func (s *Session) named(name string) {
	s.inMail = false
	s.helo = ""
	if address.Lower(name) != address.Lower(s.peer.RemoteHost) {
		s.helo = name
	}
}

func (s *Session) mail(arg string) error {
	addr, ok := s.parseAddress(arg)
	if !ok {
		s.Reply(replySyntax)
		return nil
	}
	if s.announces && s.config.DataBytes > 0 && declaredSize(arg) > uint64(s.config.DataBytes) {
		s.Reply(replyTooBig)
		return nil
	}
	s.sender, s.inMail, s.toQueue = addr, true, nil
	_, domain, hasDomain := address.Split(addr)
	s.barred = s.config.BadMailFrom.Has(addr) || hasDomain && s.config.BadMailFrom.Has("@"+domain)
	s.Reply(replyOK)
	return nil
}

// declaredSize returns the value of the parameter SIZE= behind an address, 0
// where there is none.
func declaredSize(arg string) uint64 {
	_, parameters, _ := strings.Cut(arg, ">")
	for p := range strings.FieldsSeq(parameters) {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(name, "size") {
			n, _ := strconv.ParseUint(value, 10, 64)
			return n
		}
	}
	return 0
}

func (s *Session) rcpt(arg string) error {
	if !s.inMail {
		s.Reply(replyWantMail)
		return nil
	}
	addr, ok := s.parseAddress(arg)
	switch {
	case !ok:
		s.Reply(replySyntax)
		return nil
	case s.barred:
		s.Reply(replyBadFrom)
		return nil
	case s.peer.MayRelay:
		addr += s.peer.RelayClient
	default:
		allowed, err := s.config.RcptHosts.Allows(addr)
		if err != nil {
			s.Reply(replyControls)
			return &stop{Lost}
		}
		if !allowed {
			s.Reply(replyNoGateway)
			return nil
		}
	}
	s.toQueue = append(s.toQueue, addr)
	s.Reply(replyOK)
	return nil
}

// parseAddress takes the address out of an argument: between "<" and ">", or
// behind a colon up to a space. A source route is dropped, quotes and
// backslashes are taken away. False means that it is too long.
func (s *Session) parseAddress(arg string) (string, bool) {
	end := byte('>')
	if _, rest, ok := strings.Cut(arg, "<"); ok {
		arg = rest
	} else {
		end = ' '
		_, arg, _ = strings.Cut(arg, ":")
		arg = strings.TrimLeft(arg, " ")
	}
	if strings.HasPrefix(arg, "@") {
		_, arg, _ = strings.Cut(arg, ":")
	}
	addr := s.localized(unquote(arg, end))
	return addr, len(addr) <= maxAddress
}

// unquote copies an address up to an end that is not quoted.
func unquote(arg string, end byte) string {
	var addr []byte
	quoted := false
	for i := 0; i < len(arg); i++ {
		switch c := arg[i]; {
		case c == end && !quoted:
			return string(addr)
		case c == '\\':
			if i++; i < len(arg) {
				addr = append(addr, arg[i])
			}
		case c == '"':
			quoted = !quoted
		default:
			addr = append(addr, c)
		}
	}
	return string(addr)
}

// localized puts localiphost in place of a literal that is one of our own
// addresses.
func (s *Session) localized(addr string) string {
	local, domain, ok := address.Split(addr)
	if !s.config.HasLocalIP || !ok || !strings.HasPrefix(domain, "[") {
		return addr
	}
	if ip, ok := socket.ParseLiteral(domain); ok && s.config.Own.Has(ip) {
		return local + "@" + s.config.LocalIPHost
	}
	return addr
}

func (s *Session) data(string) error {
	switch {
	case !s.inMail:
		s.Reply(replyWantMail)
		return nil
	case len(s.toQueue) == 0:
		s.Reply(replyWantRcpt)
		return nil
	}
	s.inMail = false
	queue, err := submit.OpenWith(s.env)
	if err != nil {
		s.Reply(replyNoQueue)
		return nil
	}
	s.Reply(replyGoAhead)
	queue.WriteString(s.peer.Received("SMTP", s.helo, time.Now()))
	body := body{queue: queue, limit: s.config.DataBytes}
	if err := body.copy(s.In); err != nil {
		queue.Abandon()
		if err == errBareLF {
			s.Reply(replyBareLF)
			return &stop{Lost}
		}
		return err
	}
	s.Reply(s.finish(queue, &body))
	return nil
}

// finish hands over the envelope and words what became of the message.
func (s *Session) finish(queue *submit.Message, b *body) string {
	looping := b.hops >= maxHops
	if looping {
		queue.Fail()
	}
	queue.From(s.sender)
	for _, r := range s.toQueue {
		queue.To(r)
	}
	result := queue.Close()
	switch {
	case result == "":
		return "250 ok " + strconv.FormatInt(time.Now().Unix(), 10) + " qp " + strconv.Itoa(queue.QP())
	case looping:
		return replyLoop
	case b.tooBig:
		return replyTooBig
	case result[0] == 'D':
		return "554 " + result[1:]
	}
	return "451 " + result[1:]
}
