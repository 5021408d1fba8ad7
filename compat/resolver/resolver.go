// Package resolver asks the name servers of resolv.conf(5) directly: no
// /etc/hosts, no search list, and a clear difference between "there is no such
// thing" and "nobody knows just now", on which it depends whether mail
// bounces or waits. It must not know what is looked up for whom.
package resolver

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/socket"
	"golang.org/x/net/dns/dnsmessage"
)

// Errors of a lookup.
var (
	// ErrNotFound says that the name, or a record of that type, does not
	// exist.
	ErrNotFound = errors.New("no such name or record")

	// ErrTemporary says that no name server could answer.
	ErrTemporary = errors.New("name servers do not answer")
)

// Resolver asks a list of name servers. It is safe for concurrent use.
type Resolver struct {
	Servers  []netip.AddrPort
	Timeout  time.Duration // for one answer
	Attempts int           // rounds over all servers
}

// MX is a mail exchanger.
type MX struct {
	Preference uint16
	Host       string // without the final dot
}

// maxMessage is the size in bytes of the largest answer over TCP.
const maxMessage = 65535

// MX returns the mail exchangers of a domain; ErrNotFound if there is none.
func (r *Resolver) MX(name string) ([]MX, error) {
	var list []MX
	err := r.each(name, dnsmessage.TypeMX, func(p *dnsmessage.Parser) error {
		mx, err := p.MXResource()
		list = append(list, MX{mx.Pref, strings.TrimSuffix(mx.MX.String(), ".")})
		return err
	})
	return list, err
}

// A returns the IPv4 addresses of a host. An answer without any is no error.
func (r *Resolver) A(name string) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.each(name, dnsmessage.TypeA, func(p *dnsmessage.Parser) error {
		a, err := p.AResource()
		list = append(list, netip.AddrFrom4(a.A))
		return err
	})
	return list, err
}

// AAAA returns the IPv6 addresses of a host.
func (r *Resolver) AAAA(name string) ([]netip.Addr, error) {
	var list []netip.Addr
	err := r.each(name, dnsmessage.TypeAAAA, func(p *dnsmessage.Parser) error {
		a, err := p.AAAAResource()
		list = append(list, netip.AddrFrom16(a.AAAA))
		return err
	})
	return list, err
}

// PTR returns the names of an address.
func (r *Resolver) PTR(addr netip.Addr) ([]string, error) {
	var list []string
	err := r.each(reverseName(addr), dnsmessage.TypePTR, func(p *dnsmessage.Parser) error {
		ptr, err := p.PTRResource()
		list = append(list, strings.TrimSuffix(ptr.PTR.String(), "."))
		return err
	})
	return list, err
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
			b.WriteString(itoa(bytes[i]) + ".")
			continue
		}
		b.WriteString(string([]byte{digits[bytes[i]&15], '.', digits[bytes[i]>>4], '.'}))
	}
	if addr.Is4() {
		return b.String() + "in-addr.arpa."
	}
	return b.String() + "ip6.arpa."
}

// each asks for records and calls take for each of that type in the answer,
// whatever name it belongs to: the end of a chain of aliases counts. No
// record at all is ErrNotFound.
func (r *Resolver) each(name string, kind dnsmessage.Type, take func(*dnsmessage.Parser) error) error {
	answer, err := r.ask(name, kind)
	if err != nil {
		return err
	}
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
				err = take(&p)
			} else {
				err = p.SkipAnswer()
			}
		}
		if err != nil {
			return ErrTemporary
		}
	}
}

// ask returns a server's answer that is worth reading.
func (r *Resolver) ask(name string, kind dnsmessage.Type) ([]byte, error) {
	query, id, err := pack(name, kind)
	if err != nil {
		return nil, ErrNotFound // no name that could exist
	}
	for range max(r.Attempts, 1) {
		for _, server := range r.Servers {
			answer, err := r.exchange(server, query, id)
			if err != nil {
				continue
			}
			switch verdict(answer) {
			case nil:
				return answer, nil
			case ErrNotFound:
				return nil, ErrNotFound
			}
		}
	}
	return nil, ErrTemporary
}

func pack(name string, kind dnsmessage.Type) (query []byte, id uint16, err error) {
	if !strings.HasSuffix(name, ".") {
		name += "."
	}
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, 0, err
	}
	id = uint16(rand.Uint32())
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: kind, Class: dnsmessage.ClassINET}},
	}
	query, err = m.Pack()
	return query, id, err
}

// verdict says what a response code means: nil for an answer that is worth
// reading, ErrTemporary where the next server may know more.
func verdict(answer []byte) error {
	var p dnsmessage.Parser
	h, err := p.Start(answer)
	if err != nil {
		return ErrTemporary
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
		if p.SkipAllQuestions() == nil {
			if _, err := p.AnswerHeader(); err == dnsmessage.ErrSectionDone {
				return ErrNotFound
			}
		}
		return nil
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented:
		return ErrTemporary
	}
	return ErrNotFound
}

// exchange asks one server, by UDP and, if the answer is cut short, by TCP.
func (r *Resolver) exchange(server netip.AddrPort, query []byte, id uint16) ([]byte, error) {
	conn, err := socket.Dial(server, socket.Datagram, r.Timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline := time.Now().Add(r.Timeout)
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, maxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		answer := buf[:n]
		if !answers(answer, query, id) {
			continue // late, or forged
		}
		if truncated(answer) {
			return r.exchangeTCP(server, query, id)
		}
		return answer, nil
	}
}

// exchangeTCP asks one server by TCP: messages have their length before them
// (RFC 1035 4.2.2).
func (r *Resolver) exchangeTCP(server netip.AddrPort, query []byte, id uint16) ([]byte, error) {
	conn, err := socket.Dial(server, socket.Stream, r.Timeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(r.Timeout)); err != nil {
		return nil, err
	}
	framed := append([]byte{byte(len(query) >> 8), byte(len(query))}, query...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, int(size[0])<<8|int(size[1]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, err
	}
	if !answers(answer, query, id) {
		return nil, os.ErrInvalid
	}
	return answer, nil
}

// answers reports whether a message answers the query.
func answers(answer, query []byte, id uint16) bool {
	var p, q dnsmessage.Parser
	h, err := p.Start(answer)
	if err != nil || h.ID != id || !h.Response {
		return false
	}
	got, err := p.Question()
	if err != nil {
		// Servers that refuse may leave the question out.
		return err == dnsmessage.ErrSectionDone && h.RCode != dnsmessage.RCodeSuccess
	}
	if _, err := q.Start(query); err != nil {
		return false
	}
	want, err := q.Question()
	return err == nil && got.Type == want.Type && got.Class == want.Class &&
		strings.EqualFold(got.Name.String(), want.Name.String())
}

func truncated(answer []byte) bool {
	var p dnsmessage.Parser
	h, err := p.Start(answer)
	return err == nil && h.Truncated
}
