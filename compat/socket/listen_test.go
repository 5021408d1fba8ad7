package socket

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

func listen(t *testing.T, at string) (*Listener, netip.AddrPort) {
	t.Helper()
	l, err := Listen(netip.MustParseAddrPort(at), 5)
	if err != nil {
		if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			t.Skip("needs IPv6: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	addr, err := l.Addr()
	if err != nil {
		t.Fatal(err)
	}
	return l, addr
}

func TestListen(t *testing.T) {
	for _, test := range []struct{ at, from string }{
		{"127.0.0.1:0", ""},
		{"127.0.0.1:0", "127.0.0.7"}, // from an address of the caller's choice
		{"[::1]:0", ""},
	} {
		t.Run(test.at+" "+test.from, func(t *testing.T) {
			l, addr := listen(t, test.at)
			if want := netip.MustParseAddrPort(test.at).Addr(); addr.Addr() != want || addr.Port() == 0 {
				t.Fatalf("listens on %v", addr)
			}
			var from netip.Addr
			if test.from != "" {
				from = netip.MustParseAddr(test.from)
			}
			client, err := DialFrom(from, addr, Stream, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, local, remote, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if local != addr || test.from != "" && remote.Addr() != from || client.Name() != addr.String() || server.Name() != remote.String() {
				t.Errorf("local %v, remote %v, files %s, %s", local, remote, client.Name(), server.Name())
			}
			if _, err := server.WriteString("hi"); err != nil {
				t.Error(err)
			}
			server.Close()
			if got, err := io.ReadAll(client); string(got) != "hi" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// Whoever waits for a connection hears that there will be none.
func TestListenerClose(t *testing.T) {
	l, addr := listen(t, "127.0.0.1:0")
	ended := make(chan error)
	go func() {
		_, _, _, err := l.Accept()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a closed listener has accepted")
	}
	if _, err := Dial(addr, Stream, 5*time.Second); err != syscall.ECONNREFUSED {
		t.Errorf("dial: %v, want %v", err, syscall.ECONNREFUSED)
	}
}

func TestListenFails(t *testing.T) {
	_, addr := listen(t, "127.0.0.1:0")
	if _, err := Listen(addr, 5); err != syscall.EADDRINUSE {
		t.Errorf("an address in use: %v", err)
	}
	if _, err := Listen(netip.MustParseAddrPort("192.0.2.1:0"), 5); err != syscall.EADDRNOTAVAIL {
		t.Errorf("somebody else's address: %v", err)
	}
	if _, err := DialFrom(netip.MustParseAddr("192.0.2.1"), addr, Stream, time.Second); err != syscall.EADDRNOTAVAIL {
		t.Errorf("dial from somebody else's address: %v", err)
	}
}

func TestAddrPort(t *testing.T) {
	for _, test := range []struct {
		sa   syscall.Sockaddr
		want string
	}{
		{&syscall.SockaddrInet4{Addr: [4]byte{192, 0, 2, 1}, Port: 25}, "192.0.2.1:25"},
		{&syscall.SockaddrInet6{Addr: netip.MustParseAddr("2001:db8::1").As16(), Port: 25}, "[2001:db8::1]:25"},
		// IPv4 through an IPv6 socket is IPv4 for all that is done with it.
		{&syscall.SockaddrInet6{Addr: netip.MustParseAddr("::ffff:192.0.2.1").As16(), Port: 25}, "192.0.2.1:25"},
	} {
		if got, err := AddrPort(test.sa); err != nil || got.String() != test.want {
			t.Errorf("got %v, %v, want %s", got, err, test.want)
		}
	}
	if got, err := AddrPort(&syscall.SockaddrUnix{Name: "x"}); err == nil {
		t.Errorf("a unix socket: got %v", got)
	}
}

func TestParseHost(t *testing.T) {
	for name, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"[192.0.2.1]":            "192.0.2.1",
		"[IPv6:2001:db8::1]":     "2001:db8::1", // RFC 5321 4.1.3
		"[2001:db8::1]":          "2001:db8::1",
		"[::ffff:192.0.2.1]":     "192.0.2.1",
		"2001:db8::1":            "", // a name may not look like that
		"IPv6:2001:db8::1":       "",
		"[192.0.2.1":             "",
		"[192.0.2.1]x":           "",
		"[]":                     "",
		"[":                      "",
		"":                       "",
		"192.0.2":                "",
		"192.0.2.":               "",
		"192.0.2.1.1":            "",
		"192.0.2.1.":             "",
		"192.0.2.x":              "",
		"192.0.2.-1":             "",
		"host.example.in.name":   "",
		"[host.example.in.name]": "",
	} {
		got, ok := ParseHost(name)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%q: got %v, %v, want %q", name, got, ok, want)
		}
	}
	if got, ok := ParseLiteral("192.0.2.1"); ok {
		t.Errorf("a literal without brackets: got %v", got)
	}
}

func TestSocketError(t *testing.T) {
	err := error(&SocketError{syscall.EMFILE})
	if !errors.Is(err, syscall.EMFILE) || err.Error() != "unable to create socket: "+syscall.EMFILE.Error() {
		t.Errorf("got %v", err)
	}
}
