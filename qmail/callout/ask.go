package callout

import (
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/qmail/remote"
)

// answer is what a destination says about a recipient.
type answer int

const (
	unclear     answer = iota // it cannot say now, or is not found
	yes                       // it takes mail for him
	no                        // it does not
	unreachable               // it does not answer at all
)

// question is one recipient about whom one destination is asked.
type question struct {
	remote    *remote.Config
	domain    string
	recipient string
	probe     bool // ask for an address that cannot exist as well
	deadline  time.Time
}

// finding is what came of it.
type finding struct {
	answer answer
	any    answer // about the address that cannot exist
	routes int    // hosts that mail for the domain may go to
}

// ask asks the first host that can be reached, as a delivery would.
func (q *question) ask() finding {
	dns := resolver.System()
	dns.Deadline = q.deadline
	to, err := q.remote.Destination(q.domain, dns)
	if err != nil {
		return finding{}
	}
	f := finding{answer: unreachable, routes: to.Hosts}
	for i, addr := range to.Addrs {
		// A silent address leaves time for those behind it.
		share := time.Until(q.deadline) / time.Duration(len(to.Addrs)-i)
		if share <= 0 {
			break
		}
		conn, err := to.Dial(addr, min(share, q.remote.ConnectTimeout))
		if err != nil {
			if none := (*socket.SocketError)(nil); errors.As(err, &none) {
				f.answer = unclear
			}
			continue
		}
		defer conn.Close()
		q.converse(remote.NewSession(bounded{conn, q.deadline}, q.remote.Timeout), to.Name, &f)
		break
	}
	return f
}

// converse asks in a session that has just begun. A host that says nothing at
// all is not reached.
func (q *question) converse(s *remote.Session, name string, f *finding) {
	reply, err := s.Greeting()
	if err != nil {
		return
	}
	f.answer = unclear
	defer func() { _ = s.Quit() }()
	if reply.Code != 220 {
		return
	}
	if reply, err := s.Hello(name); err != nil || reply.Code != 250 {
		return
	}
	f.answer = about(s, q.recipient)
	if f.answer != yes || !q.probe || f.routes > 1 {
		return
	}
	// In a transaction of its own: many hosts take one recipient of a bounce.
	if _, err := s.Reset(); err == nil {
		f.any = about(s, nobody()+"@"+q.domain)
	}
}

// about asks about one recipient. 530 is about security, not about him.
func about(s *remote.Session, recipient string) answer {
	if reply, err := s.Mail(""); err != nil || reply.Code != 250 {
		return unclear
	}
	reply, err := s.Rcpt(recipient)
	switch {
	case err != nil:
		return unclear
	case reply.Code >= 200 && reply.Code < 300:
		return yes
	case reply.Code >= 500 && reply.Code < 600 && reply.Code != 530:
		return no
	}
	return unclear
}

// nobody is a local part that nobody has.
func nobody() string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	name := []byte("callout-")
	for range 16 {
		name = append(name, letters[rand.N(len(letters))])
	}
	return string(name)
}

// bounded is a connection that is over at a time, however the host spreads its
// words.
type bounded struct {
	*os.File
	end time.Time
}

func (b bounded) SetReadDeadline(t time.Time) error { return b.File.SetReadDeadline(b.earlier(t)) }

func (b bounded) SetWriteDeadline(t time.Time) error { return b.File.SetWriteDeadline(b.earlier(t)) }

func (b bounded) earlier(t time.Time) time.Time {
	if t.After(b.end) {
		return b.end
	}
	return t
}
