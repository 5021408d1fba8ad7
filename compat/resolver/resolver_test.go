package resolver

import (
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answerer makes a server's answer to a question.
type answerer func(q dnsmessage.Question, tcp bool) dnsmessage.Message

// nameServer runs a name server on loopback, by UDP and TCP, and returns a
// resolver that asks it.
func nameServer(t *testing.T, answer answerer) *Resolver {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	reply := func(query []byte, overTCP bool) []byte {
		var m dnsmessage.Message
		if m.Unpack(query) != nil {
			return nil
		}
		a := answer(m.Questions[0], overTCP)
		a.ID, a.Response, a.Questions = m.ID, true, m.Questions
		out, err := a.Pack()
		if err != nil {
			t.Error(err)
		}
		return out
	}
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteToUDPAddrPort(reply(buf[:n], false), from)
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 512)
			if n, err := conn.Read(buf); err == nil && n > 2 {
				a := reply(buf[2:n], true)
				_, _ = conn.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
			}
			conn.Close()
		}
	}()
	return &Resolver{Servers: []netip.AddrPort{netip.MustParseAddrPort(udp.LocalAddr().String())}, Timeout: 2 * time.Second, Attempts: 1}
}

func name(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

func resource(q dnsmessage.Question, body dnsmessage.ResourceBody, kind dnsmessage.Type) dnsmessage.Resource {
	return dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: dnsmessage.ClassINET, TTL: 1}, Body: body}
}

func TestMX(t *testing.T) {
	r := nameServer(t, func(q dnsmessage.Question, _ bool) (m dnsmessage.Message) {
		m.Answers = []dnsmessage.Resource{
			resource(q, &dnsmessage.CNAMEResource{CNAME: name("real.example.")}, dnsmessage.TypeCNAME),
			resource(q, &dnsmessage.MXResource{Pref: 10, MX: name("a.example.")}, dnsmessage.TypeMX),
			resource(q, &dnsmessage.MXResource{Pref: 5, MX: name(".")}, dnsmessage.TypeMX),
		}
		return m
	})
	got, err := r.MX("x.example")
	if want := []MX{{10, "a.example"}, {5, ""}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestOutcomes(t *testing.T) {
	for _, test := range []struct {
		rcode dnsmessage.RCode
		want  error
	}{
		{dnsmessage.RCodeSuccess, ErrNotFound}, // the name exists, but no such record
		{dnsmessage.RCodeNameError, ErrNotFound},
		{dnsmessage.RCodeServerFailure, ErrTemporary},
		{dnsmessage.RCodeRefused, ErrTemporary},
		{dnsmessage.RCodeNotImplemented, ErrTemporary},
	} {
		r := nameServer(t, func(dnsmessage.Question, bool) (m dnsmessage.Message) {
			m.RCode = test.rcode
			return m
		})
		if _, err := r.A("x.example"); err != test.want {
			t.Errorf("%v: got %v, want %v", test.rcode, err, test.want)
		}
	}
}

func TestTruncatedAnswerIsAskedForByTCP(t *testing.T) {
	r := nameServer(t, func(q dnsmessage.Question, tcp bool) (m dnsmessage.Message) {
		if !tcp {
			m.Truncated = true
			return m
		}
		for i := range 100 {
			m.Answers = append(m.Answers, resource(q, &dnsmessage.AResource{A: [4]byte{10, 0, 0, byte(i)}}, dnsmessage.TypeA))
		}
		return m
	})
	if got, err := r.A("many.example"); err != nil || len(got) != 100 {
		t.Errorf("got %d addresses, %v, want 100", len(got), err)
	}
}

func TestNextServer(t *testing.T) {
	good := nameServer(t, func(q dnsmessage.Question, _ bool) (m dnsmessage.Message) {
		m.Answers = []dnsmessage.Resource{resource(q, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}, dnsmessage.TypeAAAA)}
		return m
	})
	bad := nameServer(t, func(dnsmessage.Question, bool) (m dnsmessage.Message) {
		m.RCode = dnsmessage.RCodeServerFailure
		return m
	})
	nobody := netip.MustParseAddrPort("127.0.0.1:1")
	good.Servers = []netip.AddrPort{nobody, bad.Servers[0], good.Servers[0]}
	if got, err := good.AAAA("x.example"); err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	good.Servers = []netip.AddrPort{nobody}
	if _, err := good.A("x.example"); err != ErrTemporary {
		t.Errorf("nobody answers: got %v", err)
	}
	if _, err := good.A("a..b"); err != ErrNotFound {
		t.Errorf("a name that cannot exist: got %v", err)
	}
}

func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":   "1.2.0.192.in-addr.arpa.",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
	} {
		if got := reverseName(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	r := Parse("# c\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver ::1\nsearch x\noptions timeout:1 attempts:9 rotate timeout:x\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n")
	if len(r.Servers) != 3 || r.Servers[1].String() != "[::1]:53" || r.Timeout != time.Second || r.Attempts != maxAttempts {
		t.Errorf("got %+v", r)
	}
	r = Parse("")
	if len(r.Servers) != 1 || r.Servers[0].String() != "127.0.0.1:53" || r.Timeout != defaultTimeout || r.Attempts != defaultAttempts {
		t.Errorf("without any line: got %+v", r)
	}
}

func FuzzAnswer(f *testing.F) {
	query, _, err := pack("x.example", dnsmessage.TypeMX)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(query)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, answer []byte) {
		id := uint16(0)
		if len(answer) > 1 {
			id = uint16(answer[0])<<8 | uint16(answer[1])
		}
		answers(answer, query, id)
		_ = verdict(answer)
		truncated(answer)
	})
}

func FuzzParse(f *testing.F) {
	f.Add("nameserver 1.2.3.4\noptions timeout:1\n")
	f.Fuzz(func(t *testing.T, conf string) {
		if r := Parse(conf); len(r.Servers) == 0 || len(r.Servers) > maxServers || r.Timeout <= 0 || r.Attempts <= 0 {
			t.Errorf("%q: %+v", conf, r)
		}
	})
}
