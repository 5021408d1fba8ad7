package system

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// needs skips a test where a real client is not installed, and returns the
// clients' paths.
func needs(t *testing.T, programs ...string) (paths []string) {
	t.Helper()
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Skipf("no %s here", program)
		}
		paths = append(paths, path)
	}
	return paths
}

// tcpserver runs a server program under ucspi-tcp's tcpserver and returns the
// port.
func (s *system) tcpserver(argv ...string) (port string) {
	s.t.Helper()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	s.ok(err)
	_, port, err = net.SplitHostPort(free.Addr().String())
	s.ok(err)
	free.Close()
	argv = append([]string{"tcpserver", "-RHldemo.example", "-c100", "127.0.0.1", port}, argv...)
	cmd := s.Command(argv...)
	cmd.Stderr = os.Stderr
	s.ok(cmd.Start())
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.until("tcpserver to listen", func() bool {
		conn, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return port
}

// client runs a real client, which must succeed.
func (s *system) client(stdin string, argv ...string) (out string) {
	s.t.Helper()
	cmd := s.Command(argv...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	limit := time.AfterFunc(6*host.Patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer limit.Stop()
	text, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%q: %v:\n%s", argv, err, text)
	}
	return string(text)
}

func TestSwaks(t *testing.T) {
	needs(t, "swaks", "tcpserver")
	s := start(t)
	under := s.tcpserver("qmail-smtpd")
	_, alone, err := net.SplitHostPort(s.listening())
	s.ok(err)
	n := 0
	for _, port := range []string{under, alone} {
		for _, way := range [][]string{
			{"--body", "plain"},
			{"--pipeline", "--body", "pipelined"},
			{"--body", "gr\xc3\xbc\xdf 8bit", "--add-header", "MIME-Version: 1.0", "--add-header", "Content-Transfer-Encoding: 8bit"},
			{"--protocol", "SMTP", "--body", ".\n..\n.dots"},
		} {
			s.client("", append([]string{"swaks", "--server", "127.0.0.1", "--port", port, "--ehlo", "swaks.example",
				"--from", "a@far.example", "--to", "you@demo.example", "--silent", "2"}, way...)...)
			n++
			if all := strings.Join(s.mail(n), ""); !strings.Contains(all, "swaks.example) (127.0.0.1)") {
				t.Fatalf("no Received line of swaks' in:\n%s", all)
			}
		}
	}
	all := strings.Join(s.mail(n), "")
	for _, text := range []string{"\nplain\n", "\npipelined\n", "\ngr\xc3\xbc\xdf 8bit\n", "\n.\n..\n.dots\n"} {
		if strings.Count(all, text) != 2 {
			t.Errorf("%q stands %d times in the mailbox, want 2:\n%s", text, strings.Count(all, text), all)
		}
	}
}

// smtpSource finds Postfix's load generator, which Debian keeps out of PATH.
func smtpSource(t *testing.T) string {
	t.Helper()
	for _, path := range []string{os.Getenv("REQMAIL_SMTP_SOURCE"), "/usr/sbin/smtp-source"} {
		if _, err := os.Stat(path); path != "" && err == nil {
			return path
		}
	}
	t.Skip("no smtp-source here")
	return ""
}

// TestSMTPSource: twenty sessions at once, REQMAIL_MESSAGES (300) messages,
// none lost and none twice.
func TestSMTPSource(t *testing.T) {
	source := smtpSource(t)
	needs(t, "tcpserver")
	for _, mode := range []string{"tcpserver", "listening"} {
		t.Run(mode, func(t *testing.T) {
			s := start(t)
			var addr string
			if mode == "tcpserver" {
				addr = "127.0.0.1:" + s.tcpserver("qmail-smtpd")
			} else {
				addr = s.listening()
			}
			messages := number("REQMAIL_MESSAGES", 300)
			begin := time.Now()
			s.client("", source, "-s", "20", "-m", fmt.Sprint(messages), "-l", "2000",
				"-f", "a@far.example", "-t", "you@demo.example", addr)
			accepted := time.Since(begin)
			s.ok(host.Within(time.Duration(messages)*50*time.Millisecond+host.Patience, "an empty queue", func() bool {
				out, err := s.Run("", "qmail-qstat")
				return err == nil && strings.HasPrefix(out, "messages in queue: 0\n")
			}))
			t.Logf("%d messages: accepted in %v, delivered in %v", messages, accepted, time.Since(begin))
			s.mail(messages)
		})
	}
}

// checkpassword is a checkpassword program that knows one account.
const checkpassword = `#!/bin/sh
case "$(tr '\000' ' ' <&3)" in 'you secret '*) cd mail && exec "$@";; esac
exit 1
`

// pop3 starts qmail-popup and qmail-pop3d for the mailbox, with messages in
// it, and returns the port.
func (s *system) pop3(messages int) (port string) {
	s.t.Helper()
	for i := range messages {
		s.inject(fmt.Sprintf("Subject: message %d\n\n.dot\nend\n", i), "you@demo.example")
	}
	s.mail(messages)
	// qmail-pop3d leaves a message alone in the second in which it came.
	files, err := filepath.Glob(s.Path("mail/Maildir/new/*"))
	s.ok(err)
	for _, file := range files {
		s.ok(os.Chtimes(file, time.Time{}, time.Now().Add(-time.Minute)))
	}
	s.write("check", checkpassword)
	s.ok(os.Chmod(s.Path("check"), 0o700))
	return s.tcpserver("qmail-popup", "pop.demo.example", s.Path("check"), s.Path("bin/qmail-pop3d"), "Maildir")
}

func TestFetchmail(t *testing.T) {
	needs(t, "fetchmail", "tcpserver")
	s := start(t)
	port := s.pop3(5)
	s.Env = append(s.Env, "HOME="+s.Home, "USER=you", "LOGNAME=you", "FETCHMAILHOME="+s.Home)
	s.write("fetchmailrc", "poll 127.0.0.1 proto pop3 port "+port+" user you pass secret is you here no keep no sslcertck sslproto '' mda \"cat >> "+s.Path("fetched")+"\"\n")
	s.client("", "fetchmail", "-f", s.Path("fetchmailrc"), "--nodetach", "--nosyslog")
	fetched := s.read(s.Path("fetched"))
	if n := strings.Count(fetched, "\n.dot\nend\n"); n != 5 {
		t.Errorf("%d messages fetched, want 5:\n%s", n, fetched)
	}
	if left, _ := filepath.Glob(s.Path("mail/Maildir/*/*")); len(left) != 0 {
		t.Errorf("left in the Maildir: %q", left)
	}
}

// TestMutt reads by POP3 in a terminal and sends through sendmail.
func TestMutt(t *testing.T) {
	needs(t, "mutt", "script", "tcpserver")
	s := start(t)
	port := s.pop3(3)
	s.Env = append(s.Env, "HOME="+s.Home, "TERM=xterm", "USER=you", "LOGNAME=you")
	s.write("muttrc", strings.Join([]string{
		"set pop_authenticators=user ssl_starttls=no ssl_force_tls=no",
		"set sendmail='" + s.Path("bin/sendmail") + " -oi'",
		"set from=you@demo.example use_from=yes copy=no confirmappend=no confirmcreate=no wait_key=no",
		"set mbox_type=mbox folder=" + s.Home + " spoolfile=" + s.Path("spool"), ""}, "\n"))
	s.ok(os.WriteFile(s.Path("spool"), nil, 0o600))
	s.client("hello from mutt\n", "mutt", "-n", "-F", s.Path("muttrc"), "-s", "sent by mutt", "you@demo.example")
	wantInOrder(t, strings.Join(s.mail(4), ""), "Subject: sent by mutt\n", "hello from mutt\n")

	s.client("", "script", "-qec", "timeout --foreground -s KILL 60 mutt -n -F "+s.Path("muttrc")+" -f pop://you:secret@127.0.0.1:"+port+
		" -e \"push '<tag-pattern>~A<enter><tag-prefix><copy-message>"+s.Path("got")+"<enter><exit>'\"", "/dev/null")
	if got := s.read(s.Path("got")); strings.Count(got, "\n.dot\nend\n") != 3 {
		t.Errorf("mutt got by POP3:\n%s", got)
	}
}

func TestMailsubjAndDatemail(t *testing.T) {
	s := start(t)
	s.client("by mailsubj\n", "mailsubj", "a subject", "you@demo.example")
	s.client("Subject: dated\n\nby datemail\n", "datemail", "you@demo.example")
	all := strings.Join(s.mail(2), "")
	for _, text := range []string{"Subject: a subject\n", "\nby mailsubj\n", "Subject: dated\n", "\nby datemail\n"} {
		if !strings.Contains(all, text) {
			t.Errorf("no %q in:\n%s", text, all)
		}
	}
}
