package resolver

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/reqmail/reqmail/compat/socket"
	"golang.org/x/net/dns/dnsmessage"
)

// maxMessage is the size in bytes of the largest message (RFC 1035 4.2.2).
const maxMessage = 65535

// buffers keeps what an answer is read into: a program with many deliveries
// asks all the time.
var buffers = sync.Pool{New: func() any { return new([maxMessage]byte) }}

// ask returns a server's answer that is worth reading.
func (r *Resolver) ask(name string, kind dnsmessage.Type) ([]byte, error) {
	query, id, err := pack(name, kind)
	if err != nil {
		return nil, ErrNoName // none can be spelt like that
	}
	for range max(r.Attempts, 1) {
		for _, server := range r.Servers {
			if r.timeout() <= 0 {
				return nil, ErrTemporary
			}
			answer, err := r.exchange(server, query, id)
			if err != nil {
				continue
			}
			switch err := verdict(answer); err {
			case nil:
				return answer, nil
			case ErrTemporary:
			default:
				return nil, err
			}
		}
	}
	return nil, ErrTemporary
}

// timeout is how long an answer may be waited for.
func (r *Resolver) timeout() time.Duration {
	if r.Deadline.IsZero() {
		return r.Timeout
	}
	return min(r.Timeout, time.Until(r.Deadline))
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

// verdict says what an answer is worth: nil where it has records, ErrTemporary
// where the next server may know more.
func verdict(answer []byte) error {
	var p dnsmessage.Parser
	h, err := p.Start(answer)
	if err != nil {
		return ErrTemporary
	}
	if _, err := p.Question(); err != nil {
		return ErrTemporary // a server that did not even read it
	}
	switch h.RCode {
	case dnsmessage.RCodeSuccess:
		if p.SkipAllQuestions() != nil {
			return ErrTemporary
		}
		if _, err := p.AnswerHeader(); err != dnsmessage.ErrSectionDone {
			return nil
		}
		if lame(h, &p) {
			return ErrTemporary
		}
		return ErrNoData
	case dnsmessage.RCodeServerFailure, dnsmessage.RCodeRefused, dnsmessage.RCodeNotImplemented:
		return ErrTemporary
	}
	return ErrNoName
}

// lame reports whether an answer without records comes from a server that
// neither has the domain nor asks those that do: it only points elsewhere, and
// what it does not say means nothing.
func lame(h dnsmessage.Header, p *dnsmessage.Parser) bool {
	if h.Authoritative || h.RecursionAvailable {
		return false
	}
	if p.SkipAllAuthorities() != nil {
		return true
	}
	_, err := p.AdditionalHeader()
	return err == dnsmessage.ErrSectionDone
}

// exchange asks one server, by UDP and, if the answer is cut short, by TCP.
func (r *Resolver) exchange(server netip.AddrPort, query []byte, id uint16) ([]byte, error) {
	conn, err := socket.Dial(server, socket.Datagram, r.timeout())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(r.timeout())); err != nil {
		return nil, err
	}
	if _, err := conn.Write(query); err != nil {
		return nil, err
	}
	buf := buffers.Get().(*[maxMessage]byte)
	defer buffers.Put(buf)
	for {
		n, err := conn.Read(buf[:])
		if err != nil {
			return nil, err
		}
		answer := bytes.Clone(buf[:n])
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
	conn, err := socket.Dial(server, socket.Stream, r.timeout())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(r.timeout())); err != nil {
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
