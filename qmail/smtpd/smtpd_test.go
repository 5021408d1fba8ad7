package smtpd

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/intake"
)

// pipe is a client that has sent all it will ever send.
type pipe struct {
	io.Reader
	bytes.Buffer
}

// SetTimeout implements Conn: this client never lets anybody wait.
func (p *pipe) SetTimeout(time.Duration) time.Duration { return time.Second }

func (p *pipe) Read(b []byte) (int, error) { return p.Reader.Read(b) }

// recordQueue puts a script in qmail-queue's place and returns where it leaves
// envelope and message.
func recordQueue(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	target := filepath.Join(dir, "queued")
	script := "#!/bin/sh\nexec 3<&1\ncat > " + target + ".new && cat <&3 >> " + target + ".new && mv " + target + ".new " + target + "\n"
	if err := os.WriteFile(filepath.Join(dir, "queue"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Setenv("QMAILQUEUE", filepath.Join(dir, "queue"))
	os.Setenv("REQMAIL_HOME", dir)
	t.Cleanup(func() { os.Unsetenv("QMAILQUEUE"); os.Unsetenv("REQMAIL_HOME") })
	return target
}

func testConfig(t testing.TB) *Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/control", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"me": "me.example\n", "rcpthosts": "here.example\n.sub.example\n", "badmailfrom": "bad@x.example\n@evil.example\n"} {
		if err := os.WriteFile(dir+"/control/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, err := control.Glance(dir + "/control")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadConfig(d, dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stranger are the variables of a connection, beside the process's own.
var stranger = environ.List{"TCPREMOTEIP=192.0.2.1", "TCPREMOTEHOST=client.example", "TCPLOCALHOST=me"}

// talk gives a session its client's lines and returns the replies behind the
// greeting.
func talk(c *Config, client environ.List, input string) (replies string, end End) {
	p := &pipe{Reader: strings.NewReader(input)}
	end = NewSession(c, environ.List(os.Environ()).With(client...), p).Serve()
	_, replies, _ = strings.Cut(p.String(), "\r\n")
	return replies, end
}

func TestDialogue(t *testing.T) {
	c := testConfig(t)
	relay := stranger.With("RELAYCLIENT=@via")
	for _, test := range []struct {
		name, input, want string
		client            environ.List
		end               End
	}{
		{"quit", "QUIT\r\n", "221 me.example\r\n", stranger, Quit},
		{"lost", "NOOP\r\n", "250 ok\r\n", stranger, Lost},
		{"verbs", "helo x\r\nEHLO x\nvrfy y\r\nHELP\r\nRSET\r\nwhat\r\nquit\r\n",
			"250 me.example\r\n250-me.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n252 send some mail, i'll try my best\r\n" +
				"214 notqmail home page: https://notqmail.org\r\n250 flushed\r\n502 unimplemented (#5.5.1)\r\n221 me.example\r\n", stranger, Quit},
		{"order", "RCPT TO:<a@here.example>\r\nDATA\r\nMAIL FROM:<a>\r\nDATA\r\n", "503 MAIL first (#5.5.1)\r\n503 MAIL first (#5.5.1)\r\n250 ok\r\n503 RCPT first (#5.5.1)\r\n", stranger, Lost},
		{"relaying", "MAIL FROM:<a>\r\nRCPT TO:<b@HERE.example>\r\nRCPT TO:<b@x.sub.example>\r\nRCPT TO:<b@sub.example>\r\nRCPT TO:<b>\r\n",
			"250 ok\r\n250 ok\r\n250 ok\r\n553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)\r\n250 ok\r\n", stranger, Lost},
		{"relay client", "MAIL FROM:<a>\r\nRCPT TO:<b@anywhere>\r\n", "250 ok\r\n250 ok\r\n", relay, Lost},
		{"bad sender", "MAIL FROM:<x@evil.example>\r\nRCPT TO:<b@here.example>\r\nMAIL FROM:<BAD@x.example>\r\nRCPT TO:<b>\r\n",
			"250 ok\r\n" + replyBadFrom + "\r\n250 ok\r\n" + replyBadFrom + "\r\n", relay, Lost},
		{"long address", "MAIL FROM:<" + strings.Repeat("a", 900) + ">\r\nMAIL FROM:<" + strings.Repeat("a", 899) + ">\r\n", "555 syntax error (#5.5.4)\r\n250 ok\r\n", stranger, Lost},
	} {
		got, end := talk(c, test.client, test.input)
		if got != test.want || end != test.end {
			t.Errorf("%s: got %q, %v, want %q, %v", test.name, got, end, test.want, test.end)
		}
	}
}

func TestParseAddress(t *testing.T) {
	own, err := socket.ThisHost()
	if err != nil {
		t.Fatal(err)
	}
	this := func() (*socket.Host, error) { return own, nil }
	s := &Session{config: &Config{HasLocalIP: true, LocalIPHost: "local.example", Own: this}}
	for arg, want := range map[string]string{
		"FROM:<a@b>":         "a@b",
		"FROM:<a@b> SIZE=10": "a@b",
		"FROM: a@b SIZE=10":  "a@b",
		"FROM:a@b":           "a@b",
		"<@r,@s:a@b>":        "a@b",
		`<"a b"@c>`:          "a b@c",
		`<"a>b"@c>`:          "a>b@c",
		`<a\>b@c>`:           "a>b@c",
		"<a@b":               "a@b", // the end may be missing
		"<>":                 "",
		"":                   "",
		"<a@[127.0.0.1]>":    "a@local.example",
		"<a@[192.0.2.1]>":    "a@[192.0.2.1]",
		"<a@[127.0.0.1]x>":   "a@[127.0.0.1]x",
		"<a@[IPv6:::1]>":     "a@[IPv6:::1]", // localiphost is for IPv4
	} {
		if got, ok, err := s.parseAddress(arg); got != want || !ok || err != nil {
			t.Errorf("%q: got %q, %v, want %q", arg, got, ok, want)
		}
	}
}

// TestNames: the names that clients give and that the Received field shows.
func TestNames(t *testing.T) {
	for name, shown := range map[string]bool{"other.example": true, "": true, "client.example": false, "CLIENT.example": false} {
		s := NewSession(&Config{}, stranger, nil)
		s.introduce(name)
		if got := s.helo != nil && *s.helo == name; got != shown {
			t.Errorf("%q is shown: %v, want %v", name, got, shown)
		}
	}
}

func TestData(t *testing.T) {
	c := testConfig(t)
	const head = "MAIL FROM:<a@b>\r\nRCPT TO:<r@here.example>\r\nDATA\r\n"
	for _, test := range []struct {
		name, body, stored string
		reply              string
		limit              uint32
	}{
		{"plain", "Subject: x\r\n\r\nbody\r\n.\r\n", "Subject: x\n\nbody\n", "250 ok ", 0},
		{"dots", "..\r\n.a\r\n...\r\n.\r\n", ".\na\n..\n", "250 ok ", 0},
		{"bare CR stays", "a\rb\r\r\n\r.\r\n.\r\n", "a\rb\r\n\r.\n", "250 ok ", 0},
		{"dot CR", ".\rx\r\n.\r\n", ".\rx\n", "250 ok ", 0},
		{"bare LF", "a\nb\r\n.\r\n", "", replyBareLF, 0},
		{"LF dot LF", "a\r\n.\n", "", replyBareLF, 0},
		{"LF dot CRLF", "a\n.\r\n", "", replyBareLF, 0},
		{"at the limit", "12345678\r\n.\r\n", "12345678\n", "250 ok ", 9},
		{"too big", "123456789\r\n.\r\n", "", replyTooBig, 9},
		{"looping", strings.Repeat("received: x\r\n", 60) + strings.Repeat("DELIVERED-TO: x\r\n", 40) + "\r\n.\r\n", "", replyLoop, 0},
		{"hops in the body", "\r\n" + strings.Repeat("received: x\r\n", 100) + ".\r\n", "\n" + strings.Repeat("received: x\n", 100), "250 ok ", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := recordQueue(t)
			config := *c
			config.DataBytes = test.limit
			replies, _ := talk(&config, stranger, head+test.body)
			_, last, _ := strings.Cut(replies, "354 go ahead\r\n")
			if !strings.HasPrefix(last, test.reply) {
				t.Fatalf("replies %q, want %q in the end", replies, test.reply)
			}
			queued, err := os.ReadFile(target)
			if test.reply != "250 ok " {
				if err == nil && strings.Contains(string(queued), "Tr@here.example\x00\x00") {
					t.Errorf("queued all the same: %q", queued)
				}
				return
			}
			got := string(queued)
			for range 2 { // the Received field has two lines
				_, got, _ = strings.Cut(got, "\n")
			}
			if want := test.stored + "Fa@b\x00Tr@here.example\x00\x00"; got != want {
				t.Errorf("queued %q, want %q", got, want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	c := testConfig(t)
	c.DataBytes = 100
	p := &pipe{Reader: strings.NewReader("EHLO x\r\nMAIL FROM:<a> SIZE=101\r\nMAIL FROM:<a> size=100 BODY=8BITMIME\r\n")}
	s := NewSession(c, stranger, p)
	s.AnnounceSize()
	s.Serve()
	want := "220 me.example ESMTP\r\n250-me.example\r\n250-PIPELINING\r\n250-SIZE 100\r\n250 8BITMIME\r\n" + replyTooBig + "\r\n250 ok\r\n"
	if p.String() != want {
		t.Errorf("got %q, want %q", p.String(), want)
	}
}

func TestNoConfig(t *testing.T) {
	home := t.TempDir()
	d, err := control.Glance(home + "/control")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadConfig(d, home, os.LookupEnv); err == nil || err.Error() != replyControls {
		t.Errorf("without me: got %v", err)
	}
}

// FuzzSession: whatever a client sends, the session ends when it has gone, and
// every line of ours is a reply.
func FuzzSession(f *testing.F) {
	for _, seed := range []string{"QUIT\r\n", "MAIL FROM:<a>\r\nRCPT TO:<b>\r\nRSET\r\n", "\x00\r\n\r\n", "EHLO \xff\n", "rcpt to:<\"\\>\r\n"} {
		f.Add(seed)
	}
	c := &Config{Greeting: "me", Timeout: time.Second, Own: func() (*socket.Host, error) { return &socket.Host{}, nil }, RcptHosts: &intake.RcptHosts{}, BadMailFrom: control.Map{}}
	f.Fuzz(func(t *testing.T, input string) {
		if strings.Contains(strings.ToLower(input), "data") {
			return // would start a queue program
		}
		replies, _ := talk(c, stranger, input)
		for line := range strings.Lines(replies) {
			if len(line) < 5 || line[0] < '2' || line[0] > '5' || !strings.HasSuffix(line, "\r\n") {
				t.Errorf("%q is answered with %q", input, line)
			}
		}
	})
}

// FuzzBody: a message ends at CR LF . CR LF alone, and a bare LF ends the
// session instead.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{"a\r\n.\r\n", ".\r\n", "a\n.\r\n", "\r.\r\n\r\n.\r\n", "..\r\n.\r.\r\n",
		".\r\r\n\r\r\r\n.x\r\nlonger than a buffer\r\n\r\n.\r\nQUIT\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		want := io.EOF
		end := strings.Index("\r\n"+wire, "\r\n.\r\n")
		if end >= 0 {
			want = nil
		}
		for i := range len(wire) {
			if wire[i] == '\n' && (i == 0 || wire[i-1] != '\r') {
				if end < 0 || i < end {
					want = errBareLF
				}
				break
			}
		}
		// At once, and in pieces that end anywhere.
		for _, in := range []io.Reader{strings.NewReader(wire), iotest.OneByteReader(strings.NewReader(wire)), iotest.HalfReader(strings.NewReader(wire))} {
			var stored stored
			b := body{queue: &stored}
			if err := b.copy(bufio.NewReaderSize(in, 16)); err != want {
				t.Errorf("%q: %v, want %v", wire, err, want)
			}
			if want == nil && stored.String() != plain(wire[:end]) {
				t.Errorf("%q is stored as %q, want %q", wire, stored.String(), plain(wire[:end]))
			}
		}
	})
}

// plain is the text of a message whose lines, without the last line's end, came
// over the wire.
func plain(wire string) string {
	if wire == "" {
		return ""
	}
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(wire, "\r\n"), "\r\n") {
		if strings.HasPrefix(line, ".") && !strings.HasPrefix(line, ".\r") {
			line = line[1:]
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// BenchmarkBody: bytes a second through the data phase.
func BenchmarkBody(b *testing.B) {
	wire := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10000) + ".\r\n"
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		body := body{queue: discard{}}
		if err := body.copy(bufio.NewReader(strings.NewReader(wire))); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Fail()                       {}

type stored struct{ bytes.Buffer }

func (*stored) Fail() {}

// TestTooManyRecipients: what a client makes us keep ends somewhere.
func TestTooManyRecipients(t *testing.T) {
	const fit = maxEnvelope / maxAddress
	rcpt := "RCPT TO:<" + strings.Repeat("x", maxAddress-len("@here.example")) + "@here.example>\r\n"
	replies, end := talk(testConfig(t), stranger, "MAIL FROM:<>\r\n"+strings.Repeat(rcpt, fit)+
		"MAIL FROM:<>\r\n"+strings.Repeat(rcpt, fit+1)+"NOOP\r\n")
	if n := strings.Count(replies, "250 ok\r\n"); n != 2*(fit+1) || !strings.HasSuffix(replies, "\r\n"+replyNoMemory+"\r\n") || end != Lost {
		t.Errorf("%d recipients and senders taken, want %d; the end is %v", n, 2*(fit+1), end)
	}
}

// This host's addresses are asked for where a literal needs them, and what goes wrong is
// told then.
func TestLiteralWithoutAddresses(t *testing.T) {
	c := testConfig(t)
	c.HasLocalIP, c.LocalIPHost = true, "local.example"
	err := error(syscall.EMFILE)
	c.Own = (&thisHost{find: func() (*socket.Host, error) { return &socket.Host{}, err }}).get
	const dialogue = "MAIL FROM:<a@b>\r\nMAIL FROM:<a@[127.0.0.1]>\r\nQUIT\r\n"
	if got, _ := talk(c, nil, dialogue); !strings.HasSuffix(got, "250 ok\r\n"+replyAddresses+"\r\n") {
		t.Errorf("got %q", got)
	}
	err = nil // the next session may have more luck
	if got, _ := talk(c, nil, dialogue); strings.Contains(got, replyAddresses) {
		t.Errorf("then got %q", got)
	}
}
