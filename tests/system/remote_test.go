package system

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/reqmail/reqmail/tests/peer"
)

const (
	message  = "Subject: x\n\nbody\n"
	accepted = "r\x00K127.0.0.1 accepted message.\nRemote host said: 250 "
)

// secure returns the TLS of a server with a certificate that nobody knows.
func secure(t *testing.T) *tls.Config {
	t.Helper()
	a, err := peer.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := a.Issue("peer.example")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}
}

func (s *system) peer(o peer.Options) *peer.Peer {
	s.t.Helper()
	p, err := peer.Start(o)
	s.ok(err)
	s.t.Cleanup(p.Stop)
	return p
}

// qmailRemote sends the message, which is a file as in the queue, and returns
// the output.
func (s *system) qmailRemote(sender string) string {
	s.t.Helper()
	path := s.Path("message")
	s.ok(os.WriteFile(path, []byte(message), 0o600))
	in, err := os.Open(path)
	s.ok(err)
	defer in.Close()
	cmd := s.Command("qmail-remote", "y.example", sender, "r@y.example")
	cmd.Stdin = in
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Errorf("qmail-remote: %v: %s", err, out)
	}
	return string(out)
}

func relay(p *peer.Peer, more string) string {
	return ":127.0.0.1:" + strconv.Itoa(p.Port) + more + "\n"
}

// TestRemoteTLS: qmail-remote goes over to the second binary with its
// connection and sends the message once, under small limits too; where TLS
// does not come about, or that binary is not there, in the clear.
func TestRemoteTLS(t *testing.T) {
	old := secure(t)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	s := layOut(t)
	for _, test := range []struct {
		name    string
		offer   *tls.Config
		prefix  []string
		without bool // the second binary
		secure  bool
	}{
		{"TLS", secure(t), nil, false, true},
		{"TLS under a limit", secure(t), underLimit, false, true},
		{"TLS cannot be", old, nil, false, false},
		{"TLS cannot be, under a limit", old, underLimit, false, false},
		{"no second binary", secure(t), nil, true, false}, // the last: it is gone
	} {
		t.Run(test.name, func(t *testing.T) {
			s.Prefix = test.prefix
			if test.without {
				s.ok(os.Remove(s.Path("bin/reqmail-ext")))
			}
			p := s.peer(peer.Options{TLS: test.offer})
			s.ok(s.Control("smtproutes", relay(p, "")))
			if out := s.qmailRemote("s@x.example"); !strings.HasPrefix(out, accepted) {
				t.Errorf("got %q", out)
			}
			mails := p.Mails()
			if len(mails) != 1 || mails[0].TLS != test.secure || mails[0].Text != strings.ReplaceAll(message, "\n", "\r\n") {
				t.Errorf("the peer has %+v", mails)
			}
		})
	}
}

// TestRemoteNames: under TLS the process is still qmail-remote to ps(1) and
// pidof(8).
func TestRemoteNames(t *testing.T) {
	s := layOut(t)
	config := secure(t)
	seen := make(chan string, 1)
	config.VerifyConnection = func(tls.ConnectionState) error {
		seen <- s.processes("qmail-remote")
		return nil
	}
	p := s.peer(peer.Options{TLS: config})
	s.ok(s.Control("smtproutes", relay(p, "")))
	if out := s.qmailRemote("s@x.example"); !strings.HasPrefix(out, accepted) {
		t.Fatalf("got %q", out)
	}
	if got := <-seen; got != "qmail-remote\nqmail-remote y.example s@x.example r@y.example" {
		t.Errorf("seen in /proc: %q", got)
	}
}

// processes returns name and arguments of the process of this home that has
// that argument first.
func (s *system) processes(program string) string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		args := strings.Split(strings.TrimSuffix(s.read(file), "\x00"), "\x00")
		dir := filepath.Dir(file)
		if args[0] == program && strings.Contains(s.read(dir+"/environ"), "REQMAIL_HOME="+s.Home+"\x00") {
			return s.read(dir+"/comm") + strings.Join(args, " ")
		}
	}
	return ""
}

func TestRemoteAUTH(t *testing.T) {
	const login = "|" + peer.User + "|" + peer.Password
	s := layOut(t)
	for _, mechanism := range []string{"CRAM-MD5", "PLAIN", "LOGIN"} {
		for _, offer := range []*tls.Config{nil, secure(t)} {
			p := s.peer(peer.Options{TLS: offer, Mechanisms: []string{mechanism}})
			s.ok(s.Control("authsenders", "s@x.example"+relay(p, login)))
			s.ok(s.Control("smtproutes", relay(p, "")))
			for _, sender := range []string{"s@x.example", "other@x.example"} {
				if out := s.qmailRemote(sender); !strings.HasPrefix(out, accepted) {
					t.Errorf("%s: got %q", mechanism, out)
				}
			}
			mails := p.Mails()
			if len(mails) != 2 || mails[0].Mechanism != mechanism || mails[1].Mechanism != "" || mails[0].TLS != (offer != nil) {
				t.Errorf("%s: the peer has %+v", mechanism, mails)
			}
		}
	}
}

// TestRemoteLacksLibraries: mail that cannot be sent without the second binary
// waits.
func TestRemoteLacksLibraries(t *testing.T) {
	s := layOut(t)
	s.ok(os.Remove(s.Path("bin/reqmail-ext")))
	p := s.peer(peer.Options{Mechanisms: []string{"PLAIN"}})
	s.ok(s.Control("smtproutes", relay(p, "|u|p")))
	if out := s.qmailRemote("s@x.example"); out != "ZConnected to 127.0.0.1 but no supported AUTH method available.\n\x00" {
		t.Errorf("got %q", out)
	}
}

// TestRemoteSource: the peer sees the address that a control file names.
func TestRemoteSource(t *testing.T) {
	s := layOut(t)
	p := s.peer(peer.Options{TLS: secure(t)})
	s.ok(s.Control("smtproutes", relay(p, "")))
	s.ok(s.Control("outgoingip", "127.0.0.7\n"))
	s.ok(s.Control("bindroutes", "y.example:127.0.0.8\n"))
	s.ok(s.Control("domainbindings", "x.example:127.0.0.9:mail.x.example\n"))
	for _, test := range []struct{ remove, want string }{
		{"", "127.0.0.9"}, {"domainbindings", "127.0.0.8"}, {"bindroutes", "127.0.0.7"}, {"outgoingip", "127.0.0.1"},
	} {
		if test.remove != "" {
			s.ok(os.Remove(s.Path("control", test.remove)))
		}
		if out := s.qmailRemote("s@x.example"); !strings.HasPrefix(out, accepted) {
			t.Fatalf("got %q", out)
		}
		if mails := p.Mails(); mails[len(mails)-1].Client != test.want {
			t.Errorf("the peer saw %s, want %s", mails[len(mails)-1].Client, test.want)
		}
	}
	s.ok(s.Control("outgoingip", "127.0.0\n"))
	if out := s.qmailRemote("s@x.example"); out != "Zinvalid ipaddr in control/outgoingip (#4.3.0)\n\x00" {
		t.Errorf("got %q", out)
	}
}

// TestRemoteUnicode: 8-bit mail and internationalised addresses.
func TestRemoteUnicode(t *testing.T) {
	s := layOut(t)
	for _, utf8 := range []bool{true, false} {
		p := s.peer(peer.Options{UTF8: utf8})
		s.ok(s.Control("smtproutes", relay(p, "")))
		s.ok(s.Control("smtputf8", "1\n"))
		out := s.qmailRemote("jürgen@x.example")
		if utf8 && (!strings.HasPrefix(out, accepted) || !p.Mails()[0].Options.UTF8 || p.Mails()[0].Options.Size == 0) {
			t.Errorf("got %q, the peer has %+v", out, p.Mails())
		}
		if want := "DConnected to 127.0.0.1 but server does not support internationalized email addresses.\n\x00"; !utf8 && out != want {
			t.Errorf("got %q", out)
		}
	}
}
