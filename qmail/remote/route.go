package remote

import (
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

// Ports with a meaning.
const (
	smtpPort  = 25  // where mail exchangers listen (RFC 5321 2.3.5)
	smtpsPort = 465 // TLS begins with the first byte (RFC 8314 3.3)
)

// route is an entry of smtproutes or authsenders.
type route struct {
	host string // a name or an address literal
	port uint16
	Credentials
}

// route returns the relay that takes the message: what authsenders says about
// the sender goes before what smtproutes says about the domain. A route
// without a host says: by MX, as usual.
func (d *Delivery) route() (route, bool) {
	if value, ok := bySender(d.Config.AuthSenders, d.Sender); ok {
		if r, routed := parseRoute(value); routed {
			return r, true
		}
	}
	return findRoute(d.Config.Routes, d.Host)
}

// findRoute looks a domain up in smtproutes.
func findRoute(routes control.Map, domain string) (route, bool) {
	value, ok := byDomain(routes, domain)
	if !ok {
		return route{}, false
	}
	return parseRoute(value)
}

// parseRoute parses "relay", "relay:port" or "[IPv6 address]:port", with
// "|user|password" behind it where the relay wants to know who sends, or in
// the older form " user password", in base64. An empty relay is none.
func parseRoute(value string) (route, bool) {
	value, login := cutCredentials(value)
	host, port, hasPort := strings.Cut(value, ":")
	if strings.HasPrefix(value, "[") {
		if end := strings.IndexByte(value, ']'); end >= 0 && strings.Contains(value[:end], ":") {
			host = value[:end+1]
			port, hasPort = strings.CutPrefix(value[end+1:], ":")
		}
	}
	r := route{host: host, port: smtpPort, Credentials: login}
	if hasPort {
		n, _ := control.Number(port) // a port that is none is 0: no connection
		r.port = uint16(n)
	}
	return r, host != "" || value != ""
}

func cutCredentials(value string) (relay string, login Credentials) {
	if relay, rest, ok := strings.Cut(value, "|"); ok {
		user, password, _ := strings.Cut(rest, "|")
		return relay, Credentials{user, password}
	}
	if f := strings.Fields(value); len(f) == 3 {
		return f[0], Credentials{fromBase64(f[1]), fromBase64(f[2])}
	}
	return value, login
}

// fromBase64 decodes a word, or leaves it as it is where it does not look like
// text in base64: who writes such a file by hand may not have encoded it.
func fromBase64(word string) string {
	text, err := base64.StdEncoding.DecodeString(word)
	if err != nil || len(text) == 0 || !utf8.Valid(text) {
		return word
	}
	for _, c := range text {
		if c < ' ' {
			return word
		}
	}
	return string(text)
}

// target is an address to try.
type target struct {
	addr netip.Addr
	port uint16
	name string // of the host in DNS; empty where only the address is known
	pref int

	login Credentials
}

// breaksLine reports whether the domain of an address of the envelope would
// end a command before its time: what follows would be another command. In a
// local part the break is quoted.
func (d *Delivery) breaksLine() bool {
	return slices.ContainsFunc(append(d.Recipients[:len(d.Recipients):len(d.Recipients)], d.Sender), func(addr string) bool {
		_, domain, ok := address.Split(addr)
		if !ok {
			domain = addr // goes unquoted, see path
		}
		return strings.ContainsAny(domain, "\r\n")
	})
}

// targets returns the addresses to try, best first.
func (d *Delivery) targets(own *socket.Host) ([]target, *result) {
	if d.breaksLine() {
		return nil, resLineBreak
	}
	l := lookup{resolver: d.Resolver, ipv6: own.IPv6}
	r, routed := d.route()
	if !routed {
		r = route{host: d.Host, port: smtpPort}
	}
	name, res := d.inDNS(r.host)
	switch {
	case res != nil:
		return nil, res
	case routed:
		l.host(name, 0)
	default:
		l.exchangers(name)
	}
	switch {
	case l.notFound:
		return nil, noHost(name)
	case len(l.found) == 0 && l.temporary:
		return nil, resDNS
	case len(l.found) == 0:
		return nil, resNoMX
	}
	for i := range l.found {
		l.found[i].port, l.found[i].login = r.port, r.Credentials
	}
	if routed {
		return l.found, nil
	}
	better := betterThanUs(l.found, own)
	if len(better) == 0 {
		return nil, resAmbiguousMX
	}
	return better, nil
}

// betterThanUs drops what is not preferred to this host itself: mail would
// come back.
func betterThanUs(targets []target, own *socket.Host) []target {
	const worst = 1 << 16
	limit := worst
	for _, t := range targets {
		if own.Has(t.addr) {
			limit = min(limit, t.pref)
		}
	}
	var better []target
	for _, t := range targets {
		if t.pref < limit {
			better = append(better, t)
		}
	}
	return better
}

// lookup collects addresses.
type lookup struct {
	resolver *resolver.Resolver
	ipv6     bool

	found     []target
	notFound  bool // the name itself does not exist
	temporary bool // something could not be found out
}

// host adds the addresses of one host, or the address that its name is.
func (l *lookup) host(name string, pref int) {
	if addr, ok := socket.ParseHost(name); ok {
		l.found = append(l.found, target{addr: addr})
		return
	}
	addrs, err := l.resolver.A(name)
	absent, temporary := errors.Is(err, resolver.ErrNotFound), err == resolver.ErrTemporary
	if l.ipv6 {
		// Where this host has no IPv6 it behaves as qmail, which knows none.
		more, err := l.resolver.AAAA(name)
		addrs = append(addrs, more...)
		absent = absent && errors.Is(err, resolver.ErrNotFound)
		temporary = temporary || err == resolver.ErrTemporary
	}
	for _, a := range addrs {
		l.found = append(l.found, target{addr: a, name: name, pref: pref})
	}
	if len(addrs) == 0 {
		l.notFound = l.notFound || absent
		l.temporary = l.temporary || temporary
	}
}

// exchangers adds the addresses of a domain's mail exchangers, equally
// preferred ones in random order; of the domain itself where it has none.
func (l *lookup) exchangers(domain string) {
	if addr, ok := socket.ParseHost(domain); ok {
		l.found = append(l.found, target{addr: addr})
		return
	}
	list, err := l.resolver.MX(domain)
	if err == resolver.ErrTemporary {
		l.temporary = true
		return
	}
	if len(list) == 0 {
		l.host(domain, 0)
		return
	}
	for _, mx := range inOrder(list) {
		l.host(mx.Host, int(mx.Preference))
	}
	l.notFound = false // an exchanger without address is passed over
}

// inOrder sorts exchangers by preference, equally preferred ones at random
// (RFC 5321 5.1).
func inOrder(list []resolver.MX) []resolver.MX {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b resolver.MX) int { return int(a.Preference) - int(b.Preference) })
	return list
}
