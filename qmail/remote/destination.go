package remote

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
)

// Destination is where a bounce to a domain would go, for who asks instead of
// delivering.
type Destination struct {
	Addrs []netip.AddrPort // best first
	Hosts int              // by how many names those were found
	Name  string           // of this host, to greet with

	source source
}

// errClosed says that a destination talks only to who brings more than this
// package has by itself.
var errClosed = errors.New("destination wants TLS or a password")

// Destination finds out where a delivery would go.
func (c *Config) Destination(domain string, r *resolver.Resolver) (*Destination, error) {
	source, res := c.source("", domain)
	if res != nil {
		return nil, res.err()
	}
	own, err := socket.ThisHost()
	if err != nil {
		return nil, err
	}
	d := &Delivery{Host: domain, Config: *c, Resolver: r}
	targets, res := d.targets(own)
	if res != nil {
		return nil, res.err()
	}
	to, names := &Destination{Name: source.helo, source: source}, map[string]bool{}
	for _, t := range targets {
		if t.port == smtpsPort || t.login.User != "" {
			return nil, errClosed
		}
		to.Addrs = append(to.Addrs, netip.AddrPortFrom(t.addr, t.port))
		name := strings.ToLower(t.name)
		if name == "" {
			name = t.addr.String()
		}
		names[name] = true
	}
	to.Hosts = len(names)
	return to, nil
}

func (r *result) err() error { return errors.New(strings.TrimSpace(r.text)) }

// Dial connects to one of the addresses. The table of hosts that did not
// answer is neither asked nor told.
func (to *Destination) Dial(addr netip.AddrPort, timeout time.Duration) (*os.File, error) {
	return socket.DialFrom(to.source.to(addr.Addr()), addr, socket.Stream, timeout)
}

// Mail names the sender of a message, who may be empty.
func (s *Session) Mail(sender string) (Reply, error) {
	return s.command("MAIL FROM:<", path(sender), ">")
}

// Rcpt names a recipient of the message.
func (s *Session) Rcpt(recipient string) (Reply, error) {
	return s.command("RCPT TO:<", path(recipient), ">")
}

// Reset takes both back.
func (s *Session) Reset() (Reply, error) { return s.command("RSET", "", "") }
