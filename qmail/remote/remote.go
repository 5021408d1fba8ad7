// Package remote is qmail-remote: it finds the host that takes mail for a
// domain, hands it a message by SMTP, and says what became of each recipient.
//
// The client is our own, small one. Libraries' clients bring crypto/tls, whose
// zeroed data keep a program from being executed under the memory limits of
// qmail hosts, and hide the raw replies, which are part of the output. TLS is
// no business of this package, but a Session talks over whatever connection it
// is given. It must not know about the queue beyond the table of dead hosts.
//
// IPv6 addresses of a host are tried behind its IPv4 ones, and looked for only
// where this host has an IPv6 address itself that reaches beyond its links:
// where it has none, everything is as in qmail, which knows IPv4.
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

// Run delivers and writes qmail-remote's output (see report). args are the
// operands, home is the qmail home directory.
func Run(args []string, home string, message io.Reader, out io.Writer) {
	var r report
	res := run(&r, args, home, message)
	r.chunk(res.letter, res.text)
	// Nobody left to read is nobody left to tell.
	_, _ = out.Write(r.out)
}

func run(r *report, args []string, home string, message io.Reader) *result {
	if len(args) < 3 {
		return resUsage
	}
	if syscall.Chdir(home) != nil {
		return resHome
	}
	config, err := ReadConfig(home + "/control")
	if err != nil {
		return resControls
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
	return d.deliver(r)
}

// deliver finds the hosts and talks to the first that can be reached. What
// that says counts, whatever it is.
func (d *Delivery) deliver(r *report) *result {
	own, err := socket.ThisHost()
	if err != nil {
		return resResources
	}
	targets, port, res := d.targets(own)
	if res != nil {
		return res
	}
	for _, t := range targets {
		conn, err := d.connect(netip.AddrPortFrom(t.addr, port))
		if err != nil {
			if outOfResources(err) {
				return resResources
			}
			continue
		}
		defer conn.Close()
		r.partner = t.addr.String()
		return d.converse(NewSession(conn, d.Config.Timeout), r)
	}
	return resNoConnection
}

// connect connects to one address unless it timed out lately, and remembers
// how that went.
func (d *Delivery) connect(to netip.AddrPort) (*os.File, error) {
	queue, ip := d.Home+"/queue", to.Addr().AsSlice()
	skip, known := tcpto.Skip(queue, ip, time.Now().Unix(), os.Getpid())
	if skip {
		return nil, syscall.ETIMEDOUT
	}
	conn, err := socket.Dial(to, socket.Stream, d.Config.ConnectTimeout)
	switch {
	case err == syscall.ETIMEDOUT:
		tcpto.Timeout(queue, ip, time.Now().Unix())
	case known && !outOfResources(err):
		// One that refuses is alive as well.
		tcpto.Success(queue, ip)
	}
	return conn, err
}

func outOfResources(err error) bool {
	_, ok := err.(*socket.SocketError)
	return ok
}
