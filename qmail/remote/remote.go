// Package remote is qmail-remote: it finds the host that takes mail for a
// domain, hands it a message by SMTP, and says what became of each recipient.
//
// The client is our own, small one. Libraries' clients bring crypto/tls, whose
// zeroed data keep a program from being executed under the memory limits of
// qmail hosts, and hide the raw replies, which are part of the output. What
// needs libraries comes from outside (Libraries): the program becomes the
// second binary where a delivery needs them from its start, and hands its
// connection over to it where a host offers STARTTLS. The package must not
// know about the queue beyond the table of dead hosts.
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

	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/queue/tcpto"
)

// Role is the program's name for package ext.
const Role = "qmail-remote"

// Delivery is one run of qmail-remote.
type Delivery struct {
	Host       string // the recipients' domain
	Sender     string
	Recipients []string
	Message    io.Reader

	Config    Config
	Home      string // qmail home directory
	Resolver  *resolver.Resolver
	Libraries *Libraries // nil in the first binary
}

// Run delivers and writes qmail-remote's output (see report). args are the
// operands, home is the qmail home directory, libraries is nil in the first
// binary.
func Run(args []string, home string, message io.Reader, out io.Writer, libraries *Libraries) {
	var r report
	res := run(&r, args, home, message, libraries)
	r.chunk(res.letter, res.text)
	// Nobody left to read is nobody left to tell.
	_, _ = out.Write(r.out)
}

func run(r *report, args []string, home string, message io.Reader, libraries *Libraries) *result {
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
		Libraries:  libraries,
	}
	if libraries == nil && d.needsLibraries() && ext.Available(home) {
		// Where that fails the delivery says what it lacks.
		_ = ext.Become(home, Role)
	}
	if libraries == nil && config.Signs {
		return resNoSigner
	}
	return d.deliver(r)
}

// deliver finds the hosts and talks to the first that can be reached. What
// that says counts, whatever it is.
func (d *Delivery) deliver(r *report) *result {
	source, res := d.Config.source(d.Sender, d.Host)
	if res != nil {
		return res
	}
	x := &exchange{Delivery: d, report: r, source: source}
	if d.Libraries != nil && x.takeOver() {
		return x.resume()
	}
	own, err := socket.ThisHost()
	if err != nil {
		return resResources
	}
	targets, res := d.targets(own)
	if res != nil {
		return res
	}
	for _, x.target = range targets {
		err := x.connect()
		switch {
		case err == nil:
			return x.run()
		case outOfResources(err):
			return resResources
		}
	}
	return resNoConnection
}

// dial connects to one address unless it timed out lately, and remembers how
// that went.
func (d *Delivery) dial(from netip.Addr, to netip.AddrPort) (*os.File, error) {
	queue, ip := d.Home+"/queue", to.Addr().AsSlice()
	skip, known := tcpto.Skip(queue, ip, time.Now().Unix(), os.Getpid())
	if skip {
		return nil, syscall.ETIMEDOUT
	}
	conn, err := socket.DialFrom(from, to, socket.Stream, d.Config.ConnectTimeout)
	switch {
	case err == syscall.ETIMEDOUT:
		tcpto.Timeout(queue, ip, time.Now().Unix())
	case known && !outOfResources(err) && err != syscall.EADDRNOTAVAIL:
		// One that refuses is alive as well.
		tcpto.Success(queue, ip)
	}
	return conn, err
}

func outOfResources(err error) bool {
	_, ok := err.(*socket.SocketError)
	return ok
}
