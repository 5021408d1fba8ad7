// Package smtpd is qmail-smtpd: the server's side of SMTP, with qmail's order
// of checks and qmail's words. It owns the dialogue; how connections come
// about, and who may relay, is told to it. It must not know about TCP.
package smtpd

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/dialogue"
	"github.com/reqmail/reqmail/qmail/filter"
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
	replyNoMemory  = "421 out of memory (#4.3.0)"
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
	maxAddress  = 899     // bytes
	maxEnvelope = 4 << 20 // bytes of recipients, who are all kept; qmail's softlimit ends it sooner
	maxHops     = 100     // Received and Delivered-To fields
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
	Own         func() (*socket.Host, error) // asked for where an address is a literal
	UTF8        bool                         // SMTPUTF8 is offered
	Resident    bool                         // queue programs may stay for more messages
}

// StartError says why no session can begin, as a reply.
type StartError struct{ Reply string }

func (e *StartError) Error() string { return e.Reply }

// ErrControls says that control files cannot be read.
var ErrControls error = &StartError{replyControls}

// thisHost remembers the host's addresses once it has found them.
type thisHost struct {
	find func() (*socket.Host, error)

	mu    sync.Mutex
	found *socket.Host
}

func (t *thisHost) get() (*socket.Host, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.found != nil {
		return t.found, nil
	}
	host, err := t.find()
	if err == nil {
		t.found = host
	}
	return host, err
}

// ReadConfig reads the control files, those of d, below home, and the
// environment. The error is a *StartError.
func ReadConfig(d *control.Dir, home string, lookup func(name string) (string, bool)) (*Config, error) {
	c, err := readControls(d, home, lookup)
	if err != nil {
		return nil, ErrControls
	}
	return c, nil
}

func readControls(d *control.Dir, home string, lookup func(name string) (string, bool)) (*Config, error) {
	c := &Config{Own: (&thisHost{find: socket.ThisHost}).get}
	var ok bool
	var err error
	if c.Greeting, ok, err = d.Line(control.SMTPGreeting); err == nil && !ok {
		err = syscall.ENOENT
	}
	if err != nil {
		return nil, err
	}
	if c.LocalIPHost, c.HasLocalIP, err = d.Line(control.LocalIPHost); err != nil {
		return nil, err
	}
	c.LocalIPHost, _, _ = strings.Cut(c.LocalIPHost, "\x00")
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
	utf8, err := d.Int(control.SMTPUTF8)
	if err != nil {
		return nil, err
	}
	c.UTF8 = utf8 != 0
	resident, err := d.Int(control.ResidentChildren)
	if err != nil {
		return nil, err
	}
	c.Resident = resident != 0
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
	env    environ.List // of the queue program and others
	conn   Conn
	pool   *submit.Pool // of queue programs; nil for none
	*dialogue.Dialogue

	security   Security // nil without TLS
	secured    *Secured // once TLS has begun
	authorizer Auth
	user       string // who has authenticated
	report     func(line string)
	pause      func(time.Duration)
	filters    filter.Chain
	announces  bool // SIZE is announced

	helo     *string // differing from the peer's host name, else nil
	greeted  string  // the name as the client gave it
	sender   string
	excused  bool // a filter vouches for the sender
	rejected int  // recipients since the session began
	extended bool // SMTPUTF8 is asked for
	inMail   bool
	toQueue  []string // recipients
	envelope int      // bytes of them
	header   string   // what filters put below the Received field
}

// Conn is a client's connection. Its reads and writes time out with ETIMEDOUT.
type Conn interface {
	io.ReadWriter
	// SetTimeout changes how long they wait, and returns how long they did.
	SetTimeout(time.Duration) (before time.Duration)
}

// stop ends a session.
type stop struct{ end End }

func (s *stop) Error() string { return "session ends" }

// NewSession prepares a conversation with the client that env, the variables
// of tcp-environ(5) among others, tells of.
func NewSession(config *Config, env environ.List, conn Conn) *Session {
	return &Session{
		config: config, peer: intake.PeerFrom(env.Lookup), env: env, conn: conn,
		Dialogue: dialogue.New(conn), report: func(string) {}, pause: time.Sleep,
	}
}

// AnnounceSize makes the session announce SIZE (RFC 1870), as servers with
// the AUTH patches do, and hold MAIL's parameter against it.
func (s *Session) AnnounceSize() { s.announces = true }

// KeepQueuers has the session take its queue programs from a pool.
func (s *Session) KeepQueuers(p *submit.Pool) { s.pool = p }

// Filter lets filters judge at each stage.
func (s *Session) Filter(c filter.Chain) { s.filters = c }

func (s *Session) lookup(name string) (value string, ok bool) { return s.env.Lookup(name) }

func (s *Session) setenv(name, value string) { s.env = s.env.With(name + "=" + value) }

// Serve talks until one side ends it.
func (s *Session) Serve() End {
	refused, err := s.answered(s.filters.Greet(s.transaction()))
	if !refused {
		s.Reply("220 " + s.config.Greeting + " ESMTP")
	}
	return s.converse(err)
}

// converse carries out commands, unless one has already ended the session.
func (s *Session) converse(err error) End {
	for err == nil {
		var name, arg string
		if name, arg, err = s.Command(); err == nil {
			err = verbOf(name)(s, arg)
		}
	}
	end := Lost
	if e, ok := err.(*stop); ok {
		end = e.end
	} else if err == syscall.ETIMEDOUT {
		s.Reply(replyTimeout)
	}
	if s.Flush() != nil {
		return Lost
	}
	return end
}

// transaction is what filters see.
func (s *Session) transaction() *filter.Transaction {
	return &filter.Transaction{
		Peer: s.peer, Authenticated: s.user != "", Helo: s.greeted, Sender: s.sender,
		Recipients: len(s.toQueue), Rejected: s.rejected, Excused: s.excused,
		Lookup: s.lookup, Setenv: s.setenv, Unsetenv: func(name string) { s.env = s.env.Without(name) },
		Environ: func() []string { return s.env }, Early: s.early,
	}
}

// early waits for the client to say something before its turn.
func (s *Session) early(d time.Duration) bool {
	before := s.conn.SetTimeout(d)
	_, err := s.In.Peek(1)
	s.conn.SetTimeout(before)
	return err == nil
}

// answered gives the client what filters have to say and reports whether the
// command ends with that; an error ends the session.
func (s *Session) answered(v filter.Verdict) (refused bool, err error) {
	for line := range strings.SplitSeq(v.Note+v.Reply, "\n") {
		if line != "" {
			s.Reply(line)
		}
	}
	if v.Close {
		return true, &stop{Lost}
	}
	return v.Refused(), nil
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
	case "auth":
		return (*Session).auth
	case "starttls":
		return (*Session).starttls
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
	s.filters.Reset()
	s.Reply(replyFlushed)
	return nil
}

func (s *Session) hello(name string) error {
	if refused, err := s.answered(s.named(name)); refused {
		return err
	}
	s.Reply("250 " + s.config.Greeting)
	return nil
}

func (s *Session) ehlo(name string) error {
	if refused, err := s.answered(s.named(name)); refused {
		return err
	}
	lines := []string{s.config.Greeting, "PIPELINING"}
	if s.offersTLS() {
		lines = append(lines, "STARTTLS")
	}
	if s.authorizer.Offered() && !s.mustTLS() {
		lines = append(lines, "AUTH "+s.authorizer.mechanisms(), "AUTH="+s.authorizer.mechanisms())
	}
	if s.announces {
		lines = append(lines, "SIZE "+strconv.FormatUint(uint64(s.config.DataBytes), 10))
	}
	if s.config.UTF8 {
		lines = append(lines, "SMTPUTF8")
	}
	lines = append(lines, "8BITMIME")
	for _, line := range lines[:len(lines)-1] {
		s.Reply("250-" + line)
	}
	s.Reply("250 " + lines[len(lines)-1])
	return nil
}

// named notes the client's name, and what filters say to it.
func (s *Session) named(name string) filter.Verdict {
	s.inMail = false
	s.introduce(name)
	return s.filters.Hello(s.transaction())
}

// introduce notes the client's name; an empty one is a name too.
func (s *Session) introduce(name string) {
	s.helo, s.greeted = nil, name
	if address.Lower(name) != address.Lower(s.peer.RemoteHost) {
		s.helo = &name
	}
}

func (s *Session) mail(arg string) error {
	if s.mustTLS() {
		s.Reply(replyMustTLS)
		return nil
	}
	if s.authorizer.required && s.user == "" {
		s.Reply(replyAuthRequired)
		return nil
	}
	addr, ok, err := s.parseAddress(arg)
	switch {
	case err != nil:
		s.Reply(replyAddresses)
		return &stop{Lost}
	case !ok:
		s.Reply(replySyntax)
		return nil
	}
	p := mailParameters(arg)
	if s.announces && s.config.DataBytes > 0 && p.size > uint64(s.config.DataBytes) {
		s.Reply(replyTooBig)
		return nil
	}
	s.inMail = false
	s.sender, s.toQueue, s.envelope, s.header, s.excused = addr, nil, 0, "", false
	t := s.transaction()
	v := s.filters.Mail(t)
	if refused, err := s.answered(v); refused {
		return err
	}
	s.sender, s.header, s.excused = t.Sender, t.Header, v.Final
	s.inMail, s.extended = true, p.utf8 && s.config.UTF8
	if p.user != "" && s.authorizer.Offered() && !s.peer.HasInfo {
		s.peer.RemoteInfo, s.peer.HasInfo = p.user, true
	}
	s.Reply(replyOK)
	return nil
}

// barred reports whether the sender is in badmailfrom.
func (s *Session) barred() bool {
	_, domain, hasDomain := address.Split(s.sender)
	listed := s.config.BadMailFrom.Has(s.sender) || hasDomain && s.config.BadMailFrom.Has("@"+domain)
	return listed && !s.excused
}

// parameters are those of MAIL that count.
type parameters struct {
	size uint64 // RFC 1870; 0 where there is none
	user string // RFC 4954 5
	utf8 bool   // RFC 6531
}

func mailParameters(arg string) (p parameters) {
	_, rest, _ := strings.Cut(arg, ">")
	for word := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(word, "=")
		switch strings.ToLower(name) {
		case "size":
			p.size, _ = strconv.ParseUint(value, 10, 64)
		case "auth":
			if p.user = unxtext(value); p.user == "<>" {
				p.user = ""
			}
		case "smtputf8":
			p.utf8 = true
		}
	}
	return p
}

// unxtext decodes xtext (RFC 3461 4).
func unxtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (s *Session) rcpt(arg string) error {
	if !s.inMail {
		s.Reply(replyWantMail)
		return nil
	}
	addr, ok, err := s.parseAddress(arg)
	switch {
	case err != nil:
		s.Reply(replyAddresses)
		return &stop{Lost}
	case !ok:
		s.Reply(replySyntax)
		return nil
	case s.barred():
		return s.refuse(replyBadFrom)
	}
	allowed, err := s.config.RcptHosts.Allows(addr)
	if err != nil && !s.peer.MayRelay {
		s.Reply(replyControls)
		return &stop{Lost}
	}
	t := s.transaction()
	t.Allowed = allowed
	v := s.filters.Rcpt(t, addr)
	s.header += t.Header
	if refused, err := s.answered(v); refused {
		s.rejected++
		return err
	}
	addr = t.Recipient
	switch {
	case s.peer.MayRelay:
		addr += s.peer.RelayClient
	case !allowed && !v.Admit:
		return s.refuse(s.noGateway())
	}
	if s.envelope += len(addr); s.envelope > maxEnvelope {
		s.Reply(replyNoMemory)
		return &stop{Lost}
	}
	s.toQueue = append(s.toQueue, addr)
	s.Reply(replyOK)
	return nil
}

// refuse turns a recipient down.
func (s *Session) refuse(reply string) error {
	s.rejected++
	s.Reply(reply)
	return nil
}

// noGateway words that mail is not taken for a domain.
func (s *Session) noGateway() string {
	if s.secured == nil {
		return replyNoGateway
	}
	reason := ""
	if s.secured.NoClient != "" {
		reason = ": " + s.secured.NoClient
	}
	return "553 sorry, that domain isn't in my list of allowed rcpthosts; no valid cert for gatewaying" + reason + " (#5.7.1)"
}

// parseAddress takes the address out of an argument: between "<" and ">", or
// behind a colon up to a space. A source route is dropped, quotes and
// backslashes are taken away. False means that it is too long. The error is that
// of asking for this host's addresses.
func (s *Session) parseAddress(arg string) (addr string, ok bool, err error) {
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
	addr, err = s.localized(unquote(arg, end))
	return addr, len(addr) <= maxAddress, err
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
// IPv4 addresses, the only ones that qmail does this for.
func (s *Session) localized(addr string) (string, error) {
	local, domain, ok := address.Split(addr)
	if !s.config.HasLocalIP || !ok || !strings.HasPrefix(domain, "[") || strings.Contains(domain, ":") {
		return addr, nil
	}
	ip, ok := socket.ParseLiteral(domain)
	if !ok {
		return addr, nil
	}
	own, err := s.config.Own()
	if err == nil && own.Has(ip) {
		addr = local + "@" + s.config.LocalIPHost
	}
	return addr, err
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
	t := s.transaction()
	if refused, err := s.answered(s.filters.Data(t)); refused {
		return err
	}
	s.header += t.Header
	s.inMail = false
	queue, err := s.pool.Open(s.env)
	if err != nil {
		s.Reply(replyNoQueue)
		return nil
	}
	s.Reply(replyGoAhead)
	queue.WriteString(s.peer.Received(s.protocol(), s.helo, time.Now()) + s.header)
	body := body{queue: queue, limit: s.config.DataBytes, widen: s.Widen}
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

// protocol names the session's in the Received field (RFC 3848, RFC 6531), with
// the cipher as the TLS patch does. A session without TLS and AUTH is "SMTP",
// as qmail's always are.
func (s *Session) protocol() string {
	name := "SMTP"
	if s.extended {
		name = "UTF8SMTP"
	} else if s.secured != nil || s.user != "" {
		name = "ESMTP"
	}
	if s.secured != nil {
		name += "S"
	}
	if s.user != "" {
		name += "A"
	}
	if s.secured == nil {
		return name
	}
	if s.secured.Cipher != "" {
		name += " (" + s.secured.Cipher + " encrypted)"
	}
	if s.secured.Client != "" {
		name += "\n  (cert " + s.secured.Client + ")"
	}
	return name
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
