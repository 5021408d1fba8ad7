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
	"sync"
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

	dead *sync.Mutex // held while the table of dead hosts is waited for; nil: nobody else is here
}

// Run delivers and writes qmail-remote's output (see report). args are the
// operands, home is the qmail home directory, libraries is nil in the first
// binary.
func Run(args []string, home string, message io.Reader, out io.Writer, libraries *Libraries) {
	r, res := run(args, home, message, libraries)
	r.chunk(res.letter, res.text)
	// Nobody left to read is nobody left to tell.
	_, _ = out.Write(r)
}

func run(args []string, home string, message io.Reader, libraries *Libraries) (report, *result) {
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
		Libraries:  libraries,
	}
	if d.lacksLibraries() {
		// Where that fails the delivery says what it lacks.
		_ = ext.Become(home, Role)
	}
	return d.deliver()
}

// lacksLibraries reports whether the delivery needs the second binary from its
// start, and can have it.
func (d *Delivery) lacksLibraries() bool {
	return d.Libraries == nil && d.needsLibraries() && ext.Available(d.Home)
}

// deliver finds the hosts and talks to the first that can be reached. What
// that says counts, whatever it is.
func (d *Delivery) deliver() (report, *result) {
	x := &exchange{Delivery: d}
	for _, address := range d.Recipients {
		x.recipients = append(x.recipients, &recipient{address: address})
	}
	res := x.deliver()
	var r report
	for _, recipient := range x.recipients {
		recipient.report(&r)
	}
	return r, res
}

func (x *exchange) deliver() *result {
	var res *result
	if x.source, res = x.prepare(); res != nil {
		return res
	}
	if x.Libraries != nil && x.takeOver() {
		return x.resume()
	}
	own, err := socket.ThisHost()
	if err != nil {
		return resResources
	}
	targets, res := x.targets(own)
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

// prepare finds out who this host is for the delivery.
func (d *Delivery) prepare() (source, *result) {
	if d.Libraries == nil && d.Config.Signs {
		return source{}, resNoSigner
	}
	return d.Config.source(d.Sender, d.Host)
}

// dial connects to one address unless it timed out lately, and remembers how
// that went.
func (d *Delivery) dial(from netip.Addr, to netip.AddrPort) (*os.File, error) {
	queue, ip := d.Home+"/queue", to.Addr().AsSlice()
	var skip, known bool
	d.deadHosts(func() { skip, known = tcpto.Skip(queue, ip, time.Now().Unix(), os.Getpid()) })
	if skip {
		return nil, syscall.ETIMEDOUT
	}
	conn, err := socket.DialFrom(from, to, socket.Stream, d.Config.ConnectTimeout)
	switch {
	case err == syscall.ETIMEDOUT:
		d.deadHosts(func() { tcpto.Timeout(queue, ip, time.Now().Unix()) })
	case known && !outOfResources(err) && err != syscall.EADDRNOTAVAIL:
		// One that refuses is alive as well.
		d.deadHosts(func() { tcpto.Success(queue, ip) })
	}
	return conn, err
}

// deadHosts has a look at the table of dead hosts, whose lock others may hold.
func (d *Delivery) deadHosts(look func()) {
	if d.dead != nil {
		d.dead.Lock()
		defer d.dead.Unlock()
	}
	look()
}

func outOfResources(err error) bool {
	_, ok := err.(*socket.SocketError)
	return ok
}
