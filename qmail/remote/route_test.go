package remote

import (
	"net/netip"
	"testing"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

func TestFindRoute(t *testing.T) {
	routes := control.Pairs([]string{
		"a.example:relay.example", ".b.example:10.0.0.1:2525", "direct.b.example:", "c.example:[2001:db8::1]:26",
		"d.example:relay:x", "e.example:[10.0.0.2]",
	})
	for _, test := range []struct {
		domain string
		want   route
		routed bool
	}{
		{"a.example", route{host: "relay.example", port: 25}, true},
		{"A.Example", route{host: "relay.example", port: 25}, true},
		{"sub.a.example", route{}, false}, // a name without a dot before it stands for itself
		{"x.b.example", route{host: "10.0.0.1", port: 2525}, true},
		{"b.example", route{}, false},                          // a dot before it: below it only
		{"direct.b.example", route{host: "", port: 25}, false}, // an exception
		{"c.example", route{host: "[2001:db8::1]", port: 26}, true},
		{"d.example", route{host: "relay", port: 0}, true}, // no number is port 0, which nobody listens to
		{"e.example", route{host: "[10.0.0.2]", port: 25}, true},
	} {
		got, routed := findRoute(routes, test.domain)
		if routed != test.routed || routed && got != test.want {
			t.Errorf("%s: got %v, %v, want %v, %v", test.domain, got, routed, test.want, test.routed)
		}
	}
	if got, routed := findRoute(control.Pairs([]string{":smart"}), "any.where"); !routed || got.host != "smart" {
		t.Errorf("catch-all: got %v, %v", got, routed)
	}
}

func TestLiteral(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"192.0.2.1", "192.0.2.1"},
		{"[192.0.2.1]", "192.0.2.1"},
		{"192.0.2.257", "192.0.2.1"}, // as qmail: eight bits count
		{"[IPv6:2001:db8::1]", "2001:db8::1"},
		{"[2001:db8::1]", "2001:db8::1"},
		{"[::ffff:192.0.2.1]", "192.0.2.1"},
		{"2001:db8::1", ""}, // only in brackets
		{"192.0.2", ""},
		{"192.0.2.1.", ""},
		{"[192.0.2.1", ""},
		{"a.b.c.d", ""},
		{"", ""},
	} {
		addr, ok := socket.ParseHost(test.name)
		if got := addr.String(); ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%q: got %v, %v, want %q", test.name, addr, ok, test.want)
		}
	}
}

func TestBetterThanUs(t *testing.T) {
	a, b, me := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.9")
	own := &socket.Host{Own: []netip.Addr{me}}
	for _, test := range []struct {
		name    string
		targets []target
		want    int
	}{
		{"not among them", []target{{addr: a, pref: 10}, {addr: b, pref: 20}}, 2},
		{"in between", []target{{addr: a, pref: 10}, {addr: me, pref: 20}, {addr: b, pref: 20}, {addr: b, pref: 30}}, 1},
		{"best", []target{{addr: me, pref: 10}, {addr: a, pref: 10}, {addr: b, pref: 20}}, 0},
		{"unspecified is this host", []target{{addr: netip.IPv4Unspecified(), pref: 5}, {addr: a, pref: 10}}, 0},
	} {
		if got := betterThanUs(test.targets, own); len(got) != test.want {
			t.Errorf("%s: got %v, want %d of them", test.name, got, test.want)
		}
	}
}

func TestInOrder(t *testing.T) {
	first := map[string]int{}
	for range 200 {
		list := inOrder([]resolver.MX{{Preference: 20, Host: "c"}, {Preference: 10, Host: "a"}, {Preference: 10, Host: "b"}})
		if list[2].Host != "c" {
			t.Fatalf("got %v: the least preferred is not the last", list)
		}
		first[list[0].Host]++
	}
	if first["a"] == 0 || first["b"] == 0 {
		t.Errorf("equally preferred exchangers are not shared: %v", first)
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("a:b:1", "a")
	f.Add("[::1]:25", "x.y")
	f.Fuzz(func(t *testing.T, line, domain string) {
		r, ok := findRoute(control.Pairs(control.ParseList(line)), domain)
		if ok && r.host == "" && r.port == smtpPort {
			t.Errorf("%q routes %q nowhere", line, domain)
		}
		socket.ParseHost(domain)
	})
}
