// Package callout lets qmail-smtpd take mail for other hosts' domains only for
// recipients that those hosts know: it asks them by SMTP, and remembers what
// they said in a cache that all qmail-smtpd processes share. Routes are those
// of qmail-remote, which this package builds on; it must not know the
// dialogue with the client.
//
// A recipient is asked for if his domain is in rcpthosts, but neither in
// locals nor in virtualdomains, and the client may not relay. The destination
// hears MAIL FROM:<> and RCPT. What follows:
//
//	the destination says      now            is remembered
//	yes                       accepted       96 hours
//	yes, and to any address   accepted       that it takes any address, 96 hours
//	no                        550            2 hours
//	not now                   as remembered  nothing
//	nothing, it is down       as remembered  since when
//
// Where nothing is remembered the client gets 451. What is remembered counts
// without asking, but once an hour for each domain the destination is asked
// all the same: so it shows that it is down, or has changed its mind. One that
// is down is tried again every five minutes at most. After four days of that
// mail for the domain is refused with 550; a day without a try ends the count.
//
// A domain whose mail may go to hosts of several names, as its MX records say,
// has several routes. These may know different recipients, so no answer is
// remembered, only whether any of them could be reached.
package callout

import (
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/filter"
)

// Folder holds the cache, below the qmail home. It belongs to qmaild.
const (
	Folder   = "callout"
	fileName = "/cache"
)

// Times in seconds.
const (
	recheck = 60 * 60           // after which a destination is asked though the answer is known
	pause   = 5 * 60            // between tries of one that is down
	lapse   = 24 * 60 * 60      // without a try, after which it is not known to be down
	keep    = 30 * 24 * 60 * 60 // what is known of a destination
)

// Replies to the client.
const (
	replyNo          = "550 sorry, no mailbox here by that name. (#5.1.1)"
	replyUnclear     = "451 sorry, I cannot verify that recipient now, try again later. (#4.4.3)"
	replyUnreachable = "550 sorry, the host for that domain has been unreachable for days. (#5.4.1)"
	replyControls    = "421 unable to read controls (#4.3.0)"
)

// Configured returns the filter if control/rcptcallout is there.
func Configured(d *control.Dir, home string) (filter.Chain, error) {
	entries, ok, err := d.List(control.RcptCallout)
	if !ok || err != nil {
		return nil, err
	}
	return filter.Chain{&callouts{home: home, settings: parseSettings(entries), cache: cache(home + "/" + Folder + fileName)}}, nil
}

// callouts is the filter of one session.
type callouts struct {
	filter.Pass
	home string
	settings
	cache cache
	rules *rules // nil until they are needed
}

// Rcpt asks about a recipient.
func (c *callouts) Rcpt(t *filter.Transaction, recipient string) filter.Verdict {
	if t.Peer.MayRelay || !t.Allowed {
		return filter.Verdict{}
	}
	if c.rules == nil {
		rules, err := readRules(c.home)
		if err != nil {
			return filter.Verdict{Reply: replyControls, Close: true}
		}
		c.rules = rules
	}
	if !c.rules.relayed(recipient) {
		return filter.Verdict{}
	}
	// A destination that leads back to us would ask without end.
	ours := t.Sender == "" && strings.EqualFold(t.Helo, c.rules.remote.HeloHost)
	switch c.judge(recipient, !ours, time.Now().Unix()) {
	case yes:
		return filter.Verdict{}
	case no:
		return filter.Verdict{Reply: replyNo}
	case unreachable:
		return filter.Verdict{Reply: replyUnreachable}
	}
	return filter.Verdict{Reply: replyUnclear}
}

// judge finds the answer for a relayed domain's recipient. unreachable means
// here: for so long that mail is refused.
func (c *callouts) judge(recipient string, mayAsk bool, now int64) answer {
	local, name, _ := address.Split(recipient)
	name = address.Lower(name)
	key := local + "@" + name
	remembered := c.remembered(key, now)
	host, ok := c.cache.get(name, now)
	if !ok {
		host = entry{kind: destination, key: name}
	}
	if now-host.times[tried] > lapse {
		host.times[downSince] = 0
	}
	down := host.times[downSince] > 0
	switch {
	case !mayAsk || down && now-host.times[tried] < pause:
	case !down && remembered != unclear && now-host.times[reached] < recheck:
		return remembered
	default:
		said := c.ask(&host, key, now)
		if said == yes || said == no && !c.rules.known.Has(key) {
			return said
		}
	}
	if host.times[downSince] > 0 && now-host.times[downSince] >= c.unreachable {
		return unreachable
	}
	return remembered
}

// remembered is what is known of a recipient; yes where he is listed.
func (c *callouts) remembered(key string, now int64) answer {
	if c.rules.known.Has(key) {
		return yes
	}
	switch e, _ := c.cache.get(key, now); e.kind {
	case accepted:
		return yes
	case refused:
		return no
	}
	return unclear
}

// ask asks the destination and remembers what it said, also in host.
func (c *callouts) ask(host *entry, key string, now int64) answer {
	q := question{
		remote: c.rules.remote, domain: host.key, recipient: key,
		probe:    max(host.times[catchAll], host.times[selective]) <= now,
		deadline: time.Now().Add(c.timeout),
	}
	f := q.ask()
	if f.routes == 0 {
		return unclear // there was nobody to ask
	}
	c.note(host, f, now)
	c.cache.put(*host, now)
	c.remember(host, key, f, now)
	return f.answer
}

// remember keeps an answer where it can be had from one destination alone and
// says something about the recipient.
func (c *callouts) remember(host *entry, key string, f finding, now int64) {
	switch {
	case f.routes > 1:
	case f.answer == no:
		c.cache.put(entry{refused, key, [numTimes]int64{until: now + c.refused}}, now)
	case f.answer == yes && host.times[catchAll] <= now:
		c.cache.put(entry{accepted, key, [numTimes]int64{until: now + c.accepted}}, now)
	}
}

// note keeps what a finding says about the host.
func (c *callouts) note(host *entry, f finding, now int64) {
	host.times[until] = now + keep
	if f.answer == unreachable {
		host.times[tried] = now
		if host.times[downSince] == 0 {
			host.times[downSince] = now
		}
		return
	}
	host.times[reached], host.times[downSince] = now, 0
	switch {
	case f.any == yes:
		host.times[catchAll] = now + c.accepted
	case f.any == no:
		host.times[selective] = now + c.refused
	case f.answer == no:
		host.times[catchAll] = 0
	}
}
