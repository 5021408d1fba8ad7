package remote

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/queue/tcpto"
)

// qmailHome makes a home with control files and an empty table of dead hosts.
func qmailHome(t *testing.T, control map[string]string) string {
	t.Helper()
	home := t.TempDir()
	t.Chdir(home) // and back: Run changes it
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(home, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("queue/lock/tcpto", string(make([]byte, 1024)))
	for name, text := range control {
		write("control/"+name, text)
	}
	return home
}

func output(home string, args ...string) string {
	var out bytes.Buffer
	Run(args, home, strings.NewReader("x\n"), &out, nil)
	return out.String()
}

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

var goodScript = script{"220 hi\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n", ".", "250 got it\r\n"}

func TestRun(t *testing.T) {
	listener, port := listen(t)
	go serve(listener, goodScript)
	home := qmailHome(t, map[string]string{"me": "me.example\n", "smtproutes": ":127.0.0.1:" + port + "\n"})
	if got, want := output(home, "y.example", "s@x", "r@y"), "r\x00K127.0.0.1 accepted message.\nRemote host said: 250 got it\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunIPv6(t *testing.T) {
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	defer listener.Close()
	go serve(listener, goodScript)
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	home := qmailHome(t, map[string]string{"me": "me.example\n", "smtproutes": ":[::1]:" + port + "\n"})
	if got, want := output(home, "y.example", "s@x", "r@y"), "r\x00K::1 accepted message.\nRemote host said: 250 got it\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRunFailures(t *testing.T) {
	listener, port := listen(t)
	listener.Close() // nobody listens there
	home := qmailHome(t, map[string]string{"me": "me.example\n", "smtproutes": ":127.0.0.1:" + port + "\n"})
	nameless := qmailHome(t, map[string]string{"smtproutes": ":127.0.0.1:" + port + "\n"})
	unreadable := qmailHome(t, map[string]string{"me": "me.example\n", "smtproutes/x": ""})
	for _, test := range []struct {
		name, home string
		args       []string
		want       string
	}{
		{"no recipient", home, []string{"h", "s"}, "DI (qmail-remote) was invoked improperly. (#5.3.5)\n\x00"},
		{"no home", home + "/nope", []string{"h", "s", "r"}, "ZUnable to switch to home directory. (#4.3.0)\n\x00"},
		{"no name of ours", nameless, []string{"h", "s", "r"}, "ZUnable to read control files. (#4.3.0)\n\x00"},
		{"a directory for a control file", unreadable, []string{"h", "s", "r"}, "ZUnable to read control files. (#4.3.0)\n\x00"},
		{"nobody listens", home, []string{"h", "s", "r"}, "ZSorry, I wasn't able to establish an SMTP connection. (#4.4.1)\n\x00"},
	} {
		if got := output(test.home, test.args...); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestDeadHosts: a host that timed out twice lately is not tried; one that was
// tried, and was there, is forgotten, whether it took the connection or not.
func TestDeadHosts(t *testing.T) {
	ip := []byte{127, 0, 0, 1}
	listener, port := listen(t)
	home := qmailHome(t, map[string]string{"me": "me.example\n", "smtproutes": ":127.0.0.1:" + port + "\n"})
	queue := home + "/queue"
	now := time.Now().Unix()
	count := func() int {
		list, err := tcpto.List(queue)
		if err != nil {
			t.Fatal(err)
		}
		return list[0].Count
	}
	tcpto.Timeout(queue, ip, now-300)
	tcpto.Timeout(queue, ip, now-100)
	if got := output(home, "h", "s", "r"); !strings.Contains(got, "#4.4.1") {
		t.Errorf("twice: got %q", got)
	}
	if got := count(); got != 2 {
		t.Errorf("twice: %d timeouts left", got)
	}
	tcpto.Success(queue, ip)
	tcpto.Timeout(queue, ip, now-100)
	go serve(listener, goodScript)
	if got := output(home, "h", "s", "r"); !strings.Contains(got, "K127.0.0.1 accepted") {
		t.Errorf("once: got %q", got)
	}
	if got := count(); got != 0 {
		t.Errorf("answered: %d timeouts left", got)
	}
	tcpto.Timeout(queue, ip, now-100)
	listener.Close()
	if got := output(home, "h", "s", "r"); !strings.Contains(got, "#4.4.1") {
		t.Errorf("refused: got %q", got)
	}
	if got := count(); got != 0 {
		t.Errorf("refused: %d timeouts left", got)
	}
}
