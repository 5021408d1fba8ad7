package remote

import (
	"net"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
)

// zone is what a name server knows: "MX name" to exchangers in order, "A name"
// and "AAAA name" to addresses. A nil list is a failure; other names do not
// exist.
type zone map[string][]string

// serve runs a name server and returns a resolver that asks it.
func (z zone) serve(t *testing.T) *resolver.Resolver {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			m.Response, m.RecursionAvailable = true, true
			z.answer(&m)
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	server := netip.MustParseAddrPort(conn.LocalAddr().String())
	return &resolver.Resolver{Servers: []netip.AddrPort{server}, Timeout: 2 * time.Second, Attempts: 1}
}

func (z zone) answer(m *dnsmessage.Message) {
	q := m.Questions[0]
	name := q.Name.String()
	name = name[:len(name)-1]
	kind := map[dnsmessage.Type]string{dnsmessage.TypeMX: "MX ", dnsmessage.TypeA: "A ", dnsmessage.TypeAAAA: "AAAA "}[q.Type]
	list, known := z[kind+name]
	switch {
	case known && list == nil:
		m.RCode = dnsmessage.RCodeServerFailure
	case !known:
		_, mx := z["MX "+name]
		_, a := z["A "+name]
		if !mx && !a {
			m.RCode = dnsmessage.RCodeNameError
		}
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	for i, text := range list {
		var body dnsmessage.ResourceBody
		switch {
		case text == "alias":
			h.Type = dnsmessage.TypeCNAME
			body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("elsewhere.")}
		case q.Type == dnsmessage.TypeMX:
			body = &dnsmessage.MXResource{Pref: uint16(10 * i), MX: dnsmessage.MustNewName(text + ".")}
		case q.Type == dnsmessage.TypeA:
			body = &dnsmessage.AResource{A: netip.MustParseAddr(text).As4()}
		default:
			body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(text).As16()}
		}
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: body})
	}
}

func TestTargets(t *testing.T) {
	dns := zone{
		"MX two.example":  {"a.example", "b.example"},
		"A a.example":     {"192.0.2.1", "192.0.2.2"},
		"A b.example":     {"192.0.2.3"},
		"AAAA b.example":  {"2001:db8::3"},
		"A none.example":  {"192.0.2.4"}, // no exchanger: the host itself
		"MX soft.example": nil, "A soft.example": {"192.0.2.5"},
		"A lost.example":   nil,
		"MX half.example":  {"gone.example", "lost.example", "b.example"},
		"MX lost2.example": {"gone.example", "lost.example"},
		"MX gone2.example": {"gone.example"},
		"MX us.example":    {"a.example", "me.example", "b.example"}, "A me.example": {"192.0.2.9"},
		"MX us1.example":   {"me.example", "a.example"},
		"A alias.example":  {"alias"}, // of a name without address
		"A six.example":    {"alias"},
		"AAAA six.example": nil,
	}
	own := &socket.Host{Own: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}
	own6 := &socket.Host{Own: own.Own, IPv6: true}
	for _, test := range []struct {
		host   string
		routes string
		own    *socket.Host
		want   []string
		port   uint16
		res    *result
	}{
		{"two.example", "", own, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}, 25, nil},
		{"two.example", "", own6, []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::3"}, 25, nil},
		{"none.example", "", own, []string{"192.0.2.4"}, 25, nil},
		{"nowhere.example", "", own, nil, 0, noHost("nowhere.example")},
		{"soft.example", "", own, nil, 0, resDNS}, // its exchangers may exist
		{"half.example", "", own, []string{"192.0.2.3"}, 25, nil},
		{"lost2.example", "", own, nil, 0, resDNS},
		{"gone2.example", "", own, nil, 0, resNoMX},
		{"alias.example", "", own, nil, 0, resNoMX},
		{"six.example", "", own, nil, 0, resNoMX},
		{"six.example", "", own6, nil, 0, resDNS}, // it may have an IPv6 address
		{"us.example", "", own, []string{"192.0.2.1", "192.0.2.2"}, 25, nil},
		{"us1.example", "", own, nil, 0, resAmbiguousMX},
		{"[192.0.2.9]", "", own, nil, 0, resAmbiguousMX},
		{"0.0.0.0", "", own, nil, 0, resAmbiguousMX},
		{"[IPv6:2001:db8::7]", "", own, []string{"2001:db8::7"}, 25, nil},
		{"two.example", "two.example:none.example:26", own, []string{"192.0.2.4"}, 26, nil},
		{"two.example", ":[2001:db8::8]:27", own, []string{"2001:db8::8"}, 27, nil},
		{"us1.example", ":me.example", own, []string{"192.0.2.9"}, 25, nil}, // who routes knows better
		{"two.example", ":two.example", own, nil, 0, noHost("two.example")}, // a relay's exchangers do not matter
		{"two.example", ":gone.example", own, nil, 0, noHost("gone.example")},
		{"a b\x7f.example", "", own, nil, 0, noHost("a?b?.example")},
	} {
		d := &Delivery{Host: test.host, Resolver: dns.serve(t)}
		d.Config.Routes = control.Pairs(control.ParseList(test.routes))
		targets, res := d.targets(test.own)
		var port uint16
		var got []string
		for _, target := range targets {
			got, port = append(got, target.addr.String()), target.port
		}
		if !slices.Equal(got, test.want) || port != test.port || !reflect.DeepEqual(res, test.res) {
			t.Errorf("%s, routes %q: got %v, port %d, %v, want %v, %d, %v", test.host, test.routes, got, port, res, test.want, test.port, test.res)
		}
	}
}

// No address gives the host a command of its own. A break in a local part is
// sent quoted, as qmail does it.
func TestLineBreak(t *testing.T) {
	for _, test := range []struct {
		sender    string
		recipient string
		refused   bool
	}{
		{"a@x.example", "b@y.example", false},
		{"", "b@y.example", false},
		{"a\nb@x.example", "c\rd@y.example", false},
		{"a@x.example\nRSET", "b@y.example", true},
		{"a@x.example", "b@y.example>\r\nRSET", true},
		{"no\rdomain", "b@y.example", true},
	} {
		d := &Delivery{Host: "[192.0.2.9]", Sender: test.sender, Recipients: []string{test.recipient}}
		if _, res := d.targets(&socket.Host{}); (res == resLineBreak) != test.refused {
			t.Errorf("%q to %q: %v, want refused: %v", test.sender, test.recipient, res, test.refused)
		}
	}
}
