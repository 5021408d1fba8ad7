package system

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/cdb"
)

// listening starts a qmail-smtpd that listens by itself and returns its
// address.
func (s *system) listening(options ...string) string {
	s.t.Helper()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	s.ok(err)
	addr := free.Addr().String()
	free.Close()
	cmd := s.Command(append([]string{"qmail-smtpd", "-l", addr, "-H"}, options...)...)
	cmd.Stderr = os.Stderr
	s.ok(cmd.Start())
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s.smtpd = cmd
	s.until("qmail-smtpd to listen", func() bool {
		conn, err := net.Dial("tcp4", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}

// talk says lines to a server and returns the last line of each reply.
func talk(addr, begin string, lines ...string) (replies []string, err error) {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := conn.Write([]byte(begin)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	reply := func() error {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return err
			}
			if len(line) < 4 || line[3] != '-' {
				replies = append(replies, strings.TrimSpace(line))
				return nil
			}
		}
	}
	if err := reply(); err != nil {
		return replies, err
	}
	for _, line := range lines {
		if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
			return replies, err
		}
		if err := reply(); err != nil {
			return replies, err
		}
	}
	return replies, nil
}

func TestListeningDelivers(t *testing.T) {
	s := start(t)
	addr := s.listening()
	replies, err := talk(addr, "", "EHLO me", "MAIL FROM:<a@far.example>", "RCPT TO:<you@demo.example>", "DATA", "Subject: in\r\n\r\nbody\r\n.", "QUIT")
	s.ok(err)
	if len(replies) != 7 || !strings.HasPrefix(replies[5], "250 ok ") || replies[6] != "221 demo.example" {
		t.Fatalf("replies %q", replies)
	}
	got := s.mail(1)[0]
	wantInOrder(t, got, "Return-Path: <a@far.example>\n", "Received: from unknown (HELO me) (127.0.0.1)\n  by 127.0.0.1 with SMTP; ", "Subject: in\n\nbody\n")
	s.ok(s.smtpd.Process.Signal(syscall.SIGTERM))
	s.until("it to end", func() bool { return s.smtpd.Wait() == nil || s.smtpd.ProcessState != nil })
}

func TestListeningRules(t *testing.T) {
	s := start(t)
	s.ok(s.Control("rcpthosts", "demo.example\n"))
	rules := s.Path("rules.cdb")
	f, err := os.Create(rules)
	s.ok(err)
	w, err := cdb.NewWriter(f)
	s.ok(err)
	for key, data := range map[string]string{"192.0.2.": "D", "192.0.2.7": "+RELAYCLIENT=\x00+DATABYTES=10\x00", "": ""} {
		s.ok(w.Add([]byte(key), []byte(data)))
	}
	s.ok(w.Close())
	s.ok(f.Close())
	addr := s.listening("-p", "-x", rules)
	proxied := func(client string) ([]string, error) {
		return talk(addr, "PROXY TCP4 "+client+" 192.0.2.1 1234 25\r\n", "MAIL FROM:<a@b>", "RCPT TO:<x@elsewhere.example>", "DATA", "1234567890\r\n.")
	}
	if replies, err := proxied("192.0.2.9"); err == nil {
		t.Errorf("a denied client got %q", replies)
	}
	if replies, _ := proxied("10.0.0.1"); len(replies) < 3 || !strings.HasPrefix(replies[2], "553 ") {
		t.Errorf("a stranger may relay: %q", replies)
	}
	if replies, _ := proxied("192.0.2.7"); len(replies) < 5 || replies[2] != "250 ok" || !strings.HasPrefix(replies[4], "552 ") {
		t.Errorf("RELAYCLIENT and DATABYTES of the rules: %q", replies)
	}
	if replies, err := talk(addr, "EHLO no proxy\r\n"); err == nil {
		t.Errorf("without PROXY line: %q", replies)
	}
}

// TestManyConnections: half of the clients stall; the others are served all
// the same, and those beyond the limit are told so. REQMAIL_CONNECTIONS makes
// it larger.
func TestManyConnections(t *testing.T) {
	s := start(t)
	clients := number("REQMAIL_CONNECTIONS", 300)
	addr := s.listening("-c", fmt.Sprint(clients), "-C", fmt.Sprint(clients))
	var stalling []net.Conn
	defer func() {
		for _, c := range stalling {
			c.Close()
		}
	}()
	for i := range clients / 2 {
		c, err := net.Dial("tcp4", addr)
		s.ok(err)
		stalling = append(stalling, c)
		if i%2 == 0 { // some in the middle of a message
			_, err = c.Write([]byte("MAIL FROM:<>\r\nRCPT TO:<you@demo.example>\r\n"))
			s.ok(err)
		}
	}
	var wg sync.WaitGroup
	ready := make(chan struct{})
	for i := range clients - clients/2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-ready
			replies, err := talk(addr, "", "MAIL FROM:<>", "RCPT TO:<you@demo.example>", "DATA", fmt.Sprintf("X: %d\r\n\r\n.", i), "QUIT")
			if err != nil || len(replies) != 6 {
				t.Errorf("client %d: %q, %v", i, replies, err)
			}
		}()
	}
	close(ready)
	wg.Wait()
	for range clients - clients/2 {
		c, err := net.Dial("tcp4", addr)
		s.ok(err)
		stalling = append(stalling, c)
	}
	s.until("421 for one too many", func() bool {
		replies, _ := talk(addr, "")
		return len(replies) == 1 && strings.HasPrefix(replies[0], "421 ")
	})
	t.Logf("%d clients, %s", clients, peakMemory(s.smtpd))
	s.mail(clients - clients/2)
}

// peakMemory is the most memory that a process has had, in the kernel's
// words.
func peakMemory(cmd *exec.Cmd) string {
	data, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "status"))
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "VmHWM") {
			return strings.TrimSpace(line)
		}
	}
	return "memory unknown"
}
