package remote

import (
	"bytes"
	"io"
	"net/netip"
	"os"
)

// exchange is a delivery's conversation with one host.
type exchange struct {
	*Delivery
	*report
	source source
	target target

	conn     Connection // below TLS, if there is any
	closers  []io.Closer
	s        *Session
	security security
	fields   []byte // put in front of the message
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
	x.conn = conn
	x.closers = append(x.closers, conn)
}

// run delivers over a connection that has just been made. What goes wrong
// behind the host's final word is passed over: it is no reason to send again
// what the host took, nor to doubt what it refused.
func (x *exchange) run() *result {
	defer x.close()
	x.partner = x.target.addr.String()
	res := x.choose()
	if res == nil {
		res = x.open()
	}
	if res == nil && x.security.wanted {
		res = x.becomeSecure()
	}
	if res == nil {
		res = x.transact()
	}
	x.quit()
	return res
}

// resume goes on where the first binary handed its connection over: the host
// has offered STARTTLS.
func (x *exchange) resume() *result {
	defer x.close()
	x.partner = x.target.addr.String()
	x.s = NewSession(x.conn, x.Config.Timeout)
	res := x.choose()
	if res == nil {
		res = x.startTLS()
	}
	if res == nil {
		res = x.transact()
	}
	x.quit()
	return res
}

func (x *exchange) quit() {
	if x.s != nil {
		_ = x.s.Quit()
	}
}

// close closes what was opened, the latest first.
func (x *exchange) close() {
	for i := len(x.closers) - 1; i >= 0; i-- {
		_ = x.closers[i].Close()
	}
	x.closers = nil
}

// open begins the conversation, as far as the host's extensions. Like what
// follows it, it returns a result if the delivery ends here.
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

// transact hands over the message.
func (x *exchange) transact() *result {
	if x.target.login.User != "" {
		if res := x.authenticate(); res != nil {
			return res
		}
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
	for _, recipient := range x.Recipients {
		commands = append(commands, "RCPT TO:<"+path(recipient)+">")
	}
	f := &flight{s: x.s, commands: append(commands, "DATA")}
	res := x.answers(f)
	if res != nil {
		// Answers that are under way are awaited, so that the host is left
		// in good order.
		f.land()
	}
	return res
}

func (x *exchange) answers(f *flight) *result {
	reply, err := f.next()
	if err != nil {
		return x.died()
	}
	if letter := reply.refusal(); letter != 0 {
		return x.said(letter, "Connected to ", " but sender was rejected", reply)
	}
	anybody := false
	for range x.Recipients {
		reply, err := f.next()
		if err != nil {
			return x.died()
		}
		anybody = x.recipient(reply) || anybody
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
	switch err := x.s.Text(io.MultiReader(bytes.NewReader(x.fields), x.Message)); err {
	case nil:
	case errPartialLine:
		return resPartialLine
	case errMessage:
		return resMessage
	default:
		return x.died()
	}
	reply, err := x.s.Dot()
	if err != nil {
		return x.doubtful()
	}
	if letter := reply.refusal(); letter != 0 {
		return x.said(letter, "", " failed after I sent the message", reply)
	}
	return x.said('K', "", " accepted message", reply)
}
