package filter

import (
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/control"
)

// Replies of the lists.
const (
	replyBadHelo    = "553 sorry, your HELO/EHLO greeting is in my badhelo list (#5.7.1)"
	replyBadSender  = "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)"
	replyBadRcptTo  = "553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)"
	replyBadMailTo  = "553 sorry, your envelope recipient is in my badmailto list (#5.7.1)"
	replyNoDomain   = "550 sorry, your envelope sender domain must exist (#5.7.1)"
	replyDNSTrouble = "451 DNS temporary failure (#4.3.0)"
)

// stranger reports whether a client may not relay.
func stranger(t *Transaction) bool { return !t.Peer.MayRelay }

// badHelo refuses recipients of a client with an unwelcome name. It answers
// at RCPT: many clients do not look at the reply to HELO.
type badHelo struct {
	Pass
	all       Matcher
	strangers Matcher // for clients that may not relay
	check     string  // HELOCHECK
	dns       hosts
}

func (f badHelo) Rcpt(t *Transaction, _ string) Verdict {
	if f.all.Hits(t.Helo) || stranger(t) && (f.strangers.Hits(t.Helo) || f.dubious(t)) {
		return Verdict{Reply: replyBadHelo}
	}
	return Verdict{}
}

// dubious does what HELOCHECK asks for, by its letters: "." a name must have
// been given, "=" it must be the one the client is known by, "A" it must have
// an address, "M" it must have mail exchangers. What DNS does not know just
// now is no fault of the client's.
func (f badHelo) dubious(t *Transaction) bool {
	for _, letter := range f.check {
		bad := false
		switch letter {
		case '.':
			bad = t.Helo == ""
		case '=':
			bad = address.Lower(t.Helo) != address.Lower(t.Peer.RemoteHost)
		case 'A':
			bad = addressOf(f.dns, t.Helo) == absent
		case 'M':
			bad = exchangerOf(f.dns, t.Helo) == absent
		}
		if bad {
			return true
		}
	}
	return false
}

// badSender is badmailfrom with patterns.
type badSender struct {
	Pass
	all       Matcher
	strangers Matcher // for clients that may not relay
}

func (f badSender) Rcpt(t *Transaction, _ string) Verdict {
	if t.Sender == "" || t.Excused {
		return Verdict{}
	}
	if f.all.Hits(t.Sender) || stranger(t) && f.strangers.Hits(t.Sender) {
		return Verdict{Reply: replyBadSender}
	}
	return Verdict{}
}

// badRecipient is badrcptto and badmailto.
type badRecipient struct {
	Pass
	all       Matcher
	strangers Matcher // for clients that may not relay
	reply     string
}

func (f badRecipient) Rcpt(t *Transaction, recipient string) Verdict {
	if f.all.Hits(recipient) || stranger(t) && f.strangers.Hits(recipient) {
		return Verdict{Reply: f.reply}
	}
	return Verdict{}
}

// senderDomain asks whether the sender's domain exists. Clients that may
// relay are not asked, nor is the sender of bounces.
type senderDomain struct {
	Pass
	dns    hosts
	exempt control.Map // addresses, and domains with or without "@"
}

func (f senderDomain) Mail(t *Transaction) Verdict {
	_, domain, ok := address.Split(t.Sender)
	switch {
	case t.Sender == "" || t.Sender == "#@[]" || !stranger(t):
		return Verdict{}
	case f.exempt.Has(t.Sender) || ok && (f.exempt.Has(domain) || f.exempt.Has("@"+domain)):
		return Verdict{}
	case !ok:
		return Verdict{Reply: replyNoDomain}
	case strings.HasPrefix(domain, "["):
		return Verdict{} // a literal needs no name
	}
	switch mailHost(f.dns, domain) {
	case absent:
		return Verdict{Reply: replyNoDomain}
	case unclear:
		return Verdict{Reply: replyDNSTrouble}
	}
	return Verdict{}
}

// existence is what DNS says about a name.
type existence int

const (
	present existence = iota
	absent
	unclear // nobody knows just now
)

func mailHost(dns hosts, domain string) existence {
	if e := exchangerOf(dns, domain); e != absent {
		return e
	}
	return addressOf(dns, domain)
}

func exchangerOf(dns hosts, domain string) existence {
	list, err := dns.MX(domain)
	return existenceBy(len(list), err)
}

func addressOf(dns hosts, host string) existence {
	v4, err := dns.A(host)
	if e := existenceBy(len(v4), err); e == present {
		return e
	}
	v6, err6 := dns.AAAA(host)
	if e := existenceBy(len(v6), err6); e != absent {
		return e
	}
	return existenceBy(len(v4), err)
}

func existenceBy(records int, err error) existence {
	switch {
	case err == resolver.ErrTemporary:
		return unclear
	case err != nil || records == 0:
		return absent
	}
	return present
}
