// Package spf asks whether a sender's domain lets a client send its mail
// (RFC 7208), in the manner of the SPF patch: spfbehavior, spfrules, spfguess,
// spfexp, SPFRESULT and the Received-SPF field. It must not know the dialogue.
// Its library links package net and belongs into the second binary alone.
package spf

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	library "blitiri.com.ar/go/spf"
	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/filter"
)

// patience is how long all lookups for one message may take together
// (RFC 7208 4.6.4).
const patience = 20 * time.Second

// The steps of spfbehavior: each does what those before it do.
const (
	annotate       = 1 + iota // add a Received-SPF field
	deferTrouble              // answer 451 where DNS cannot tell
	refuseFail                // refuse what the domain does not want
	refuseSoftFail            // … or rather does not want
	refuseNeutral             // … or says nothing about
	refuseNone                // … or has no usable record for
)

const replyTrouble = "451 SPF lookup failure (#4.3.0)"

// variable tells the queue program the result.
const variable = "SPFRESULT"

// Filters returns the filter if control files below home or the environment
// of the connection switch it on.
func Filters(home string, env environ.List) (filter.Chain, error) {
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, err
	}
	behavior, err := filter.SPFBehavior(d, env.Lookup)
	if err != nil || behavior == 0 {
		return nil, err
	}
	c := &checker{behavior: behavior, dns: resolver.System()}
	for _, line := range []struct {
		name control.Name
		into *string
	}{{control.SPFRules, &c.rules}, {control.SPFGuess, &c.guess}, {control.SPFExp, &c.explanation}} {
		if *line.into, _, err = d.Line(line.name); err != nil {
			return nil, err
		}
	}
	return filter.Chain{c}, nil
}

// checker is the filter of one session.
type checker struct {
	filter.Pass
	behavior    int
	rules       string // tried before a failure
	guess       string // for domains without a record
	explanation string // where the domain has none
	dns         *resolver.Resolver

	header  string // for the message
	refusal string // of its recipients
}

// Mail implements filter.Filter.
func (c *checker) Mail(t *filter.Transaction) filter.Verdict {
	c.Reset()
	ip, err := netip.ParseAddr(t.Peer.RemoteIP)
	if t.Peer.MayRelay || err != nil {
		t.Unsetenv(variable)
		return filter.Verdict{}
	}
	q := question{ip: ip.Unmap().WithZone(""), helo: t.Helo, sender: t.Sender, receiver: t.Peer.Local}
	q.fill()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	result := c.judge(ctx, q)
	t.Setenv(variable, names[result])
	if c.behavior >= deferTrouble && result == library.TempError {
		return filter.Verdict{Reply: replyTrouble}
	}
	c.header = field(q, result)
	if c.behavior >= refusedFrom[result] {
		c.refusal = "550 " + c.explain(ctx, q, result) + " (#5.7.1)"
	}
	return filter.Verdict{}
}

// Rcpt implements filter.Filter.
func (c *checker) Rcpt(*filter.Transaction, string) filter.Verdict {
	return filter.Verdict{Reply: c.refusal}
}

// Data implements filter.Filter.
func (c *checker) Data(t *filter.Transaction) filter.Verdict {
	t.Header += c.header
	return filter.Verdict{}
}

// Reset implements filter.Filter.
func (c *checker) Reset() { c.header, c.refusal = "", "" }

// names are the results in the patch's words.
var names = map[library.Result]string{
	library.Pass: "pass", library.Fail: "fail", library.SoftFail: "softfail", library.Neutral: "neutral",
	library.None: "none", library.PermError: "unknown", library.TempError: "error",
}

// refusedFrom is the step from which on a result means that recipients are
// refused.
var refusedFrom = map[library.Result]int{
	library.Fail: refuseFail, library.SoftFail: refuseSoftFail, library.Neutral: refuseNeutral,
	library.None: refuseNone, library.PermError: refuseNone,
	library.Pass: never, library.TempError: never,
}

const never = 1 << 30

// question is what is asked about.
type question struct {
	ip       netip.Addr
	helo     string
	sender   string
	receiver string // this host's name
	local    string // of the sender, or "postmaster"
	domain   string // of the sender, or the name the client gave

	name func() string // looks up the client's, for explanations
}

// fill finds out whose record counts (RFC 7208 2.4, 4.3).
func (q *question) fill() {
	local, domain, ok := address.Split(q.sender)
	if !ok {
		domain = q.helo
	}
	if local == "" {
		local = "postmaster"
	}
	q.local, q.domain = local, domain
}

// identity is the sender as the library has it, which takes all behind the
// first "@" for the domain.
func (q *question) identity() string { return strings.ReplaceAll(q.local, "@", "_") + "@" + q.domain }

// judge evaluates the record, and the rules of this host where they count.
func (c *checker) judge(ctx context.Context, q question) library.Result {
	dns := lookups{c.dns, q.ip.Is6()}
	result := evaluate(ctx, q, dns)
	switch result {
	case library.None:
		if c.guess != "" {
			return evaluate(ctx, q, instead{dns, q.domain, c.guess})
		}
	case library.Fail, library.SoftFail, library.Neutral:
		if c.rules != "" && evaluate(ctx, q, instead{dns, q.domain, c.rules}) == library.Pass {
			return library.Pass
		}
	}
	return result
}

func evaluate(ctx context.Context, q question, dns library.DNSResolver) library.Result {
	ip := net.IP(q.ip.AsSlice())
	result, _ := library.CheckHostWithSender(ip, q.helo, q.identity(), library.WithContext(ctx), library.WithResolver(dns))
	return result
}

// field is the Received-SPF field (RFC 7208 9.1).
func field(q question, result library.Result) string {
	sender, ip := "domain of "+visible(q.identity()), q.ip.String()
	comment := ""
	switch result {
	case library.Pass:
		comment = sender + " designates " + ip + " as permitted sender"
	case library.Fail:
		comment = sender + " does not designate " + ip + " as permitted sender"
	case library.SoftFail:
		comment = "transitioning " + sender + " does not designate " + ip + " as permitted sender"
	case library.Neutral:
		comment = ip + " is neither permitted nor denied by " + sender
	case library.None:
		comment = sender + " does not designate permitted senders"
	case library.PermError:
		comment = sender + " has a record that cannot be used"
	case library.TempError:
		comment = sender + " cannot be looked up just now"
	}
	identity := "mailfrom"
	if q.sender == "" {
		identity = "helo"
	}
	return "Received-SPF: " + names[result] + " (" + visible(q.receiver) + ": " + comment + ")\n" +
		"  identity=" + identity + "; client-ip=" + ip + "; envelope-from=\"" + visible(q.sender) + "\"; helo=" + visible(q.helo) + ";\n"
}

// visible keeps a client's words from looking like more than one in a field.
func visible(s string) string {
	const longest = 200
	b := []byte(s[:min(len(s), longest)])
	for i, c := range b {
		if c <= ' ' || c > '~' || strings.IndexByte(`()"\;`, c) >= 0 {
			b[i] = '?'
		}
	}
	return string(b)
}
