package filter

import (
	"net/netip"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
)

// Replies about haste and number.
const (
	replyEarly      = "554 SMTP protocol violation"
	replyTooMany    = "452 sorry, too many recipients (#4.5.3)"
	replyTooManyBad = "421 too many invalid addresses, goodbye (#4.3.0)"
)

// hosts is what is asked of DNS.
type hosts interface {
	MX(name string) ([]resolver.MX, error)
	A(name string) ([]netip.Addr, error)
	AAAA(name string) ([]netip.Addr, error)
}

var _ hosts = (*resolver.Resolver)(nil)

// greetDelay lets clients wait for the greeting, and turns those away that
// talk before it.
type greetDelay struct {
	Pass
	delay time.Duration
}

func (f greetDelay) Greet(t *Transaction) Verdict {
	if t.Early(f.delay) {
		return Verdict{Reply: replyEarly, Close: true}
	}
	return Verdict{}
}

// maxRecipients limits the recipients of a message.
type maxRecipients struct {
	Pass
	limit int
}

func (f maxRecipients) Rcpt(t *Transaction, _ string) Verdict {
	if t.Recipients >= f.limit {
		return Verdict{Reply: replyTooMany}
	}
	return Verdict{}
}

// maxRejected hangs up on a client that has had too many recipients refused.
type maxRejected struct {
	Pass
	limit int
}

func (f maxRejected) Rcpt(t *Transaction, _ string) Verdict {
	if t.Rejected >= f.limit {
		return Verdict{Reply: replyTooManyBad, Close: true}
	}
	return Verdict{}
}

// tarpit lets a client wait for each recipient beyond the first few.
type tarpit struct {
	Pass
	count int
	delay time.Duration
	sleep func(time.Duration)
}

func (f tarpit) Rcpt(t *Transaction, _ string) Verdict {
	if t.Recipients >= f.count {
		f.sleep(f.delay)
	}
	return Verdict{}
}
