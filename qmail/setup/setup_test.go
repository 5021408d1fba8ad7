package setup

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"golang.org/x/net/dns/dnsmessage"
)

func TestDomains(t *testing.T) {
	for _, test := range []struct{ fqdn, defaultDomain, plusDomain string }{
		{"mx.example.org", "example.org", "example.org"},
		{"mx.mail.example.org", "mail.example.org", "example.org"},
		{"example.org", "example.org", "example.org"}, // two labels: nothing to take away
		{"localhost", "localhost", "localhost"},
	} {
		if got := DefaultDomain(test.fqdn); got != test.defaultDomain {
			t.Errorf("%s: default domain %q, want %q", test.fqdn, got, test.defaultDomain)
		}
		if got := PlusDomain(test.fqdn); got != test.plusDomain {
			t.Errorf("%s: plus domain %q, want %q", test.fqdn, got, test.plusDomain)
		}
	}
}

// newHome makes a home with control files.
func newHome(t *testing.T, controls map[string]string) string {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(home+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range controls {
		if err := os.WriteFile(home+"/control/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// controls returns the control files of a home, and complains about one that
// not everybody can read.
func controls(t *testing.T, home string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(home + "/control")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(home + "/control/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(data)
		if info, err := e.Info(); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v, want 0644", e.Name(), info.Mode(), err)
		}
	}
	return files
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		name   string
		before map[string]string
		want   map[string]string
	}{
		{"a new host", nil, map[string]string{"me": "mx.mail.example.org\n", "defaultdomain": "mail.example.org\n",
			"plusdomain": "example.org\n", "locals": "mx.mail.example.org\n", "rcpthosts": "mx.mail.example.org\n"}},
		{"a new name", map[string]string{"me": "a.very.much.longer.host.name.example.com\n", "locals": "old\n", "rcpthosts": "old\n"},
			map[string]string{"me": "mx.mail.example.org\n", "defaultdomain": "mail.example.org\n", "plusdomain": "example.org\n",
				"locals": "old\nmx.mail.example.org\n", "rcpthosts": "old\nmx.mail.example.org\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := newHome(t, test.before)
			var said strings.Builder
			if err := Write(home, "mx.mail.example.org", &said); err != nil {
				t.Fatal(err)
			}
			same(t, controls(t, home), test.want)
			for _, line := range []string{
				"Putting mx.mail.example.org into control/me...\n",
				"Putting mail.example.org into control/defaultdomain...\n",
				"Putting example.org into control/plusdomain...\n",
				"Putting mx.mail.example.org into control/locals...\n",
				"Putting mx.mail.example.org into control/rcpthosts...\n",
			} {
				if !strings.Contains(said.String(), line) {
					t.Errorf("said %q, not %q", said.String(), line)
				}
			}
		})
	}
}

func TestWriteFails(t *testing.T) {
	var said strings.Builder
	if err := Write(t.TempDir(), "mx.example.org", &said); !os.IsNotExist(err) {
		t.Errorf("no control directory: got %v", err)
	}
	home := newHome(t, nil)
	if err := os.Mkdir(home+"/control/locals", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(home, "mx.example.org", &said); err == nil {
		t.Error("control/locals is a directory: no error")
	}
}

// nameServer answers with the name for every address, and with the address for
// every name; with neither where both are empty.
func nameServer(t *testing.T, addr string, name func(reverse string) string) *resolver.Resolver {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	answer := func(q dnsmessage.Question) dnsmessage.ResourceBody {
		switch {
		case q.Type == dnsmessage.TypeA && addr != "":
			return &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()}
		case q.Type == dnsmessage.TypePTR && name(q.Name.String()) != "":
			return &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(name(q.Name.String()) + ".")}
		}
		return nil
	}
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
			q := m.Questions[0]
			m.Response, m.RecursionAvailable = true, true
			if body := answer(q); body != nil {
				header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: dnsmessage.ClassINET}
				m.Answers = []dnsmessage.Resource{{Header: header, Body: body}}
			} else {
				m.RCode = dnsmessage.RCodeNameError
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteToUDPAddrPort(out, from)
			}
		}
	}()
	return &resolver.Resolver{
		Servers:  []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())},
		Timeout:  5 * time.Second,
		Attempts: 1,
	}
}

func TestDiscover(t *testing.T) {
	reverse := func(name string) string {
		switch name {
		case "9.2.0.192.in-addr.arpa.":
			return "MX.Example.org"
		case "1.0.0.127.in-addr.arpa.": // every host has this address too
			return "LocalHost"
		}
		return ""
	}
	home := newHome(t, nil)
	var said strings.Builder
	if err := Discover(home, "Mx", nameServer(t, "192.0.2.9", reverse), &said); err != nil {
		t.Fatal(err)
	}
	same(t, controls(t, home), map[string]string{
		"me": "mx.example.org\n", "defaultdomain": "example.org\n", "plusdomain": "example.org\n",
		"locals": "mx.example.org\nlocalhost\n", "rcpthosts": "mx.example.org\nlocalhost\n",
	})
	if want := "Adding localhost to control/locals and control/rcpthosts...\n"; !strings.Contains(said.String(), want) {
		t.Errorf("said %q, not %q", said.String(), want)
	}
}

// A host whose addresses all have one name is listed once.
func TestDiscoverOneName(t *testing.T) {
	home := newHome(t, nil)
	dns := nameServer(t, "192.0.2.9", func(string) string { return "mx.example.org" })
	if err := Discover(home, "mx", dns, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	files := controls(t, home)
	if files["locals"] != "mx.example.org\n" || files["rcpthosts"] != "mx.example.org\n" {
		t.Errorf("got %q", files)
	}
}

// Nothing is written where the name cannot be found out.
func TestDiscoverNoName(t *testing.T) {
	for _, test := range []struct{ name, addr string }{
		{"the name has no address", ""},
		{"the address has no name", "192.0.2.9"},
	} {
		home := newHome(t, nil)
		dns := nameServer(t, test.addr, func(string) string { return "" })
		if err := Discover(home, "mx", dns, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), "config-fast") {
			t.Errorf("%s: got %v, want a hint at config-fast", test.name, err)
		}
		if files := controls(t, home); len(files) != 0 {
			t.Errorf("%s: wrote %q", test.name, files)
		}
	}
}
