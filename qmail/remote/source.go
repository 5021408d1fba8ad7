package remote

import (
	"net/netip"
	"strings"

	"github.com/reqmail/reqmail/control"
)

// source is who this host is on a connection.
type source struct {
	ipv4, ipv6 netip.Addr // the zero address leaves the choice to the kernel
	helo       string     // the name to greet with
}

// to returns the address to connect from to another.
func (s source) to(addr netip.Addr) netip.Addr {
	if addr.Unmap().Is4() {
		return s.ipv4
	}
	return s.ipv6
}

// source returns who this host is for a message. The files of several patches
// say so; what is said about the sender goes before what is said about the
// recipients' domain, and outgoingip comes last.
func (c *Config) source(sender, domain string) (source, *result) {
	s := source{helo: c.HeloHost}
	value, name, ok := c.Sources.entry(sender, domain)
	if ok {
		helo, good := s.parse(value)
		if !good {
			return s, badAddress(name)
		}
		if helo != "" {
			s.helo = helo
		}
	}
	if helo, ok := bySender(c.Sources.HeloHosts, sender); ok && helo != "" {
		s.helo = helo
	}
	return s, nil
}

// entry returns the entry that decides, and the file that it is from.
func (s *Sources) entry(sender, domain string) (value string, name control.Name, ok bool) {
	for _, file := range []struct {
		name control.Name
		list control.Map
	}{
		{control.SenderIPs, s.SenderIPs},
		{control.DomainBindings, s.DomainBindings},
		{control.DomainIPs, s.DomainIPs},
	} {
		if value, ok = bySender(file.list, sender); ok {
			return value, file.name, true
		}
	}
	if value, ok = byDomain(s.BindRoutes, domain); ok {
		return value, control.BindRoutes, true
	}
	return strings.Join(s.OutgoingIP, ","), control.OutgoingIP, len(s.OutgoingIP) > 0
}

// parse takes an entry's addresses over and returns its name for greetings.
// The forms are those of the patches: "ip", "ip:helo", "ip|helo",
// "ip%interface|helo", with IPv6 addresses in brackets before a colon; ip may
// be several with commas between them. Of those of one kind the last counts.
func (s *source) parse(value string) (helo string, ok bool) {
	addrs, helo, named := strings.Cut(value, "|")
	if !named {
		addrs, helo = cutName(value)
	}
	for text := range strings.SplitSeq(addrs, ",") {
		text, _, _ = strings.Cut(strings.TrimSpace(text), "%")
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			return "", false
		}
		addr = addr.Unmap()
		own := &s.ipv6
		if addr.Is4() {
			own = &s.ipv4
		}
		*own = addr
		if addr.IsUnspecified() {
			*own = netip.Addr{} // as the patch has it: the kernel chooses
		}
	}
	return helo, true
}

// cutName cuts "ip:helo" in two; an IPv6 address without brackets has colons
// of its own.
func cutName(value string) (addrs, helo string) {
	if end := strings.LastIndexByte(value, ']'); end >= 0 {
		return value[:end+1], strings.TrimPrefix(value[end+1:], ":")
	}
	if strings.Count(value, ":") == 1 {
		addrs, helo, _ = strings.Cut(value, ":")
		return addrs, helo
	}
	return value, ""
}

// bySender looks an envelope sender up: itself, what of it begins at each "@"
// and dot, its domain without the "@", the empty key.
func bySender(list control.Map, sender string) (value string, ok bool) {
	for i := 0; i <= len(sender) && len(list) > 0; i++ {
		if i == 0 || i == len(sender) || sender[i] == '@' || sender[i] == '.' {
			if value, ok = list.Get(sender[i:]); ok {
				return value, true
			}
		}
		if i < len(sender) && sender[i] == '@' {
			if value, ok = list.Get(sender[i+1:]); ok {
				return value, true
			}
		}
	}
	return "", false
}

// byDomain looks a domain up: itself, its suffixes that begin at a dot, the
// empty key.
func byDomain(list control.Map, domain string) (value string, ok bool) {
	for i := 0; i <= len(domain) && len(list) > 0; i++ {
		if i != 0 && i != len(domain) && domain[i] != '.' {
			continue
		}
		if value, ok = list.Get(domain[i:]); ok {
			return value, true
		}
	}
	return "", false
}
