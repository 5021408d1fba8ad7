package remote

import (
	"net/netip"
	"testing"

	"github.com/reqmail/reqmail/control"
)

func TestSource(t *testing.T) {
	pairs := func(lines ...string) control.Map { return control.Pairs(lines) }
	c := Config{HeloHost: "me.example", Sources: Sources{
		SenderIPs:      pairs("joe@a.example:192.0.2.1"),
		DomainBindings: pairs("a.example:192.0.2.2:mail.a.example", "@at.example:192.0.2.3", "six.example:[2001:db8::1]:six.example", "bad.example:x"),
		DomainIPs:      pairs("a.example:192.0.2.4", "b.example:192.0.2.5%eth0|mail.b.example", "two.example:192.0.2.6,2001:db8::6|two.example", "any.example:0.0.0.0"),
		HeloHosts:      pairs("b.example:other.example", "h.example:h.example"),
		BindRoutes:     pairs("to.example:192.0.2.7", ".to.example:2001:db8::7"),
		OutgoingIP:     []string{"192.0.2.9", "2001:db8::9"},
	}}
	for _, test := range []struct {
		sender, domain   string
		ipv4, ipv6, helo string
	}{
		{"joe@a.example", "to.example", "192.0.2.1", "", "me.example"},
		{"ann@A.Example", "to.example", "192.0.2.2", "", "mail.a.example"},
		{"ann@at.example", "x", "192.0.2.3", "", "me.example"},
		{"ann@six.example", "x", "", "2001:db8::1", "six.example"},
		{"ann@b.example", "x", "192.0.2.5", "", "other.example"},
		{"ann@two.example", "x", "192.0.2.6", "2001:db8::6", "two.example"},
		{"ann@any.example", "to.example", "", "", "me.example"},
		{"ann@h.example", "to.example", "192.0.2.7", "", "h.example"},
		{"", "sub.to.example", "", "2001:db8::7", "me.example"},
		{"", "x", "192.0.2.9", "2001:db8::9", "me.example"},
	} {
		got, res := c.source(test.sender, test.domain)
		want := source{helo: test.helo}
		if test.ipv4 != "" {
			want.ipv4 = netip.MustParseAddr(test.ipv4)
		}
		if test.ipv6 != "" {
			want.ipv6 = netip.MustParseAddr(test.ipv6)
		}
		if res != nil || got != want {
			t.Errorf("%s to %s: got %v, %v, want %v", test.sender, test.domain, got, res, want)
		}
	}
	if _, res := c.source("ann@bad.example", "x"); res == nil || res.text != "invalid ipaddr in control/domainbindings (#4.3.0)\n" || res.letter != 'Z' {
		t.Errorf("no address: %v", res)
	}
	c = Config{Sources: Sources{OutgoingIP: []string{"192.0.2.300"}}}
	if _, res := c.source("", ""); res == nil || res.text != "invalid ipaddr in control/outgoingip (#4.3.0)\n" {
		t.Errorf("no address in outgoingip: %v", res)
	}
}

func TestSourceByKind(t *testing.T) {
	s := source{ipv4: netip.MustParseAddr("192.0.2.1")}
	for to, want := range map[string]netip.Addr{"192.0.2.9": s.ipv4, "::ffff:192.0.2.9": s.ipv4, "2001:db8::9": {}} {
		if got := s.to(netip.MustParseAddr(to)); got != want {
			t.Errorf("%s: got %v", to, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	for value, want := range map[string]route{
		"relay|u|p":           {host: "relay", port: 25, Credentials: Credentials{"u", "p"}},
		"relay:587|u|p|q":     {host: "relay", port: 587, Credentials: Credentials{"u", "p|q"}},
		"[2001:db8::1]:465|u": {host: "[2001:db8::1]", port: 465, Credentials: Credentials{"u", ""}},
		"relay:26 am9l c2Vj":  {host: "relay", port: 26, Credentials: Credentials{"joe", "sec"}},
		"relay joe secret=":   {host: "relay", port: 25, Credentials: Credentials{"joe", "secret="}},
		"relay:26 joe":        {host: "relay", port: 26},
		"relay AAAA //////8=": {host: "relay", port: 25, Credentials: Credentials{"AAAA", "//////8="}},
	} {
		if got, routed := parseRoute(value); got != want || !routed {
			t.Errorf("%q: got %+v, %v, want %+v", value, got, routed, want)
		}
	}
	if got, routed := parseRoute("|u|p"); routed {
		t.Errorf("credentials for nobody: %+v", got)
	}
}

func TestAuthSenders(t *testing.T) {
	d := &Delivery{Host: "y.example"}
	d.Config.Routes = control.Pairs([]string{"y.example:by-domain"})
	d.Config.AuthSenders = control.Pairs([]string{"joe@x.example:mine|u|p", "@x.example:theirs|u|p", ".org:tld|u|p", "@none.example:|u|p"})
	for sender, want := range map[string]string{
		"joe@x.example": "mine", "Ann@X.example": "theirs", "a@b.org": "tld", "a@none.example": "by-domain", "": "by-domain",
	} {
		d.Sender = sender
		r, routed := d.route()
		if !routed || r.host != want || d.needsLibraries() != (want != "by-domain") {
			t.Errorf("%s: got %+v, %v, libraries %v", sender, r, routed, d.needsLibraries())
		}
	}
}

// FuzzSource: no entry makes an address that is none.
func FuzzSource(f *testing.F) {
	for _, seed := range []string{"192.0.2.1:x", "[::1]:x", "1.2.3.4%e|x", "a,b", "]", "[", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var s source
		if _, ok := s.parse(value); ok && (s.ipv4.IsValid() && !s.ipv4.Is4() || s.ipv6.IsValid() && !s.ipv6.Is6()) {
			t.Errorf("%q: %v", value, s)
		}
		parseRoute(value)
	})
}
