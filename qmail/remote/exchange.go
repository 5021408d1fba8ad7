package remote

import (
	"bytes"
	"io"
	"net/netip"
	"os"

	"github.com/reqmail/reqmail/compat/wire"
)

// exchange is a delivery's conversation with one host.
type exchange struct {
	*Delivery
	*link
	partner
	recipients []*recipient
	source     source
	target     target
	security   security
	fields     []byte // put in front of the message

	// For a process that stays.
	staying  bool
	reused   bool                // the connection has served before
	assemble func() []*recipient // says, at the last moment, who is to get the message
	rest     []*recipient        // they must go in another transaction
	watch    *watch
}

// link is a connection, as far as it has been set up: greeted, made secure,
// logged in.
type link struct {
	conn    Connection // below TLS, if there is any
	closers []io.Closer
	s       *Session
	secure  bool // TLS was achieved
	served  int  // messages
}

// pipelining reports whether the host takes many commands at a time.
func (l *link) pipelining() bool {
	_, ok := l.s.Extension("PIPELINING")
	return ok
}

// host returns the target's name, or its address where that is all.
func (x *exchange) host() string {
	if x.target.name != "" {
		return x.target.name
	}
	return x.target.addr.String()
}

// connect connects to the target.
func (x *exchange) connect() error {
	conn, err := x.dial(x.source.to(x.target.addr), netip.AddrPortFrom(x.target.addr, x.target.port))
	if err == nil {
		x.use(conn)
	}
	return err
}

// use makes a connection the conversation's.
func (x *exchange) use(conn *os.File) {
	x.link = &link{conn: conn, closers: []io.Closer{conn}}
}

// run delivers over a connection that has just been made. What goes wrong
// behind the host's final word is passed over: it is no reason to send again
// what the host took, nor to doubt what it refused.
func (x *exchange) run() *result {
	res := x.setUp()
	if res == nil {
		res = x.transact()
	}
	x.leave()
	return res
}

// setUp takes a new connection to where the first message may follow. Like
// what follows it, it returns a result if the delivery ends here.
func (x *exchange) setUp() *result {
	x.partner = partner(x.target.addr.String())
	res := x.choose()
	if res == nil {
		res = x.open()
	}
	if res == nil && x.security.wanted {
		res = x.becomeSecure()
	}
	if res == nil {
		res = x.identify()
	}
	return res
}

// resume goes on where the first binary handed its connection over: the host
// has offered STARTTLS.
func (x *exchange) resume() *result {
	x.partner = partner(x.target.addr.String())
	x.s = NewSession(x.conn, x.Config.Timeout)
	res := x.choose()
	if res == nil {
		res = x.startTLS()
	}
	if res == nil {
		res = x.identify()
	}
	if res == nil {
		res = x.transact()
	}
	x.leave()
	return res
}

// leave takes leave of the host, if it still listens, and ends the connection.
func (l *link) leave() {
	if l.s != nil {
		_ = l.s.Quit()
	}
	l.close()
}

// close closes what was opened, the latest first.
func (l *link) close() {
	for i := len(l.closers) - 1; i >= 0; i-- {
		_ = l.closers[i].Close()
	}
	l.closers = nil
}

// open begins the conversation, as far as the host's extensions.
func (x *exchange) open() *result {
	before := "Connected to "
	if x.security.fromFirstByte {
		if failure := x.beginTLS(); failure != nil {
			return x.insecure(failure)
		}
		before = "TLS Connected to "
	} else {
		x.s = NewSession(x.conn, x.Config.Timeout)
	}
	reply, err := x.s.Greeting()
	if err != nil {
		return x.died()
	}
	if reply.Code != 220 {
		return x.said('Z', before, " but greeting failed", reply)
	}
	return x.hello()
}

func (x *exchange) hello() *result {
	reply, err := x.s.Hello(x.source.helo)
	if err != nil {
		return x.died()
	}
	if reply.Code != 250 {
		return x.said('Z', "Connected to ", " but my name was rejected", reply)
	}
	return nil
}

// identify logs in, where the relay wants to know who sends.
func (x *exchange) identify() *result {
	if x.target.login.User == "" {
		return nil
	}
	return x.authenticate()
}

// transact hands over the message.
func (x *exchange) transact() *result {
	if x.assemble != nil {
		x.recipients = x.assemble()
	}
	parameters, res := x.parameters()
	if res == nil {
		res = x.envelope(parameters)
	}
	if res == nil {
		res = x.text()
	}
	return res
}

// envelope names sender and recipients and asks to send the message: one by
// one, or many at a time where the host takes that.
func (x *exchange) envelope(parameters string) *result {
	commands := []string{"MAIL FROM:<" + path(x.Sender) + ">" + parameters}
	for _, r := range x.recipients {
		commands = append(commands, "RCPT TO:<"+path(r.address)+">")
	}
	f := &flight{s: x.s, commands: append(commands, "DATA")}
	res := x.answers(f)
	if res != nil && res != resStale {
		// Answers that are under way are awaited, so that the host is left
		// in good order.
		f.land()
	}
	return res
}

func (x *exchange) answers(f *flight) *result {
	reply, err := f.next()
	if x.reused && (err != nil || reply.refusal() != 0) {
		return resStale
	}
	if err != nil {
		return x.died()
	}
	if letter := reply.refusal(); letter != 0 {
		return x.said(letter, "Connected to ", " but sender was rejected", reply)
	}
	anybody := false
	for _, r := range x.recipients {
		reply, err := f.next()
		if err != nil {
			return x.died()
		}
		if x.staying && anybody && reply.tooMany() {
			x.rest = append(x.rest, r)
			continue
		}
		anybody = r.answered(x.partner, reply) || anybody
	}
	if !anybody {
		return x.givingUp()
	}
	reply, err = f.next()
	if err != nil {
		return x.died()
	}
	if letter := reply.refusal(); letter != 0 {
		return x.said(letter, "", " failed on DATA command", reply)
	}
	return nil
}

// text sends the message.
func (x *exchange) text() *result {
	x.watch.enter(wire.PhaseSending, "", 0)
	switch err := x.s.Text(io.MultiReader(bytes.NewReader(x.fields), x.watch.reading(x.Message))); err {
	case nil:
	case errPartialLine:
		return resPartialLine
	case errMessage:
		return resMessage
	default:
		return x.died()
	}
	x.watch.enter(wire.PhaseFinish, "", 0)
	reply, err := x.s.Dot()
	if err != nil {
		return x.doubtful()
	}
	if letter := reply.refusal(); letter != 0 {
		return x.said(letter, "", " failed after I sent the message", reply)
	}
	return x.said('K', "", " accepted message", reply)
}
