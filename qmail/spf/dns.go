package spf

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	library "blitiri.com.ar/go/spf"
	"github.com/reqmail/reqmail/compat/resolver"
)

// lookups asks our resolver in the manner of package net.
type lookups struct {
	resolver *resolver.Resolver
	v6       bool // addresses of IPv6 count, and no others
}

// instead has other rules for one domain than its record.
type instead struct {
	lookups
	domain string
	rules  string
}

var (
	_ library.DNSResolver = lookups{}
	_ library.DNSResolver = instead{}
)

// LookupTXT implements library.DNSResolver.
func (i instead) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if strings.EqualFold(name, i.domain) {
		return []string{"v=spf1 " + i.rules}, nil
	}
	return i.lookups.LookupTXT(ctx, name)
}

// LookupTXT implements library.DNSResolver.
func (l lookups) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if ctx.Err() != nil {
		return nil, failure(name, resolver.ErrTemporary)
	}
	texts, err := l.resolver.TXT(name)
	return texts, failure(name, err)
}

// LookupMX implements library.DNSResolver.
func (l lookups) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	if ctx.Err() != nil {
		return nil, failure(name, resolver.ErrTemporary)
	}
	list, err := l.resolver.MX(name)
	exchangers := make([]*net.MX, len(list))
	for i, mx := range list {
		exchangers[i] = &net.MX{Host: mx.Host + ".", Pref: mx.Preference}
	}
	return exchangers, failure(name, err)
}

// LookupIPAddr implements library.DNSResolver. It asks for the client's kind
// of address (RFC 7208 5); the IPv4 ones of a name that has no other count for
// "exists" (5.7), and match nobody else.
func (l lookups) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	list, err := l.addresses(ctx, name)
	addrs := make([]net.IPAddr, len(list))
	for i, addr := range list {
		addrs[i].IP = addr.AsSlice()
	}
	return addrs, failure(name, err)
}

func (l lookups) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	if ctx.Err() != nil {
		return nil, resolver.ErrTemporary
	}
	if l.v6 {
		list, err := l.resolver.AAAA(name)
		if len(list) > 0 || err == resolver.ErrTemporary || err == resolver.ErrNoName {
			return list, err
		}
	}
	return l.resolver.A(name)
}

// LookupAddr implements library.DNSResolver.
func (l lookups) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	ip, err := netip.ParseAddr(addr)
	if ctx.Err() != nil || err != nil {
		return nil, failure(addr, resolver.ErrTemporary)
	}
	list, err := l.resolver.PTR(ip)
	for i := range list {
		list[i] += "."
	}
	return list, failure(addr, err)
}

// failure makes our resolver's error package net's, which the library looks
// into.
func failure(name string, err error) error {
	switch err {
	case nil:
		return nil
	case resolver.ErrTemporary:
		return &net.DNSError{Err: err.Error(), Name: name, IsTemporary: true}
	}
	return &net.DNSError{Err: err.Error(), Name: name, IsNotFound: true}
}

// validated is the name of an address that leads back to it (RFC 7208 5.5):
// the domain itself or one below it, if there is such a name.
func (l lookups) validated(ctx context.Context, ip netip.Addr, domain string) string {
	const most = 10 // RFC 7208 4.6.4
	names, err := l.resolver.PTR(ip)
	if err != nil || ctx.Err() != nil {
		return "unknown"
	}
	best := "unknown"
	for _, name := range names[:min(len(names), most)] {
		if list, err := l.addresses(ctx, name); err != nil || !slices.Contains(list, ip) {
			continue
		}
		if strings.EqualFold(name, domain) {
			return name
		}
		if best == "unknown" || strings.HasSuffix(strings.ToLower(name), "."+strings.ToLower(domain)) {
			best = name
		}
	}
	return best
}
