package system

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/reqmail/reqmail/tests/host"
)

// relaying prepares a host that takes mail for x.example, which another host
// has, and returns that one.
func (s *system) relaying() *host.Remote {
	s.t.Helper()
	r, err := host.StartRemote("mx.x.example")
	s.ok(err)
	s.t.Cleanup(r.Stop)
	r.Know("joe@x.example")
	s.ok(s.Control("rcpthosts", host.Name+"\nx.example\n"))
	s.ok(s.Control("smtproutes", fmt.Sprintf("x.example:127.0.0.1:%d\n", r.Port)))
	s.ok(s.Control("rcptcallout", "timeout:10\n"))
	return r
}

// rcpt asks a fresh qmail-smtpd about recipients and returns the codes of its
// replies.
func (s *system) rcpt(recipients ...string) (codes string) {
	s.t.Helper()
	talk := "MAIL FROM:<a@far.example>\r\n"
	for _, r := range recipients {
		talk += "RCPT TO:<" + r + ">\r\n"
	}
	out, _ := s.Run(talk+"QUIT\r\n", "qmail-smtpd")
	var all []string
	for line := range strings.Lines(out) {
		all = append(all, line[:3])
	}
	if len(all) != len(recipients)+3 {
		s.t.Fatalf("qmail-smtpd says %q", out)
	}
	return strings.Join(all[2:len(all)-1], " ")
}

// TestCallout: who is known is queued while the destination is down and gets
// his mail when it is back; nobody else is accepted meanwhile.
func TestCallout(t *testing.T) {
	s := start(t)
	r := s.relaying()
	const joe, ann, you = "joe@x.example", "ann@x.example", host.User + "@" + host.Name
	if got := s.rcpt(joe, ann, you); got != "250 550 250" {
		t.Errorf("the destination is up: %s", got)
	}
	r.Know()
	if got := s.rcpt("joe@X.Example", ann); got != "250 550" {
		t.Errorf("answers are not remembered: %s", got)
	}
	r.Stop()
	if got := s.rcpt(joe, "bob@x.example", ann, you); got != "250 451 550 250" {
		t.Errorf("the destination is down: %s", got)
	}
	out, err := s.Run("MAIL FROM:<>\r\nRCPT TO:<joe@x.example>\r\nDATA\r\nSubject: kept\r\n\r\nx\r\n.\r\nQUIT\r\n", "qmail-smtpd")
	if err != nil || !strings.Contains(out, "250 ok 1") {
		t.Fatalf("%v, %s", err, out)
	}
	s.logged("deferral: ")
	r, err = host.StartRemoteAt("mx.x.example", r.Port)
	s.ok(err)
	t.Cleanup(r.Stop)
	s.ok(s.Signal(14)) // ALRM: try again now
	s.until("the message to arrive", func() bool { return len(r.Received()) == 1 })
	s.empty()
}

// TestCalloutCatchAll: the answers of a host that takes everybody are worth
// nothing while it is down.
func TestCalloutCatchAll(t *testing.T) {
	s := layOut(t)
	r, err := host.StartRemote("mx.x.example")
	s.ok(err)
	defer r.Stop()
	s.relaying()
	s.ok(s.Control("smtproutes", fmt.Sprintf("x.example:127.0.0.1:%d\n", r.Port)))
	s.ok(s.Control("rcptcalloutknown", "boss@x.example\n@y.example\n"))
	s.ok(s.Control("rcpthosts", "x.example\ny.example\n"))
	if got := s.rcpt("joe@x.example", "ann@x.example", "any@y.example"); got != "250 250 250" {
		t.Errorf("got %s", got)
	}
	if n := r.Asked(); n != 3 {
		t.Errorf("%d questions, want one about each and one about nobody", n)
	}
	r.Stop()
	if got := s.rcpt("joe@x.example", "boss@x.example", "any@y.example"); got != "451 250 250" {
		t.Errorf("down: got %s", got)
	}
}

// TestCalloutListening: a process with many sessions shares the cache as well.
func TestCalloutListening(t *testing.T) {
	s := layOut(t)
	r := s.relaying()
	addr := s.listening()
	for _, want := range []string{"250", "250"} {
		replies, err := talk(addr, "", "EHLO c", "MAIL FROM:<a@far.example>", "RCPT TO:<joe@x.example>", "QUIT")
		s.ok(err)
		if got := replies[3]; !strings.HasPrefix(got, want) {
			t.Errorf("got %q, want %s", got, want)
		}
		r.Know()
	}
	if got := s.rcpt("joe@x.example"); got != "250" {
		t.Errorf("another process: %s", got)
	}
}

// TestCalloutSurvivesKills: twenty qmail-smtpd at once, killed in the midst of
// it. What they were told before is not lost.
func TestCalloutSurvivesKills(t *testing.T) {
	s := layOut(t)
	r := s.relaying()
	const clients, each = 20, 30
	var known []string
	for i := range clients * each {
		known = append(known, fmt.Sprintf("u%d@x.example", i))
	}
	r.Know(known...)
	var (
		wait     sync.WaitGroup
		mu       sync.Mutex
		accepted []string
	)
	for c := range clients {
		wait.Go(func() {
			for _, recipient := range s.killed(known[c*each:(c+1)*each], c) {
				mu.Lock()
				accepted = append(accepted, recipient)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if len(accepted) < clients*each/4 {
		t.Fatalf("%d were accepted before the kills", len(accepted))
	}
	r.Stop()
	if got := s.rcpt(accepted...); strings.ReplaceAll(got, "250", "") != strings.Repeat(" ", len(accepted)-1) {
		t.Errorf("the destination is down: %s", got)
	}
	if got := s.rcpt("new@x.example"); got != "451" {
		t.Errorf("nobody knows him: %s", got)
	}
}

// killed names recipients to a qmail-smtpd, kills it while it works on one of
// the later ones, and returns those that were accepted.
func (s *system) killed(recipients []string, after int) (accepted []string) {
	cmd := s.Command("qmail-smtpd")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil
	}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	defer func(cmd *exec.Cmd) { _ = cmd.Process.Kill(); _ = cmd.Wait() }(cmd)
	lines := bufio.NewScanner(out)
	_, _ = io.WriteString(in, "MAIL FROM:<a@far.example>\r\n")
	for range 2 { // the greeting, and MAIL's reply
		if !lines.Scan() {
			return nil
		}
	}
	for i, recipient := range recipients {
		_, _ = io.WriteString(in, "RCPT TO:<"+recipient+">\r\n")
		if i == 10+after%(len(recipients)-10) {
			return accepted
		}
		if !lines.Scan() {
			return accepted
		}
		if strings.HasPrefix(lines.Text(), "250") {
			accepted = append(accepted, recipient)
		}
	}
	return accepted
}
