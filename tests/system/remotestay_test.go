package system

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/packaging/layout"
	"github.com/reqmail/reqmail/tests/peer"
)

// remotes returns the process ids of the running qmail-remotes of the home.
func (s *system) remotes() (pids []int) {
	s.t.Helper()
	entries, err := os.ReadDir("/proc")
	s.ok(err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		at, _ := os.Readlink("/proc/" + e.Name() + "/cwd")
		name, _ := os.ReadFile("/proc/" + e.Name() + "/comm")
		if at == s.Path() && strings.TrimSpace(string(name)) == "qmail-remote" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// send sends a message to recipients and waits until the peer has n messages.
func (s *system) send(p *peer.Peer, n int, recipients ...string) []peer.Mail {
	s.t.Helper()
	s.inject("Subject: x\n\ntext\n", append([]string{"-f", "s@x.example"}, recipients...)...)
	s.until("the mail at the other host", func() bool { return len(p.Mails()) >= n })
	return p.Mails()
}

// TestRemoteResident: everything that stays, on and off, in the clear and with
// TLS, with and without the second binary; with a wrapper in qmail-remote's
// place.
func TestRemoteResident(t *testing.T) {
	for _, test := range []struct {
		name    string
		control map[string]string
		offer   *tls.Config
		without bool // the second binary
		wrapped bool
		stay    bool
	}{
		{"in the clear", nil, nil, false, false, true},
		{"TLS", nil, secure(t), false, false, true},
		{"no second binary", nil, secure(t), true, false, true},
		{"no re-use", map[string]string{"connectionreuse": "0\n", "transactionrecipients": "1\n"}, nil, false, false, true},
		{"off", map[string]string{"residentchildren": "0\n"}, secure(t), false, false, false},
		{"a wrapper", nil, nil, false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := layOut(t)
			if !test.without { // such a process cannot be looked at
				s.hide("qmail-remote")
			}
			p := s.peer(peer.Options{TLS: test.offer})
			s.ok(s.Control("smtproutes", relay(p, "")))
			for name, text := range test.control {
				s.ok(s.Control(name, text))
			}
			if test.without {
				s.ok(os.Remove(s.Path("bin/reqmail-ext")))
			}
			if test.wrapped {
				s.ok(os.Rename(s.Path("bin/qmail-remote"), s.Path("bin/remote")))
				s.write("bin/qmail-remote", "#!/bin/sh\nexec "+s.Path("bin/remote")+" \"$@\"\n")
				s.ok(os.Chmod(s.Path("bin/qmail-remote"), 0o755))
			}
			s.up()
			s.send(p, 1, "a@y.example")
			s.send(p, 2, "b@y.example")
			if got := len(s.remotes()) > 0; got != test.stay {
				t.Errorf("a process has stayed: %v, want %v", got, test.stay)
			}
			s.inject("Subject: many\n\ntext\n", "-f", "s@x.example", "c@y.example", "d@y.example", "e@z.example")
			var served []string
			s.until("the mail for all", func() bool {
				served = nil
				for _, m := range p.Mails() {
					served = append(served, m.Recipients...)
				}
				return len(served) >= 5
			})
			slices.Sort(served)
			if want := []string{"a@y.example", "b@y.example", "c@y.example", "d@y.example", "e@z.example"}; !slices.Equal(served, want) {
				t.Errorf("mail for %q, want %q", served, want)
			}
			for _, m := range p.Mails() {
				if m.TLS != (test.offer != nil && !test.without) {
					t.Errorf("%q: TLS is %v", m.Recipients, m.TLS)
				}
			}
			s.until("the end of the messages", func() bool { return strings.Count(s.read(s.log), "end msg") == 3 })
			if n := strings.Count(s.read(s.log), ": success: 127.0.0.1_accepted_message./Remote_host_said:_250_"); n != 5 {
				t.Errorf("%d successes, want 5: %s", n, s.read(s.log))
			}
		})
	}
}

// hide makes a program one that can be run but not read, as hosts have them.
func (s *system) hide(program string) {
	s.t.Helper()
	s.ok(os.Remove(s.Path("bin", program)))
	s.ok(layout.CopyFile(filepath.Join(binDir(s.t), program), s.Path("bin", program), 0o111))
}

// TestRemoteKilled: a qmail-remote that stays and is killed is missed by
// nobody.
func TestRemoteKilled(t *testing.T) {
	s := layOut(t)
	p := s.peer(peer.Options{})
	s.ok(s.Control("smtproutes", relay(p, "")))
	s.up()
	s.send(p, 1, "a@y.example")
	pids := s.remotes()
	if len(pids) != 1 {
		t.Fatalf("%d processes have stayed", len(pids))
	}
	s.ok(syscall.Kill(pids[0], syscall.SIGKILL))
	s.until("the end of the process", func() bool { return len(s.remotes()) == 0 })
	s.send(p, 2, "b@y.example")
	if log := s.read(s.log); strings.Contains(log, "crashed") {
		t.Errorf("log: %s", log)
	}
}
