package system

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/cdb"
)

// script puts an executable file into the home and returns its path.
func (s *system) script(name, text string) string {
	s.t.Helper()
	path := s.Path(name)
	s.ok(os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

// database makes a cdb in the home.
func (s *system) database(path string, records map[string]string) {
	s.t.Helper()
	f, err := os.Create(path)
	s.ok(err)
	w, err := cdb.NewWriter(f)
	s.ok(err)
	for key, data := range records {
		s.ok(w.Add([]byte(key), []byte(data)))
	}
	s.ok(w.Close())
	s.ok(f.Close())
}

// TestFilters: what control files and variables ask for happens under
// tcpserver and in a qmail-smtpd that listens.
func TestFilters(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.ok(s.Control("rcpthosts", "demo.example\n"))
	s.ok(s.Control("badrcptto", "@bad.demo.example\nnobody@demo.example\n"))
	s.ok(s.Control("badmailto", "^x.*@demo\\.example$\n"))
	s.ok(s.Control("badmailfrompatterns", "!@\n"))
	s.ok(s.Control("badhelo", "localhost\n"))
	s.ok(s.Control("maxrcpt", "2\n"))
	s.ok(s.Control("brtlimit", "6\n"))
	s.ok(s.Control("smtputf8", "1\n"))
	s.ok(s.Control("smtpplugins", "[mail]\n:test \"$SMTPMAILFROM\" != no@far.example || echo 'E550 not you'\n[rcpt]\n:test \"$SMTPRCPTTO\" != open@elsewhere.example || echo O\n"))
	s.database(s.Path("control/validrcptto.cdb"), map[string]string{"you@demo.example": "", "xyz@demo.example": "", "unchecked@demo.example": ""})
	check := s.script("check", `test "$RECIPIENT" != unchecked@demo.example || exit 100`)
	s.Env = append(s.Env, "RCPTCHECK="+check)
	_, alone, err := net.SplitHostPort(s.listening())
	s.ok(err)
	lines := []string{
		"EHLO localhost", "MAIL FROM:<a@far.example>", "RCPT TO:<you@demo.example>",
		"EHLO client.example", "MAIL FROM:<nodomain>", "RCPT TO:<you@demo.example>",
		"MAIL FROM:<no@far.example>", "MAIL FROM:<a@far.example>",
		"RCPT TO:<nobody@demo.example>", "RCPT TO:<xyz@demo.example>", "RCPT TO:<he@demo.example>", "RCPT TO:<unchecked@demo.example>",
		"RCPT TO:<you@demo.example>", "RCPT TO:<open@elsewhere.example>", "RCPT TO:<you@demo.example>",
	}
	want := []string{
		"250 8BITMIME", "250 ok", "553 sorry, your HELO/EHLO greeting is in my badhelo list (#5.7.1)",
		"250 8BITMIME", "250 ok", "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
		"550 not you", "250 ok",
		"553 sorry, your envelope recipient is in my badrcptto list (#5.7.1)", "553 sorry, your envelope recipient is in my badmailto list (#5.7.1)",
		"553 sorry, this recipient is not in my validrcptto list (#5.7.1)", "553 sorry, no mailbox here by that name. (#5.1.1)",
		"421 too many invalid addresses, goodbye (#4.3.0)",
	}
	for _, port := range []string{s.tcpserver("qmail-smtpd"), alone} {
		replies, err := talk("127.0.0.1:"+port, "", lines...)
		if err == nil || !slices.Equal(replies[1:], want) {
			t.Errorf("got %v\n%s\nwant\n%s", err, strings.Join(replies, "\n"), strings.Join(want, "\n"))
		}
		replies, err = talk("127.0.0.1:"+port, "", append([]string{"MAIL FROM:<a@far.example>"}, lines[12:]...)...)
		s.ok(err)
		if want := []string{"250 ok", "250 ok", "250 ok", "452 sorry, too many recipients (#4.5.3)"}; !slices.Equal(replies[1:], want) {
			t.Errorf("got %q, want %q", replies[1:], want)
		}
	}
}

// TestFiltersByRule: the environment of a connection counts, not the
// process's alone.
func TestFiltersByRule(t *testing.T) {
	s := layOut(t)
	check := s.script("check", "exit 100")
	rules := s.Path("rules.cdb")
	s.database(rules, map[string]string{"192.0.2.7": "+RCPTCHECK=" + check + "\x00", "192.0.2.8": "+REQUIRE_AUTH=1\x00", "2001:db8::1": "+MAXRCPT=1\x00", "": ""})
	addr := s.listening("-p", "-x", rules)
	for client, want := range map[string][]string{
		"TCP4 192.0.2.6 192.0.2.1":     {"250 ok", "250 ok", "250 ok"},
		"TCP4 192.0.2.7 192.0.2.1":     {"250 ok", "553 sorry, no mailbox here by that name. (#5.1.1)", "553 sorry, no mailbox here by that name. (#5.1.1)"},
		"TCP4 192.0.2.8 192.0.2.1":     {"530 Authorization required (#5.7.1)", "503 MAIL first (#5.5.1)", "503 MAIL first (#5.5.1)"},
		"TCP6 2001:db8::1 2001:db8::2": {"250 ok", "250 ok", "452 sorry, too many recipients (#4.5.3)"},
	} {
		replies, err := talk(addr, "PROXY "+client+" 1234 25\r\n", "MAIL FROM:<a@b>", "RCPT TO:<you@demo.example>", "RCPT TO:<you@demo.example>")
		if err != nil || !slices.Equal(replies[1:], want) {
			t.Errorf("%s: got %q, %v, want %q", client, replies, err, want)
		}
	}
}

// TestPace: early talkers are turned away, others wait.
func TestPace(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.Env = append(s.Env, "GREETDELAY=1", "TARPITCOUNT=1", "TARPITDELAY=1")
	for _, addr := range []string{"127.0.0.1:" + s.tcpserver("qmail-smtpd"), s.listening()} {
		replies, err := talk(addr, "EHLO hasty\r\n", "QUIT")
		if err == nil || !slices.Equal(replies, []string{"554 SMTP protocol violation"}) {
			t.Errorf("an early talker gets %q, %v", replies, err)
		}
		begin := time.Now()
		replies, err = talk(addr, "", "MAIL FROM:<a@b>", "RCPT TO:<a@demo.example>", "RCPT TO:<b@demo.example>", "QUIT")
		if err != nil || len(replies) != 5 || replies[3] != "250 ok" {
			t.Errorf("got %q, %v", replies, err)
		}
		if waited := time.Since(begin); waited < 2*time.Second {
			t.Errorf("greeting and second recipient took %v, want 2 s and more", waited)
		}
	}
}

// TestPluginHeader: a plugin's field is below ours, its variable with the
// queue program, whose own words reach the client.
func TestPluginHeader(t *testing.T) {
	needs(t, "tcpserver")
	s := layOut(t)
	s.ok(s.Control("smtpplugins", "[rcpt]\n:echo 'HX-Plugin: yes'; echo SSEEN=it\n"))
	s.ok(s.Control("smtputf8", "1\n"))
	queue := s.script("queue-program", `cat > `+s.Path("message")+`; cat <&1 >/dev/null; printf 'Dno: %s (#5.7.1)' "$SEEN" >&4; exit 82`)
	s.Env = append(s.Env, "QMAILQUEUE="+queue)
	replies, err := talk("127.0.0.1:"+s.tcpserver("qmail-smtpd"), "", "EHLO client.example", "MAIL FROM:<jos\xc3\xa9@far.example> SMTPUTF8", "RCPT TO:<you@demo.example>", "DATA", "Subject: x\r\n\r\n.", "QUIT")
	if err != nil || len(replies) != 7 || replies[5] != "554 no: it (#5.7.1)" {
		t.Fatalf("got %q, %v", replies, err)
	}
	wantInOrder(t, s.read(s.Path("message")), "Received: from ", " with UTF8SMTP; ", "\nX-Plugin: yes\nSubject: x\n")
}
