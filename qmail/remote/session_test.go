package remote

import (
	"bufio"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a server's side: what it says, and between that, how many lines
// it reads first. A "." reads to the end of the data phase.
type script []string

// converse delivers a message to a server that follows a script, and returns
// qmail-remote's output and what the server read.
func converse(t *testing.T, s script, message string, recipients ...string) (output, read string) {
	t.Helper()
	return converseWith(t, &Delivery{}, s, message, recipients...)
}

// converseWith completes the delivery.
func converseWith(t *testing.T, d *Delivery, s script, message string, recipients ...string) (output, read string) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	got := make(chan string, 1)
	go func() { got <- serve(listener, s) }()
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d.Sender, d.Recipients, d.Message = "s@x.example", recipients, strings.NewReader(message)
	x := newExchange(d)
	timeout := time.Minute
	if slices.Contains(s, "silence") {
		timeout = 20 * time.Millisecond
	}
	d.Config.Timeout = timeout
	output = outputOf(x, client)
	client.Close()
	return output, <-got
}

// outputOf delivers over a connection, and returns the output but for its
// last byte.
func outputOf(x *exchange, conn Connection) string {
	x.link = &link{conn: conn}
	res := x.run()
	var r report
	for _, recipient := range x.recipients {
		recipient.report(&r)
	}
	return string(r) + string(res.letter) + res.text
}

// newExchange begins a delivery to 192.0.2.1, whose name is unknown.
func newExchange(d *Delivery) *exchange {
	x := &exchange{
		Delivery: d, link: &link{}, source: source{helo: "me.example"},
		target: target{addr: netip.MustParseAddr("192.0.2.1"), port: smtpPort},
	}
	for _, address := range d.Recipients {
		x.recipients = append(x.recipients, &recipient{address: address})
	}
	return x
}

func serve(listener net.Listener, s script) string {
	conn, err := listener.Accept()
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	var read strings.Builder
	buf := make([]byte, 1)
	until := func(end string) bool {
		start := read.Len()
		for !strings.HasSuffix(read.String()[start:], end) {
			if _, err := conn.Read(buf); err != nil {
				return false
			}
			read.WriteByte(buf[0])
		}
		return true
	}
	for _, step := range s {
		switch step {
		case "<":
			until("\r\n")
		case ".":
			until("\r\n.\r\n")
		case "silence":
			_, _ = conn.Read(buf) // until the client gives up
			return read.String()
		default:
			_, _ = conn.Write([]byte(step))
		}
	}
	conn.(*net.TCPConn).CloseWrite()
	for {
		if _, err := conn.Read(buf); err != nil {
			return read.String()
		}
		read.WriteByte(buf[0])
	}
}

func TestSession(t *testing.T) {
	const message = "Subject: x\n\nbody\n"
	good := script{"220 hi\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n", ".", "250 got it\r\n"}
	with := func(at int, reply string) script {
		s := append(script(nil), good[:at]...)
		return append(s, reply)
	}
	for _, test := range []struct {
		name   string
		script script
		output string
	}{
		{"success", good, "r\x00K192.0.2.1 accepted message.\nRemote host said: 250 got it\n"},
		{"several lines", with(10, "250-got\r\n250 it\r\n"), "r\x00K192.0.2.1 accepted message.\nRemote host said: 250-got\n250 it\n"},
		{"greeting", with(0, "554 no\r\n"), "ZConnected to 192.0.2.1 but greeting failed.\nRemote host said: 554 no\n"},
		{"no number", with(0, "hello\r\n"), "ZConnected to 192.0.2.1 but greeting failed.\nRemote host said: hello\n"},
		{"name", with(2, "550 no\r\n"), "ZConnected to 192.0.2.1 but my name was rejected.\nRemote host said: 550 no\n"},
		{"sender", with(4, "550 no\r\n"), "DConnected to 192.0.2.1 but sender was rejected.\nRemote host said: 550 no\n"},
		{"sender now", with(4, "450 no\r\n"), "ZConnected to 192.0.2.1 but sender was rejected.\nRemote host said: 450 no\n"},
		{"recipient", with(6, "550 no\r\n"), "h192.0.2.1 does not like recipient.\nRemote host said: 550 no\n\x00DGiving up on 192.0.2.1.\n"},
		{"recipient now", with(6, "450 no\r\n"), "s192.0.2.1 does not like recipient.\nRemote host said: 450 no\n\x00DGiving up on 192.0.2.1.\n"},
		{"data", with(8, "554 no\r\n"), "r\x00D192.0.2.1 failed on DATA command.\nRemote host said: 554 no\n"},
		{"dot", with(10, "452 no\r\n"), "r\x00Z192.0.2.1 failed after I sent the message.\nRemote host said: 452 no\n"},
		{"NUL in a reply", with(10, "554 a\x00b\r\n"), "r\x00D192.0.2.1 failed after I sent the message.\nRemote host said: 554 a?b\n"},
		{"lost", with(4, "250 o"), "ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"},
		{"silent", with(4, "silence"), "ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"},
		{"lost behind the dot", good[:10], "r\x00ZConnected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, _ := converse(t, test.script, message, "r@y.example")
			if output != test.output {
				t.Errorf("got  %q\nwant %q", output, test.output)
			}
		})
	}
}

// TestGreeting: reqmail greets with EHLO, and with HELO where that is refused
// for being unknown.
func TestGreeting(t *testing.T) {
	rest := script{"<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n", ".", "250 ok\r\n"}
	for _, test := range []struct {
		name   string
		script script
		want   string
	}{
		{"EHLO", append(script{"220 hi\r\n", "<", "250-hi\r\n250 SIZE\r\n"}, rest...), "EHLO me.example\r\nMAIL FROM:<s@x.example> SIZE=3\r\nRCPT TO:<"},
		{"HELO", append(script{"220 hi\r\n", "<", "502 what\r\n", "<", "250 ok\r\n"}, rest...), "EHLO me.example\r\nHELO me.example\r\nMAIL FROM:"},
		{"refused for itself", script{"220 hi\r\n", "<", "550 not you\r\n"}, "EHLO me.example\r\nQUIT\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, read := converse(t, test.script, "x\n", "r@y.example")
			if !strings.HasPrefix(read, test.want) {
				t.Errorf("the server read %q, want %q first", read, test.want)
			}
		})
	}
}

func TestPartialLastLine(t *testing.T) {
	output, _ := converse(t, script{"220 hi\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "354 go\r\n"}, "no end", "r@y.example")
	if want := "r\x00DSMTP cannot transfer messages with partial final lines. (#5.6.2)\n"; output != want {
		t.Errorf("got %q, want %q", output, want)
	}
}

func TestSomeRecipientsRefused(t *testing.T) {
	output, read := converse(t, script{"220 hi\r\n", "<", "250 ok\r\n", "<", "250 ok\r\n", "<", "550 a\r\n", "<", "250 b\r\n", "<", "451 c\r\n",
		"<", "354 go\r\n", ".", "250 ok\r\n"}, "x\n", "a@y", "b c@y", "d")
	want := "h192.0.2.1 does not like recipient.\nRemote host said: 550 a\n\x00r\x00s192.0.2.1 does not like recipient.\nRemote host said: 451 c\n\x00" +
		"K192.0.2.1 accepted message.\nRemote host said: 250 ok\n"
	if output != want {
		t.Errorf("got %q, want %q", output, want)
	}
	if want := "RCPT TO:<a@y>\r\nRCPT TO:<\"b c\"@y>\r\nRCPT TO:<d>\r\n"; !strings.Contains(read, want) {
		t.Errorf("the server read %q, want %q in it", read, want)
	}
}

// FuzzReply: no reply may make the client hang, crash or keep more than it
// may.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"", "250", "250 ok\r\n", "250-a\r\n250 b\r\n", "2\n\n\n-\n", "250-\n", "abc-\nxyz \n", "250-" + strings.Repeat("x", 6000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := bufio.NewReader(strings.NewReader(text))
		r, err := readReply(in)
		if len(r.Text) > maxReply {
			t.Errorf("kept %d bytes", len(r.Text))
		}
		if strings.ContainsAny(r.Text, "\r\x00") {
			t.Errorf("%q is kept as %q", text, r.Text)
		}
		read := text[:len(text)-in.Buffered()]
		if err == nil && len(text) < 4096 && !strings.HasSuffix(read, "\n") {
			t.Errorf("%q counts as a reply", read)
		}
	})
}

var _ Connection = (*os.File)(nil)
