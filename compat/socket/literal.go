package socket

import (
	"net/netip"
	"strings"
)

// ParseHost parses the name of a host that is an address: 192.0.2.1, or a
// literal.
func ParseHost(name string) (netip.Addr, bool) {
	if strings.HasPrefix(name, "[") {
		return ParseLiteral(name)
	}
	return dottedQuad(name)
}

// ParseLiteral parses an address literal: [192.0.2.1], and, with or without
// the tag of RFC 5321 4.1.3, [IPv6:2001:db8::1].
func ParseLiteral(name string) (netip.Addr, bool) {
	if !strings.HasPrefix(name, "[") || !strings.HasSuffix(name, "]") {
		return netip.Addr{}, false
	}
	inner := name[1 : len(name)-1]
	v6, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:"))
	if err == nil && v6.Is6() {
		return v6.Unmap(), true
	}
	return dottedQuad(inner)
}

// dottedQuad parses an IPv4 address as qmail does: four numbers, of which the
// last eight bits count.
func dottedQuad(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	var ip [4]byte
	for i, part := range parts {
		if part == "" {
			return netip.Addr{}, false
		}
		for j := range len(part) {
			if part[j] < '0' || part[j] > '9' {
				return netip.Addr{}, false
			}
			ip[i] = ip[i]*10 + part[j] - '0'
		}
	}
	return netip.AddrFrom4(ip), true
}
