// Package resolver asks the name servers of resolv.conf(5) directly: no
// /etc/hosts, no search list, and a clear difference between "there is no such
// thing" and "nobody knows just now", on which it depends whether mail
// bounces or waits. It must not know what is looked up for whom.
package resolver

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Errors of a lookup.
var (
	// ErrNotFound matches, by errors.Is, both kinds of absence.
	ErrNotFound = errors.New("no such name or record")

	// ErrNoName says that the name does not exist, or that none can be
	// spelt like that.
	ErrNoName error = absence("no such name")

	// ErrNoData says that the name exists, but no record of that type.
	ErrNoData error = absence("no such record")

	// ErrTemporary says that no name server could answer, or that what it
	// answered makes no sense.
	ErrTemporary = errors.New("name servers do not answer")
)

type absence string

func (a absence) Error() string { return string(a) }

func (a absence) Is(target error) bool { return target == ErrNotFound }

// Resolver asks a list of name servers. It is safe for concurrent use.
type Resolver struct {
	Servers  []netip.AddrPort
	Timeout  time.Duration // for one answer
	Attempts int           // rounds over all servers
	Deadline time.Time     // nobody is asked after it; zero means none
}

// MX is a mail exchanger.
type MX struct {
	Preference uint16
	Host       string // without the final dot
}

// MX returns the mail exchangers of a domain. One whose name makes no sense
// is left out while others remain. Like those of A, AAAA and PTR, the list is
// empty without an error where the name is an alias for one that has none.
func (r *Resolver) MX(name string) ([]MX, error) {
	var found exchangers
	err := r.lookup(name, dnsmessage.TypeMX, found.take)
	if err == nil && found.bad && len(found.list) == 0 {
		err = ErrTemporary
	}
	if err != nil {
		return nil, err
	}
	return found.list, nil
}

// exchangers collects MX records.
type exchangers struct {
	list []MX
	bad  bool // there was one whose name makes no sense
}

func (e *exchangers) take(p *dnsmessage.Parser, _ uint16) error {
	mx, err := p.MXResource()
	if err != nil {
		e.bad = true
		return p.SkipAnswer()
	}
	e.list = append(e.list, MX{mx.Pref, strings.TrimSuffix(mx.MX.String(), ".")})
	return nil
}

// A returns the IPv4 addresses of a host.
func (r *Resolver) A(name string) ([]netip.Addr, error) {
	return r.addresses(name, dnsmessage.TypeA, 4, func(p *dnsmessage.Parser) (netip.Addr, error) {
		a, err := p.AResource()
		return netip.AddrFrom4(a.A), err
	})
}

// AAAA returns the IPv6 addresses of a host.
func (r *Resolver) AAAA(name string) ([]netip.Addr, error) {
	return r.addresses(name, dnsmessage.TypeAAAA, 16, func(p *dnsmessage.Parser) (netip.Addr, error) {
		a, err := p.AAAAResource()
		return netip.AddrFrom16(a.AAAA), err
	})
}

// addresses looks up records that hold an address of size bytes.
func (r *Resolver) addresses(name string, kind dnsmessage.Type, size uint16, take func(*dnsmessage.Parser) (netip.Addr, error)) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.lookup(name, kind, func(p *dnsmessage.Parser, length uint16) error {
		if length < size {
			return ErrTemporary // the parser would read on into the next record
		}
		addr, err := take(p)
		list = append(list, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// PTR returns the names of an address, without the final dot.
func (r *Resolver) PTR(addr netip.Addr) ([]string, error) {
	var list []string
	err := r.lookup(reverseName(addr), dnsmessage.TypePTR, func(p *dnsmessage.Parser, _ uint16) error {
		ptr, err := p.PTRResource()
		list = append(list, strings.TrimSuffix(ptr.PTR.String(), "."))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// TXT returns the texts of a name, each with its pieces put together.
func (r *Resolver) TXT(name string) ([]string, error) {
	var list []string
	err := r.lookup(name, dnsmessage.TypeTXT, func(p *dnsmessage.Parser, _ uint16) error {
		txt, err := p.TXTResource()
		list = append(list, strings.Join(txt.TXT, ""))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// reverseName returns the name under which an address has its PTR records
// (RFC 1035 3.5, RFC 3596 2.5).
func reverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	bytes := addr.AsSlice()
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := len(bytes) - 1; i >= 0; i-- {
		if addr.Is4() {
			b.WriteString(strconv.Itoa(int(bytes[i])) + ".")
			continue
		}
		b.WriteString(string([]byte{digits[bytes[i]&15], '.', digits[bytes[i]>>4], '.'}))
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa."
	}
	return b.String() + "ip6.arpa."
}

// lookup asks for records and calls take for each of them.
func (r *Resolver) lookup(name string, kind dnsmessage.Type, take taker) error {
	answer, err := r.ask(name, kind)
	if err != nil {
		return err
	}
	return records(answer, kind, take)
}

// taker takes the record that the parser has reached. length is that of its
// data, in bytes.
type taker func(p *dnsmessage.Parser, length uint16) error

// records calls take for each record of that type in an answer, whatever name
// it belongs to: the end of a chain of aliases counts. An answer that holds
// less than it says is ErrTemporary.
func records(answer []byte, kind dnsmessage.Type, take taker) error {
	var p dnsmessage.Parser
	if _, err := p.Start(answer); err != nil {
		return ErrTemporary
	}
	if p.SkipAllQuestions() != nil {
		return ErrTemporary
	}
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			return nil
		}
		if err == nil {
			if h.Type == kind {
				err = take(&p, h.Length)
			} else {
				err = p.SkipAnswer()
			}
		}
		if err != nil {
			return ErrTemporary
		}
	}
}
