// Package filter is what may be asked of a client of qmail-smtpd beside
// qmail's own checks: the filters of the deployed patches. Each is off until
// its control file or variable is there. It owns the filters' order and words;
// it must not know the dialogue.
//
// The order, with what switches each on, and the stages at which it judges:
//
//	greetdelay, GREETDELAY                                 greeting
//	badhelo, badhelonorelay, badhelopatterns, HELOCHECK    RCPT
//	badmailfromnorelay, badmailfrompatterns, …             RCPT
//	smtpplugins, SPPCONFFILE                               all
//	mfcheck, MFCHECK, MFDNSCHECK                           MAIL
//	filters that the second binary alone has (SPF)         MAIL, RCPT
//	maxrcpt, maxrecipients, brtlimit                       RCPT
//	badrcptto, badrcpttonorelay, badmailto, …              RCPT
//	validrcptto.cdb, VALIDRCPTTO_CDB                       RCPT
//	RCPTCHECK                                              RCPT
//	tarpitcount, TARPITCOUNT                               RCPT
//
// qmail-smtpd's own checks stand around them: badmailfrom before, rcpthosts
// behind. What asks whether a recipient exists asks only for recipients that
// would be accepted otherwise.
package filter

import (
	"time"

	"github.com/reqmail/reqmail/qmail/intake"
)

// Transaction is what is known of a client and its message.
type Transaction struct {
	Peer          intake.Peer
	Authenticated bool
	Mechanism     string // of AUTH, in lower case, with User; for Auth
	User          string
	Helo          string
	Sender        string // what Mail makes of it counts
	Recipient     string // of Rcpt; what that makes of it counts
	Recipients    int    // accepted for the message so far
	Rejected      int    // recipients refused since the session began
	Allowed       bool   // the recipient's domain is in rcpthosts
	Excused       bool   // a filter vouches for the sender (Verdict.Final of Mail)

	// Lookup, Setenv, Unsetenv and Environ are the environment of the
	// connection; what is set reaches the queue program.
	Lookup   func(name string) (value string, ok bool)
	Setenv   func(name, value string)
	Unsetenv func(name string)
	Environ  func() []string

	// Early waits at most that long and reports whether the client has sent
	// something meanwhile.
	Early func(time.Duration) bool

	// Header is put below the Received field of the message.
	Header string
}

// Verdict is a filter's word. The zero one lets pass.
type Verdict struct {
	Note  string // lines for the client before the reply, whatever that is
	Reply string // to the client in place of qmail-smtpd's, lines separated by "\n"; not empty means refused
	Close bool   // end the session behind it
	Final bool   // no filter behind this one is asked, nor badmailfrom (Mail)
	Admit bool   // of Rcpt: accept, whether or not rcpthosts has the domain
}

// Refused reports whether the command is not carried out.
func (v Verdict) Refused() bool { return v.Reply != "" || v.Close }

// Filter judges at each stage of a session. Embed Pass for the stages that do
// not matter.
type Filter interface {
	Greet(*Transaction) Verdict                    // before the greeting
	Hello(*Transaction) Verdict                    // HELO and EHLO
	Auth(*Transaction) Verdict                     // AUTH, with credentials that are good
	Mail(*Transaction) Verdict                     // MAIL
	Rcpt(t *Transaction, recipient string) Verdict // RCPT
	Data(*Transaction) Verdict                     // DATA
	Reset()                                        // the transaction has come to nothing
}

// Pass lets everything pass.
type Pass struct{}

func (Pass) Greet(*Transaction) Verdict        { return Verdict{} }
func (Pass) Hello(*Transaction) Verdict        { return Verdict{} }
func (Pass) Auth(*Transaction) Verdict         { return Verdict{} }
func (Pass) Mail(*Transaction) Verdict         { return Verdict{} }
func (Pass) Rcpt(*Transaction, string) Verdict { return Verdict{} }
func (Pass) Data(*Transaction) Verdict         { return Verdict{} }
func (Pass) Reset()                            {}

// Chain asks filters one after the other; the first that refuses counts.
type Chain []Filter

func (c Chain) ask(stage func(Filter) Verdict) Verdict {
	var all Verdict
	for _, f := range c {
		v := stage(f)
		v.Note = all.Note + v.Note
		v.Admit = v.Admit || all.Admit
		if all = v; v.Refused() || v.Final {
			break
		}
	}
	return all
}

// Greet asks before the greeting.
func (c Chain) Greet(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Greet(t) })
}

// Hello asks at HELO and EHLO.
func (c Chain) Hello(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Hello(t) })
}

// Auth asks at AUTH, when the credentials have been found good.
func (c Chain) Auth(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Auth(t) })
}

// Mail asks at MAIL.
func (c Chain) Mail(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Mail(t) })
}

// Rcpt asks at RCPT. Each filter sees what those before have made of the
// recipient.
func (c Chain) Rcpt(t *Transaction, recipient string) Verdict {
	t.Recipient = recipient
	return c.ask(func(f Filter) Verdict { return f.Rcpt(t, t.Recipient) })
}

// Data asks at DATA.
func (c Chain) Data(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Data(t) })
}

// Reset tells that the transaction has come to nothing.
func (c Chain) Reset() {
	for _, f := range c {
		f.Reset()
	}
}

// Broken is in place of filters whose control files cannot be read.
type Broken struct{ Pass }

// Greet turns the client away for now.
func (Broken) Greet(*Transaction) Verdict { return broken }

var broken = Verdict{Reply: "421 unable to read controls (#4.3.0)", Close: true}
