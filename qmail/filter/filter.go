// Package filter is what may be asked of a client of qmail-smtpd beside
// qmail's own checks: the filters of the deployed patches. Each is off until
// its control file or variable is there. It owns the filters' order and words;
// it must not know the dialogue.
package filter

import (
	"time"

	"github.com/reqmail/reqmail/qmail/intake"
)

// Transaction is what is known of a client and its message.
type Transaction struct {
	Peer          intake.Peer
	Authenticated bool
	Helo          string
	Sender        string
	Recipients    int  // accepted for the message so far
	Allowed       bool // the recipient's domain is in rcpthosts

	// Lookup and Setenv are the environment of the connection; what is set
	// reaches the queue program.
	Lookup func(name string) (value string, ok bool)
	Setenv func(name, value string)

	// Early waits at most that long and reports whether the client has sent
	// something meanwhile.
	Early func(time.Duration) bool

	// Header is put below the Received field of the message.
	Header string
}

// Verdict is a filter's word. The zero one lets pass.
type Verdict struct {
	Reply string // to the client in place of qmail-smtpd's, lines separated by "\n"; not empty means refused
	Close bool   // end the session behind it
	Admit bool   // of Rcpt: accept, whether or not rcpthosts has the domain
	Extra string // reply lines in place of "250 ok", without refusing
}

// Refused reports whether the command is answered with v.Reply.
func (v Verdict) Refused() bool { return v.Reply != "" }

// Filter judges at each stage of a session. Embed Pass for the stages that do
// not matter.
type Filter interface {
	Greet(*Transaction) Verdict                    // before the greeting
	Hello(*Transaction) Verdict                    // HELO and EHLO
	Mail(*Transaction) Verdict                     // MAIL
	Rcpt(t *Transaction, recipient string) Verdict // RCPT
	Data(*Transaction) Verdict                     // DATA
}

// Pass lets everything pass.
type Pass struct{}

func (Pass) Greet(*Transaction) Verdict        { return Verdict{} }
func (Pass) Hello(*Transaction) Verdict        { return Verdict{} }
func (Pass) Mail(*Transaction) Verdict         { return Verdict{} }
func (Pass) Rcpt(*Transaction, string) Verdict { return Verdict{} }
func (Pass) Data(*Transaction) Verdict         { return Verdict{} }

// Chain asks filters one after the other; the first that refuses counts.
type Chain []Filter

func (c Chain) ask(stage func(Filter) Verdict) Verdict {
	var last Verdict
	for _, f := range c {
		v := stage(f)
		if v.Refused() || v.Close {
			return v
		}
		last.Admit = last.Admit || v.Admit
		if v.Extra != "" {
			last.Extra = v.Extra
		}
	}
	return last
}

// Greet asks before the greeting.
func (c Chain) Greet(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Greet(t) })
}

// Hello asks at HELO and EHLO.
func (c Chain) Hello(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Hello(t) })
}

// Mail asks at MAIL.
func (c Chain) Mail(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Mail(t) })
}

// Rcpt asks at RCPT.
func (c Chain) Rcpt(t *Transaction, recipient string) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Rcpt(t, recipient) })
}

// Data asks at DATA.
func (c Chain) Data(t *Transaction) Verdict {
	return c.ask(func(f Filter) Verdict { return f.Data(t) })
}

// Broken is in place of filters whose control files cannot be read.
type Broken struct{ Pass }

// Greet turns the client away for now.
func (Broken) Greet(*Transaction) Verdict {
	return Verdict{Reply: "421 unable to read controls (#4.3.0)", Close: true}
}

// NeedsLibraries reports whether filters are switched on that the second
// binary alone has.
func NeedsLibraries(home string, lookup func(string) (string, bool)) bool { return false }

// Configured returns the filters that are switched on by control files below
// home and by the environment of the connection.
func Configured(home string, lookup func(string) (string, bool)) (Chain, error) { return nil, nil }
