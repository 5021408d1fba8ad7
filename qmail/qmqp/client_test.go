package qmqp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/compat/status"
)

// server answers one connection, once it has got the request, and hangs up.
// What it got comes by the channel.
func server(t *testing.T, at, answer string) (netip.AddrPort, <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp4", at)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs root, for its port: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	got := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		size, _ := in.ReadString(':')
		n, _ := strconv.Atoi(strings.TrimSuffix(size, ":"))
		rest := make([]byte, n+1) // with the comma
		_, _ = io.ReadFull(in, rest)
		got <- size + string(rest)
		_, _ = conn.Write([]byte(answer))
	}()
	return netip.MustParseAddrPort(listener.Addr().String()), got
}

// wholeRequest is what a message "text\n" from s@x to r@y looks like.
const wholeRequest = "20:5:text\n,3:s@x,3:r@y,,"

func TestConverse(t *testing.T) {
	for _, test := range []struct {
		answer string
		code   int
	}{
		{"30:Kok 1234567890 qp 1234 whatever,", 0},
		{"8:Zbusy, K,", 71}, // the first letter counts
		{"7:Dno way,", 31},
		{"K", 0}, // answers are not parsed
		{"5:okay,", 74},
		{"", 74},
	} {
		to, got := server(t, "127.0.0.1:0", test.answer)
		conn, err := socket.Dial(to, socket.Stream, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if code := converse(conn, []string{wholeRequest[:3], wholeRequest[3:]}); code != test.code {
			t.Errorf("%q: exit %d, want %d", test.answer, code, test.code)
		}
		if sent := <-got; sent != wholeRequest {
			t.Errorf("%q: sent %q, want %q", test.answer, sent, wholeRequest)
		}
		conn.Close()
	}
}

// home makes a home with a list of servers.
func home(t *testing.T, servers string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/control/qmqpservers", []byte(servers), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	text     = "text\n"
	envelope = "Fs@x\x00Tr@y\x00\x00"
)

func TestSubmitFails(t *testing.T) {
	const nobody = "127.77.66.55" // one of this host's addresses; who would listen there?
	failing := iotest.ErrReader(errors.New("input/output error"))
	for _, test := range []struct {
		name              string
		servers           string
		message, envelope io.Reader
		code              int
	}{
		{"no usable line", "#x\nhost.example\n1.2.3\n", strings.NewReader(text), strings.NewReader(envelope), 55},
		{"nobody listens", nobody + "\n", strings.NewReader(text), strings.NewReader(envelope), 73},
		{"not by its name", nobody + "\nhost.example\n", strings.NewReader(text), strings.NewReader(envelope), 73},
		{"message unreadable", nobody + "\n", failing, strings.NewReader(envelope), 54},
		{"envelope unreadable", nobody + "\n", strings.NewReader(text), failing, 54},
		{"no envelope", nobody + "\n", strings.NewReader(text), strings.NewReader(""), 91},
	} {
		if code := Submit(home(t, test.servers), test.message, test.envelope); code != test.code {
			t.Errorf("%s: exit %d, want %d", test.name, code, test.code)
		}
	}
	if code := Submit(t.TempDir(), strings.NewReader(text), strings.NewReader(envelope)); code != status.Unreadable {
		t.Errorf("no control directory: exit %d, want %d", code, status.Unreadable)
	}
}

// The first server that is connected to decides, whatever it says.
func TestSubmit(t *testing.T) {
	const nobody, first, second = "127.77.66.55", "127.77.66.54", "127.77.66.53"
	for _, test := range []struct {
		name, servers, answer string
		code                  int
	}{
		{"the first", first + "\n" + second, "4:Kyes,", 0},
		{"not one that is down", nobody + "\n" + first + "\n" + second, "4:Kyes,", 0},
		{"a refusal", first + "\n" + second, "3:Dno,", 31},
		{"a deferral is final here", first + "\n" + second, "6:Zlater,", 71},
		{"so is a broken connection", first + "\n" + second, "", 74},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got := server(t, first+":628", test.answer)
			_, other := server(t, second+":628", "4:Kyes,")
			if code := Submit(home(t, test.servers), strings.NewReader(text), strings.NewReader(envelope)); code != test.code {
				t.Errorf("exit %d, want %d", code, test.code)
			}
			if sent := <-got; sent != wholeRequest {
				t.Errorf("sent %q, want %q", sent, wholeRequest)
			}
			select {
			case sent := <-other:
				t.Errorf("the second server got %q", sent)
			default:
			}
		})
	}
}
