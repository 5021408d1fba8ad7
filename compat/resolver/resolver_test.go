package resolver

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// answerer makes a server's answer to a question.
type answerer func(q dnsmessage.Question, tcp bool) dnsmessage.Message

// nameServer runs a name server on loopback and returns a resolver that asks
// it.
func nameServer(t *testing.T, answer answerer) *Resolver {
	t.Helper()
	return rawServer(t, func(query []byte, overTCP bool) []byte {
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
	})
}

// rawServer runs a server that answers with any bytes, by UDP and TCP; with
// none by silence.
func rawServer(t *testing.T, reply func(query []byte, overTCP bool) []byte) *Resolver {
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
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if a := reply(buf[:n], false); a != nil {
				_, _ = udp.WriteToUDPAddrPort(a, from)
			}
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
				if a := reply(buf[2:n], true); a != nil {
					_, _ = conn.Write(append([]byte{byte(len(a) >> 8), byte(len(a))}, a...))
				}
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
	const recursive, authoritative = 0x0080, 0x0400
	noQuestion := func(m []byte) []byte { return append(m[:4:4], 0, 0, 0, 0, 0, 0, 0, 0) }
	for _, test := range []struct {
		name   string
		flags  uint16
		rcode  dnsmessage.RCode
		mangle func([]byte) []byte
		want   error
	}{
		{"no record", recursive, dnsmessage.RCodeSuccess, nil, ErrNoData},
		{"no record, says who must know", authoritative, dnsmessage.RCodeSuccess, nil, ErrNoData},
		{"no record, says who knows nothing", 0, dnsmessage.RCodeSuccess, nil, ErrTemporary},
		{"no name", recursive, dnsmessage.RCodeNameError, nil, ErrNoName},
		{"refused to understand", recursive, dnsmessage.RCodeFormatError, nil, ErrNoName}, // as res_query(3)
		{"failure", recursive, dnsmessage.RCodeServerFailure, nil, ErrTemporary},
		{"refusal", recursive, dnsmessage.RCodeRefused, nil, ErrTemporary},
		{"unknown to the server", recursive, dnsmessage.RCodeNotImplemented, nil, ErrTemporary},
		{"failure without the question", recursive, dnsmessage.RCodeServerFailure, noQuestion, ErrTemporary},
		{"no name, without the question", recursive, dnsmessage.RCodeNameError, noQuestion, ErrTemporary},
	} {
		r := nameServer(t, func(dnsmessage.Question, bool) (m dnsmessage.Message) {
			m.RCode = test.rcode
			m.RecursionAvailable = test.flags&recursive != 0
			m.Authoritative = test.flags&authoritative != 0
			return m
		})
		if test.mangle != nil {
			inner := test.rcode
			r = rawServer(t, func(query []byte, _ bool) []byte {
				m := append([]byte(nil), query...)
				m[2], m[3] = 0x81, 0x80|byte(inner)
				return test.mangle(m)
			})
		}
		_, err := r.A("x.example")
		if err != test.want {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if absent := err != ErrTemporary; errors.Is(err, ErrNotFound) != absent {
			t.Errorf("%s: %v is a kind of ErrNotFound: %v", test.name, err, !absent)
		}
	}
}

// answerTo returns an answer with one record of raw data and a number of
// records that may be a lie.
func answerTo(query []byte, claimed byte, kind dnsmessage.Type, data ...byte) []byte {
	m := append([]byte(nil), query...)
	m[2], m[3], m[7] = 0x81, 0x80, claimed
	m = append(m, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 1, 0, byte(len(data)))
	return append(m, data...)
}

// TestSenselessAnswers: what cannot be read is no reason to bounce, nor to
// use the half of it that can.
func TestSenselessAnswers(t *testing.T) {
	for _, test := range []struct {
		name    string
		claimed byte
		kind    dnsmessage.Type
		data    string
		want    error
	}{
		{"an address", 1, dnsmessage.TypeA, "\x0a\x00\x00\x01", nil},
		{"too long an address", 1, dnsmessage.TypeA, "\x0a\x00\x00\x01\x02", nil},
		{"too short an address", 1, dnsmessage.TypeA, "\x0a\x00", ErrTemporary},
		{"fewer records than said", 2, dnsmessage.TypeA, "\x0a\x00\x00\x01", ErrTemporary},
		{"an exchanger", 1, dnsmessage.TypeMX, "\x00\x0a\x01a\x00", nil},
		{"an exchanger without a name", 1, dnsmessage.TypeMX, "\x00\x0a", ErrTemporary},
		{"an exchanger called a.b in one label", 1, dnsmessage.TypeMX, "\x00\x0a\x03a.b\x00", ErrTemporary},
		{"an exchanger that points at itself", 1, dnsmessage.TypeMX, "\x00\x0a\xc0\x29", ErrTemporary},
	} {
		r := rawServer(t, func(query []byte, _ bool) []byte {
			return answerTo(query, test.claimed, test.kind, []byte(test.data)...)
		})
		var n int
		var err error
		if test.kind == dnsmessage.TypeMX {
			var list []MX
			list, err = r.MX("x.example")
			n = len(list)
		} else {
			var list []netip.Addr
			list, err = r.A("x.example")
			n = len(list)
		}
		if err != test.want || (n == 1) != (err == nil) {
			t.Errorf("%s: got %d records, %v, want %v", test.name, n, err, test.want)
		}
	}
}

// TestOneBadExchanger: it does not take the good ones with it.
func TestOneBadExchanger(t *testing.T) {
	r := rawServer(t, func(query []byte, _ bool) []byte {
		m := answerTo(query, 2, dnsmessage.TypeMX, 0, 10, 3, 'a', '.', 'b', 0)
		return append(m, answerTo(query, 0, dnsmessage.TypeMX, 0, 20, 1, 'c', 0)[len(query):]...)
	})
	got, err := r.MX("x.example")
	if want := []MX{{20, "c"}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// TestForgedAnswers: what does not answer the question asked is waited past.
func TestForgedAnswers(t *testing.T) {
	for name, forge := range map[string]func([]byte){
		"other number":   func(m []byte) { m[0]++ },
		"a question":     func(m []byte) { m[2] &^= 0x80 },
		"other name":     func(m []byte) { m[13]++ },
		"other type":     func(m []byte) { m[24]++ },
		"other class":    func(m []byte) { m[26]++ },
		"only a header":  func(m []byte) { m[5] = 0 },
		"nothing at all": nil,
	} {
		r := rawServer(t, func(query []byte, _ bool) []byte {
			if forge == nil {
				return []byte{}
			}
			m := answerTo(query, 1, dnsmessage.TypeA, 10, 0, 0, 1)
			forge(m)
			return m
		})
		r.Timeout = 20 * time.Millisecond
		if list, err := r.A("x.example"); err != ErrTemporary {
			t.Errorf("%s: got %v, %v", name, list, err)
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
	for _, name := range []string{"a..b", ".a", strings.Repeat("x", 64) + ".example", strings.Repeat("x.", 200)} {
		if _, err := good.A(name); err != ErrNoName {
			t.Errorf("%q, which cannot exist: got %v", name, err)
		}
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

func TestEnvironmentOptions(t *testing.T) {
	t.Setenv("RES_OPTIONS", "attempts:4 timeout:7")
	if r := System(); r.Attempts != 4 || r.Timeout != 7*time.Second {
		t.Errorf("got %d attempts of %v", r.Attempts, r.Timeout)
	}
}

func FuzzAnswer(f *testing.F) {
	query, _, err := pack("x.example", dnsmessage.TypeMX)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(query)
	f.Add([]byte{})
	f.Add(answerTo(query, 1, dnsmessage.TypeMX, 0, 10, 1, 'a', 0))
	f.Fuzz(func(t *testing.T, answer []byte) {
		id := uint16(0)
		if len(answer) > 1 {
			id = uint16(answer[0])<<8 | uint16(answer[1])
		}
		answers(answer, query, id)
		truncated(answer)
		if verdict(answer) != nil {
			return
		}
		var found exchangers
		_ = records(answer, dnsmessage.TypeMX, found.take)
		if len(found.list) > len(answer) {
			t.Errorf("%d exchangers in %d bytes", len(found.list), len(answer))
		}
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

func TestTXT(t *testing.T) {
	r := nameServer(t, func(q dnsmessage.Question, _ bool) (m dnsmessage.Message) {
		m.Answers = []dnsmessage.Resource{
			resource(q, &dnsmessage.TXTResource{TXT: []string{"v=spf1 ", "-all"}}, dnsmessage.TypeTXT),
			resource(q, &dnsmessage.TXTResource{TXT: []string{""}}, dnsmessage.TypeTXT),
		}
		return m
	})
	if got, err := r.TXT("x.example"); err != nil || !reflect.DeepEqual(got, []string{"v=spf1 -all", ""}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestDeadline: a server that is silent does not keep the caller beyond it,
// however many attempts remain.
func TestDeadline(t *testing.T) {
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	r := &Resolver{
		Servers: []netip.AddrPort{netip.MustParseAddrPort(silent.LocalAddr().String())},
		Timeout: 10 * time.Second, Attempts: 5, Deadline: began.Add(100 * time.Millisecond),
	}
	if _, err := r.A("x.example"); err != ErrTemporary {
		t.Errorf("got %v, want ErrTemporary", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
