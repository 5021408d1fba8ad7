package remote

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

// smtpPort is where mail exchangers listen (RFC 5321 2.3.5).
const smtpPort = 25

// route is an entry of smtproutes.
type route struct {
	host string // a name or an address literal
	port uint16
}

// findRoute looks a domain up in smtproutes: itself, its suffixes that begin
// at a dot, the empty key. A route without a host says: by MX, as usual.
func findRoute(routes control.Map, domain string) (route, bool) {
	for i := 0; i <= len(domain); i++ {
		if i != 0 && i != len(domain) && domain[i] != '.' {
			continue
		}
		if value, ok := routes.Get(domain[i:]); ok {
			return parseRoute(value)
		}
	}
	return route{}, false
}

// parseRoute parses "relay", "relay:port" or "[IPv6 address]:port". An empty
// relay is none.
func parseRoute(value string) (route, bool) {
	host, port, hasPort := strings.Cut(value, ":")
	if strings.HasPrefix(value, "[") {
		if end := strings.IndexByte(value, ']'); end >= 0 && strings.Contains(value[:end], ":") {
			host = value[:end+1]
			port, hasPort = strings.CutPrefix(value[end+1:], ":")
		}
	}
	r := route{host: host, port: smtpPort}
	if hasPort {
		n, _ := control.Number(port) // a port that is none is 0: no connection
		r.port = uint16(n)
	}
	return r, host != "" || value != ""
}

// target is an address to try.
type target struct {
	addr netip.Addr
	pref int
}

// targets returns the addresses to try, best first, and the port.
func (d *Delivery) targets(own *socket.Host) ([]target, uint16, *result) {
	l := lookup{resolver: d.Resolver, ipv6: own.IPv6}
	r, routed := findRoute(d.Config.Routes, d.Host)
	name, port := d.Host, uint16(smtpPort)
	if routed {
		name, port = r.host, r.port
		l.host(name, 0)
	} else {
		l.exchangers(name)
	}
	switch {
	case l.notFound:
		return nil, 0, noHost(name)
	case len(l.found) == 0 && l.temporary:
		return nil, 0, resDNS
	case len(l.found) == 0:
		return nil, 0, resNoMX
	case routed:
		return l.found, port, nil
	}
	better := betterThanUs(l.found, own)
	if len(better) == 0 {
		return nil, 0, resAmbiguousMX
	}
	return better, port, nil
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
		l.found = append(l.found, target{addr, 0})
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
		l.found = append(l.found, target{a, pref})
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
		l.found = append(l.found, target{addr, 0})
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
