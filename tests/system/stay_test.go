package system

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/compat/submit"
)

// client is an SMTP client that says one thing after the other.
type client struct {
	*system
	in  *bufio.Reader
	out io.Writer
}

// connect begins a conversation with a qmail-smtpd that listens.
func (s *system) connect(addr string) *client {
	s.t.Helper()
	conn, err := net.Dial("tcp4", addr)
	s.ok(err)
	s.t.Cleanup(func() { conn.Close() })
	c := &client{s, bufio.NewReader(conn), conn}
	c.replied("220 ")
	return c
}

// session begins a conversation with a qmail-smtpd of its own, as under
// tcpserver.
func (s *system) session(env ...string) *client {
	s.t.Helper()
	cmd := s.Command("qmail-smtpd")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdinPipe()
	s.ok(err)
	in, err := cmd.StdoutPipe()
	s.ok(err)
	s.ok(cmd.Start())
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := &client{s, bufio.NewReader(in), out}
	c.replied("220 ")
	return c
}

func (c *client) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.out, text)
	c.ok(err)
}

// replied takes the next reply, which must begin so.
func (c *client) replied(begin string) string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, begin) {
		c.t.Fatalf("got %q, %v, want %q", line, err, begin)
	}
	return line
}

// data begins a message.
func (c *client) data() {
	c.t.Helper()
	c.say("MAIL FROM:<a@far.example>\r\nRCPT TO:<you@demo.example>\r\nDATA\r\n")
	c.replied("250 ")
	c.replied("250 ")
	c.replied("354 ")
}

// message sends a message and returns the process that has queued it.
func (c *client) message(text string) (qp int) {
	c.t.Helper()
	c.data()
	c.say(strings.ReplaceAll(text, "\n", "\r\n") + ".\r\n")
	return c.queuedBy()
}

func (c *client) queuedBy() int {
	c.t.Helper()
	reply := c.replied("250 ok ")
	qp, err := strconv.Atoi(regexp.MustCompile(` qp (\d+)\r\n$`).FindStringSubmatch(reply)[1])
	c.ok(err)
	return qp
}

// stays sends messages until two go through one process, and returns that and how
// many there were.
func (c *client) stays() (qp, count int) {
	c.t.Helper()
	c.until("a qmail-queue that stays", func() bool {
		before := qp
		qp = c.message("a: b\n\n")
		count++
		return qp == before
	})
	return qp, count
}

// lines is a message of about n bytes.
func lines(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Subject: %d bytes\n\n", n)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}

// sizes go without pipes, just about so, and through them.
var sizes = []int{0, 2000, 30000, 32000, 32600, 33000, 500000}

// TestQueuerStays: connections share a qmail-queue, and mail comes through as
// it was, whichever way it takes.
func TestQueuerStays(t *testing.T) {
	s := layOut(t)
	s.hide("qmail-queue")
	s.up()
	addr := s.listening()
	c := s.connect(addr)
	first, count := c.stays()
	for _, n := range sizes {
		if qp := c.message(lines(n)); qp != first {
			t.Errorf("%d bytes: process %d, want %d", n, qp, first)
		}
	}
	arrived := strings.Join(s.mail(count+len(sizes)), "")
	for _, n := range sizes {
		if !strings.Contains(arrived, "with SMTP; ") || strings.Count(arrived, "\n"+lines(n)) < 1 {
			t.Errorf("the message of %d bytes has not come as it was sent", n)
		}
	}
	s.empty()
}

// TestQueuerOfSession: a session's first messages have a qmail-queue of their own,
// the others share one, and with residentchildren 0 none does.
func TestQueuerOfSession(t *testing.T) {
	s := start(t)
	const messages = 4
	for setting, stays := range map[string]bool{"1\n": true, "0\n": false} {
		s.ok(s.Control("residentchildren", setting))
		c := s.session()
		different := map[int]bool{}
		for range messages {
			different[c.message("X: y\n\nz\n")] = true
		}
		if n := len(different); stays != (n < messages) {
			t.Errorf("residentchildren %q: %d processes", setting, n)
		}
		c.say("QUIT\r\n")
		c.replied("221 ")
	}
	s.mail(2 * messages)
}

// Wrappers are run for each message, and not passed by.
func TestQueuerWrapped(t *testing.T) {
	s := start(t)
	script := s.Path("wrapper")
	s.ok(os.WriteFile(script, []byte("#!/bin/sh\necho x >>"+s.Path("runs")+"\nexec "+s.Path("bin/qmail-queue")+"\n"), 0o755))
	check := func(c *client, name string) {
		before := len(s.read(s.Path("runs")))
		if a, b, c := c.message("a: b\n\n"), c.message("a: b\n\n"), c.message("a: b\n\n"); a == b || b == c {
			t.Errorf("%s: processes %d, %d, %d", name, a, b, c)
		}
		if runs := len(s.read(s.Path("runs"))) - before; runs != 3*len("x\n") {
			t.Errorf("%s: %d bytes of runs", name, runs)
		}
	}
	check(s.session("QMAILQUEUE="+script), "QMAILQUEUE")
	addr := s.listening()
	c := s.connect(addr)
	c.message("a: b\n\n")
	// One takes qmail-queue's own place while a qmail-queue stays.
	s.ok(os.Rename(s.Path("bin/qmail-queue"), s.Path("bin/qmail-queue.orig")))
	s.ok(os.WriteFile(script, []byte("#!/bin/sh\necho x >>"+s.Path("runs")+"\nexec "+s.Path("bin/qmail-queue.orig")+"\n"), 0o755))
	s.ok(os.Rename(script, s.Path("bin/qmail-queue")))
	check(c, "in place")
	s.mail(7)
}

// TestQueuerReplaced: a new qmail-queue takes over with the next message.
func TestQueuerReplaced(t *testing.T) {
	s := start(t)
	c := s.connect(s.listening())
	old, first := c.stays()
	data, err := os.ReadFile(s.Path("bin/qmail-queue"))
	s.ok(err)
	s.ok(os.WriteFile(s.Path("bin/new"), data, 0o755))
	s.ok(os.Rename(s.Path("bin/new"), s.Path("bin/qmail-queue")))
	if qp := c.message("a: b\n\n"); qp == old {
		t.Errorf("the old one, %d, has queued another message", old)
	}
	current, then := c.stays()
	if current == old {
		t.Errorf("the old one, %d, stays", old)
	}
	s.mail(first + 1 + then)
}

// TestQueuerKilled: one that dies in the middle of a message is a temporary
// failure and leaves nothing behind that counts; one that dies between two
// costs nothing.
func TestQueuerKilled(t *testing.T) {
	s := start(t)
	c := s.connect(s.listening())
	qp, first := c.stays()
	s.mail(first)
	s.empty()

	c.data()
	c.say(strings.ReplaceAll(lines(500000), "\n", "\r\n"))
	s.until("a file of it", func() bool {
		files, err := filepath.Glob(s.Path("queue/mess/*/*"))
		return err == nil && len(files) > 0
	})
	s.ok(syscall.Kill(qp, syscall.SIGKILL))
	c.say(".\r\n")
	c.replied("451 qq crashed (#4.3.0)\r\n")

	qp, then := c.stays()
	s.ok(syscall.Kill(qp, syscall.SIGKILL))
	s.until("it to be gone", func() bool { return syscall.Kill(qp, 0) == syscall.ESRCH })
	if c.message("a: b\n\n") == qp {
		t.Error("a dead one has queued a message")
	}
	s.mail(first + then + 1)
}

// TestQueuerGivesUp: a client that goes away in the middle of a message, small
// or large, leaves nothing behind, and others are served.
func TestQueuerGivesUp(t *testing.T) {
	s := start(t)
	addr := s.listening()
	s.connect(addr).message("a: b\n\n")
	for _, n := range []int{1, 100000} {
		c := s.connect(addr)
		c.data()
		c.say(strings.ReplaceAll(lines(n), "\n", "\r\n"))
		c.out.(net.Conn).Close()
		s.connect(addr).message("a: b\n\n")
	}
	s.mail(3)
	s.empty()
}

// TestQueuerOfStranger: whoever makes a qmail-queue stay queues under his own
// name, as ever, and gets nowhere with nonsense.
func TestQueuerOfStranger(t *testing.T) {
	s := layOut(t)
	path := s.Path("bin/qmail-queue")
	text, envelope := s.Path("text"), s.Path("envelope")
	s.write("text", "a: b\n\n")
	s.write("envelope", "Fa@x\x00Tyou@demo.example\x00\x00")
	open := func(path string) fdio.FD {
		f, err := fdio.Open(path, syscall.O_RDONLY, 0)
		s.ok(err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	cmd := &child.Command{Path: path, Args: []string{path}, Env: s.Env, Files: []fdio.FD{open(text), open(envelope), 2}}
	offer, err := resident.Extend(cmd, resident.NoOffer)
	s.ok(err)
	pid, err := cmd.Start()
	offer.Started()
	s.ok(err)
	if first, err := offer.Accepted(submit.Program); err != nil || string(first) != "\x00" {
		t.Fatalf("the first message: %q, %v", first, err)
	}
	for _, job := range []struct {
		name  string
		data  string
		files []fdio.FD
		code  byte
	}{
		{"nothing", "x", nil, 54},
		{"a length beyond the end", "ab\x00\x00\x00\x03", nil, 54},
		{"no envelope", "ab\x00\x00\x00\x02", nil, 54},
		{"an envelope of another kind", "abXc\x00\x00\x00\x00\x00\x02", nil, 91},
		{"one descriptor", "|", []fdio.FD{open(text)}, 54},
		{"three", "|", []fdio.FD{open(text), open(envelope), open(text)}, 54},
		{"what cannot be read", "|", []fdio.FD{open(s.Home), open(s.Home)}, 54},
		{"a message", "|", []fdio.FD{open(text), open(envelope)}, 0},
		{"one in one piece", "a: b\n\nFa@x\x00Tyou@demo.example\x00\x00\x00\x00\x00\x06", nil, 0},
	} {
		s.ok(offer.Conn.Send([]byte(job.data), job.files...))
		answer, _, err := offer.Conn.Receive(make([]byte, 10))
		if err != nil || string(answer) != string(job.code) {
			t.Errorf("%s: answer %q, %v, want %d", job.name, answer, err, job.code)
		}
	}
	offer.Conn.Close()
	status, err := child.Wait(pid)
	if err != nil || !status.Exited() {
		t.Errorf("it ended with %v, %v", status, err)
	}
	s.up()
	for _, m := range s.mail(3) {
		wantInOrder(t, m, fmt.Sprintf("Received: (qmail %d invoked by uid %d); ", pid, os.Getuid()), "\na: b\n\n")
	}
}
