package tcpenv

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"golang.org/x/net/dns/dnsmessage"
)

// variables are those of tcp-environ(5).
var variables = []string{"PROTO", "TCPLOCALHOST", "TCPLOCALIP", "TCPLOCALPORT",
	"TCPREMOTEHOST", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPREMOTEINFO"}

// inherit fills the environment with what a careless parent left there.
func inherit(t *testing.T) {
	t.Helper()
	for _, name := range variables {
		t.Setenv(name, "old")
	}
}

// onZero makes a file descriptor 0 for the time of the test.
func onZero(t *testing.T, fd int) {
	t.Helper()
	saved, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Dup3(saved, 0, 0)
		_ = syscall.Close(saved)
	})
	if err := syscall.Dup3(fd, 0, 0); err != nil {
		t.Fatal(err)
	}
}

// names is a name server that knows some addresses (as names below
// in-addr.arpa) and fails for those that are called "?".
func names(t *testing.T, known map[string]string) *resolver.Resolver {
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
			q := m.Questions[0]
			m.Response, m.RecursionAvailable = true, true
			switch host := known[strings.TrimSuffix(q.Name.String(), ".in-addr.arpa.")]; host {
			case "":
				m.RCode = dnsmessage.RCodeNameError
			case "?":
				m.RCode = dnsmessage.RCodeServerFailure
			default:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName(host + ".")},
				}}
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

// connection puts a connection on descriptor 0, with this host as the
// addresses local and remote, and returns its ports.
func connection(t *testing.T, local, remote string) (localPort, remotePort string) {
	t.Helper()
	listener, err := net.Listen("tcp4", local+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(remote)}}
	client, err := from.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := server.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	onZero(t, int(file.Fd()))
	file.Close()
	port := func(a net.Addr) string { return strconv.Itoa(a.(*net.TCPAddr).Port) }
	return port(listener.Addr()), port(client.LocalAddr())
}

func TestDescribe(t *testing.T) {
	for _, test := range []struct {
		name       string
		dns        map[string]string
		localHost  string
		remoteHost string
	}{
		{"names, in lower case", map[string]string{"2.0.0.127": "mx.Example", "3.0.0.127": "Client.EXAMPLE"}, "mx.example", "client.example"},
		{"no names", nil, "", ""},
		{"a name server that fails", map[string]string{"2.0.0.127": "mx.example", "3.0.0.127": "?"}, "mx.example", "softdnserror"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inherit(t)
			localPort, remotePort := connection(t, "127.0.0.2", "127.0.0.3")
			if err := Describe(Options{dns: names(t, test.dns)}); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"PROTO":        "TCP",
				"TCPLOCALHOST": test.localHost, "TCPLOCALIP": "127.0.0.2", "TCPLOCALPORT": localPort,
				"TCPREMOTEHOST": test.remoteHost, "TCPREMOTEIP": "127.0.0.3", "TCPREMOTEPORT": remotePort,
				"TCPREMOTEINFO": "", // nobody was asked
			}
			for _, name := range variables {
				got, ok := os.LookupEnv(name)
				if got != want[name] || ok != (want[name] != "") {
					t.Errorf("%s: got %q, %v, want %q", name, got, ok, want[name])
				}
			}
		})
	}
}

// A connection that tcpserver has described stays as it is described.
func TestDescribed(t *testing.T) {
	inherit(t)
	t.Setenv("PROTO", "TCP")
	connection(t, "127.0.0.2", "127.0.0.3")
	if err := Describe(Options{Ident: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range variables[1:] {
		if got := os.Getenv(name); got != "old" {
			t.Errorf("%s: %q, want what it was", name, got)
		}
	}
}

func TestNoConnection(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	unconnected, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer unconnected.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	for name, fd := range map[string]int{"a file": int(null.Fd()), "no peer": int(unconnected.Fd()), "not TCP": pair[0]} {
		inherit(t)
		onZero(t, fd)
		if err := Describe(Options{dns: names(t, nil)}); err == nil {
			t.Errorf("%s: it was described", name)
		}
		if got := os.Getenv("PROTO"); got != "old" {
			t.Errorf("%s: PROTO is %q", name, got)
		}
	}
}

func TestIdent(t *testing.T) {
	for _, test := range []struct {
		name, reply string
		want        string
		ok          bool
	}{
		{"a user", " 1, 2 : USERID : UNIX : joe\r\n", "joe", true},
		{"as tight as can be", "1,2:USERID:UNIX:joe\n", "joe", true},
		{"colons in the name", "1,2:USERID:OTHER:a:b\r\n", "a:b", true},
		{"more lines do not count", "1,2:USERID:UNIX:joe\r\nroot\r\n", "joe", true},
		{"no environment holds a NUL", "1,2:USERID:UNIX:joe\x00root\r\n", "joe", true},
		{"cut off", "1,2:USERID:UNIX:joe", "", false},
		{"silence", "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inherit(t)
			server, err := net.Listen("tcp4", "127.0.0.3:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			localPort, remotePort := connection(t, "127.0.0.2", "127.0.0.3")
			asked := make(chan string, 1)
			go func() {
				conn, err := server.Accept()
				if err != nil {
					return
				}
				query, _ := bufio.NewReader(conn).ReadString('\n')
				_, _ = conn.Write([]byte(test.reply))
				conn.Close()
				asked <- conn.RemoteAddr().(*net.TCPAddr).IP.String() + " " + query
			}()
			o := Options{Ident: true, Timeout: 5 * time.Second, dns: names(t, nil), port: uint16(server.Addr().(*net.TCPAddr).Port)}
			if err := Describe(o); err != nil {
				t.Fatal(err)
			}
			// RFC 1413 3: the port on his host comes first.
			if got, want := <-asked, "127.0.0.2 "+remotePort+" , "+localPort+"\r\n"; got != want {
				t.Errorf("asked %q, want %q", got, want)
			}
			if got, ok := os.LookupEnv("TCPREMOTEINFO"); got != test.want || ok != test.ok {
				t.Errorf("got %q, %v, want %q, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

// Servers must not wait for clients that do not tell: most do not.
func TestNoIdent(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, listener := range map[string]net.Listener{"says nothing": silent, "does not listen": closed} {
		inherit(t)
		connection(t, "127.0.0.2", "127.0.0.3")
		o := Options{Ident: true, Timeout: 50 * time.Millisecond, dns: names(t, nil), port: uint16(listener.Addr().(*net.TCPAddr).Port)}
		if err := Describe(o); err != nil {
			t.Fatal(err)
		}
		if got, ok := os.LookupEnv("TCPREMOTEINFO"); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// FuzzAnswer: whatever the client's host claims to be goes into the
// environment, or nothing does.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{"1,2:USERID:UNIX:joe\r\n", ":::", "\n", "1,2:USERID:UNIX:a=b\x00\n", strings.Repeat(":", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		info, ok := answer(strings.NewReader(reply))
		if !ok && info != "" || len(info) > 998 || strings.ContainsAny(info, "\x00\r\n\t ") {
			t.Errorf("%q: got %q, %v", reply, info, ok)
		}
	})
}
