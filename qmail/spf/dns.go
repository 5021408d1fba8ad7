package spf

import (
	"context"
	"net"
	"net/netip"
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
// of address alone (RFC 7208 5).
func (l lookups) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	if ctx.Err() != nil {
		return nil, failure(name, resolver.ErrTemporary)
	}
	ask := l.resolver.A
	if l.v6 {
		ask = l.resolver.AAAA
	}
	list, err := ask(name)
	addrs := make([]net.IPAddr, len(list))
	for i, addr := range list {
		addrs[i].IP = addr.AsSlice()
	}
	return addrs, failure(name, err)
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
