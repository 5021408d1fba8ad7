// Package intake is what the servers that take mail from the network share:
// who the peer is, the Received field, and which domains mail is accepted
// for. It must not know the protocols.
package intake

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/cdb"
	"github.com/reqmail/reqmail/compat/datetime"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/control"
)

// Peer is a connection as tcp-environ(5) describes it.
type Peer struct {
	RemoteIP   string
	RemoteHost string
	RemoteInfo string
	HasInfo    bool
	Local      string // our side: host name or address

	RelayClient string // appended to recipients
	MayRelay    bool   // RELAYCLIENT is set: any recipient is accepted
}

// PeerFrom takes the peer from environment variables. Those of IPv6 servers
// stand in for others that are missing.
func PeerFrom(lookup func(name string) (string, bool)) Peer {
	first := func(names ...string) string {
		for _, name := range names {
			if value, ok := lookup(name); ok {
				return value
			}
		}
		return "unknown"
	}
	p := Peer{
		RemoteIP:   first("TCPREMOTEIP", "TCP6REMOTEIP"),
		RemoteHost: first("TCPREMOTEHOST", "TCP6REMOTEHOST"),
		Local:      first("TCPLOCALHOST", "TCP6LOCALHOST", "TCPLOCALIP", "TCP6LOCALIP"),
	}
	p.RemoteInfo, p.HasInfo = lookup("TCPREMOTEINFO")
	p.RelayClient, p.MayRelay = lookup("RELAYCLIENT")
	return p
}

// Received returns the field that the server puts on top of a message.
// protocol is "SMTP" and the like; helo is the name the client gave, which may
// be empty, if it is not the one it is known by, else nil.
func (p Peer) Received(protocol string, helo *string, now time.Time) string {
	var b strings.Builder
	b.WriteString("Received: from " + safe(p.RemoteHost))
	if helo != nil {
		b.WriteString(" (HELO " + safe(*helo) + ")")
	}
	b.WriteString(" (")
	if p.HasInfo {
		b.WriteString(safe(p.RemoteInfo) + "@")
	}
	b.WriteString(safe(p.RemoteIP) + ")\n  by " + safe(p.Local) + " with " + protocol + "; " + datetime.Header(now) + "\n")
	return b.String()
}

// safe hides bytes that have no place in a header.
func safe(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(".@%+/=:-[]", c) >= 0:
		default:
			b[i] = '?'
		}
	}
	return string(b)
}

// DataBytes returns the limit on a message's size in bytes, 0 for none: the
// environment variable DATABYTES, else control/databytes.
func DataBytes(d *control.Dir, lookup func(name string) (string, bool)) (uint32, error) {
	n, err := d.Int(control.DataBytes)
	if err != nil {
		return 0, err
	}
	return LimitFrom(lookup, uint32(n)), nil
}

// LimitFrom returns the limit in the environment variable DATABYTES, or
// another one where that is not set.
func LimitFrom(lookup func(name string) (string, bool), otherwise uint32) uint32 {
	value, ok := lookup("DATABYTES")
	if !ok {
		return otherwise
	}
	n, _ := control.Number(value)
	return uint32(n)
}

// RcptHosts is the list of domains that mail is accepted for.
type RcptHosts struct {
	restricted bool // there is a list
	hosts      control.Map
	more       *os.File // morercpthosts.cdb
}

// OpenRcptHosts reads the control files rcpthosts and morercpthosts.cdb below
// home.
func OpenRcptHosts(d *control.Dir, home string) (*RcptHosts, error) {
	entries, ok, err := d.List(control.RcptHosts)
	if err != nil || !ok {
		return &RcptHosts{}, err
	}
	r := &RcptHosts{restricted: true, hosts: control.Set(entries)}
	if d.Lacks(control.MoreRcptHostsCDB) {
		return r, nil
	}
	f, err := fdio.Open(home+"/control/"+string(control.MoreRcptHostsCDB), syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch err {
	case nil:
		r.more = os.NewFile(uintptr(f), "morercpthosts.cdb")
	case syscall.ENOENT:
	default:
		return nil, err
	}
	return r, nil
}

// Allows reports whether mail for an address is accepted: its domain, or one
// of its suffixes that begins at a dot, is listed. Without a list all is, and
// so is an address without a domain. The error is that of reading
// morercpthosts.cdb.
func (r *RcptHosts) Allows(addr string) (bool, error) {
	_, domain, ok := address.Split(addr)
	if !r.restricted || !ok {
		return true, nil
	}
	domain = address.Lower(domain)
	for i := range len(domain) {
		if (i == 0 || domain[i] == '.') && r.hosts.Has(domain[i:]) {
			return true, nil
		}
	}
	if r.more == nil {
		return false, nil
	}
	for i := range len(domain) {
		if i > 0 && domain[i] != '.' {
			continue
		}
		if _, found, err := cdb.Find(r.more, []byte(domain[i:])); found || err != nil {
			return found, err
		}
	}
	return false, nil
}
