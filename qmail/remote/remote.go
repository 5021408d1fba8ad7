// Package remote is qmail-remote: it finds the host that takes mail for a
// domain, hands it a message by SMTP, and says what became of each recipient.
//
// The client is our own, small one. Libraries' clients bring crypto/tls, whose
// zeroed data keep a program from being executed under the memory limits of
// qmail hosts, and hide the raw replies, which are part of the output. TLS is
// no business of this package. It must not know about the queue beyond the
// table of dead hosts.
package remote

import (
	"io"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/queue/tcpto"
)

// result is a final word on the message: a letter K, Z or D and a text.
type result struct {
	letter byte
	text   string
}

func (r *result) Error() string { return r.text }

// The results that need no conversation.
var (
	resNoConnection = &result{'Z', "Sorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n"}
	resResources    = &result{'Z', "System resources temporarily unavailable. (#4.3.0)\n"}
	resDNS          = &result{'Z', "Sorry, I couldn't find any host by that name. (#4.1.2)\n"}
	resHome         = &result{'Z', "Unable to switch to home directory. (#4.3.0)\n"}
	resControls     = &result{'Z', "Unable to read control files. (#4.3.0)\n"}
	resUsage        = &result{'D', "I (qmail-remote) was invoked improperly. (#5.3.5)\n"}
	resNoMX         = &result{'D', "Sorry, I couldn't find a mail exchanger or IP address. (#5.4.4)\n"}
	resAmbiguousMX  = &result{'D', "Sorry. Although I'm listed as a best-preference MX or A for that host,\n" +
		"it isn't in my control/locals file, so I don't treat it as local. (#5.4.6)\n"}
)

// noHost is the result for a domain that does not exist. What is not
// printable ASCII in its name is hidden.
func noHost(name string) *result {
	safe := []byte(name)
	for i, c := range safe {
		if c < 33 || c > 126 {
			safe[i] = '?'
		}
	}
	return &result{'D', "Sorry, I couldn't find any host named " + string(safe) + ". (#5.1.2)\n"}
}

// Delivery is one run of qmail-remote.
type Delivery struct {
	Host       string // the recipients' domain
	Sender     string
	Recipients []string
	Message    io.Reader

	Config   Config
	Home     string // qmail home directory
	Resolver *resolver.Resolver
}

// Run delivers and writes qmail-remote's output: for each recipient, if the
// conversation comes that far, a chunk that begins with r, h or s; then one
// for the message that begins with K, Z or D; each ended by a NUL. args are
// the operands, home is the qmail home directory.
func Run(args []string, home string, message io.Reader, out io.Writer) {
	chunks, res := run(args, home, message)
	// Nobody left to read is nobody left to tell.
	_, _ = out.Write(append(append(append(chunks, res.letter), res.text...), 0))
}

func run(args []string, home string, message io.Reader) (chunks []byte, res *result) {
	if len(args) < 3 {
		return nil, resUsage
	}
	if syscall.Chdir(home) != nil {
		return nil, resHome
	}
	config, err := ReadConfig(home + "/control")
	if err != nil {
		return nil, resControls
	}
	d := &Delivery{
		Host:       args[0],
		Sender:     args[1],
		Recipients: args[2:],
		Message:    message,
		Config:     *config,
		Home:       home,
		Resolver:   resolver.System(),
	}
	return d.deliver()
}

// deliver finds the hosts and talks to the first that can be reached.
func (d *Delivery) deliver() (chunks []byte, res *result) {
	own, err := socket.ThisHost()
	if err != nil {
		return nil, resResources
	}
	targets, port, res := d.targets(own)
	if res != nil {
		return nil, res
	}
	for _, t := range targets {
		conn, err := d.connect(netip.AddrPortFrom(t.addr, port))
		if err != nil {
			if _, ok := err.(*socket.SocketError); ok {
				return nil, resResources
			}
			continue
		}
		defer conn.Close()
		s := newSession(conn, t.addr, d.Config)
		return s.deliver(d)
	}
	return nil, resNoConnection
}

// connect connects to one address unless it timed out lately, and remembers
// how that went. The table of dead hosts has room for IPv4 only.
func (d *Delivery) connect(to netip.AddrPort) (*os.File, error) {
	queue := d.Home + "/queue"
	known := false
	if to.Addr().Is4() {
		var skip bool
		skip, known = tcpto.Skip(queue, to.Addr().As4(), time.Now().Unix(), os.Getpid())
		if skip {
			return nil, syscall.ETIMEDOUT
		}
	}
	conn, err := socket.Dial(to, socket.Stream, d.Config.ConnectTimeout)
	if to.Addr().Is4() {
		switch {
		case err == syscall.ETIMEDOUT:
			tcpto.Timeout(queue, to.Addr().As4(), time.Now().Unix())
		case known && !outOfResources(err):
			tcpto.Success(queue, to.Addr().As4())
		}
	}
	return conn, err
}

func outOfResources(err error) bool {
	_, ok := err.(*socket.SocketError)
	return ok
}
