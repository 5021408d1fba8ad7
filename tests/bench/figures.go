package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/reqmail/reqmail/tests/host"
)

// The units of figures.
const (
	perSecond = "msg/s"
	millis    = "ms each"
)

// figure is something that is measured: take does it for all of a run's
// messages.
type figure struct {
	name, unit string
	prepare    func(*run) error
	take       func(*run) error
}

var figures = []figure{
	{"qmail-queue", millis, nil, (*run).queueAll},
	{"qmail-inject", millis, nil, func(r *run) error { return r.inject(1, local) }},
	{"inject to Maildir", perSecond, (*run).start, func(r *run) error { return r.both(r.inject(2, local), r.arrived) }},
	{"backlog to Maildir", perSecond, (*run).queueAll, func(r *run) error { return r.both(r.start(), r.arrived) }},
	{"relay", perSecond, (*run).queueForRelay, func(r *run) error { return r.both(r.start(), r.relayed) }},
	{"one to many", perSecond, (*run).queueOneForMany, func(r *run) error { return r.both(r.start(), r.relayed) }},
	{"SMTP in, one each", perSecond, (*run).listen, func(r *run) error { return r.sessions(1) }},
	{"SMTP in, many each", perSecond, (*run).listen, func(r *run) error { return r.sessions(perSession) }},
	{"SMTP in, Maildir out", perSecond, func(r *run) error { return r.both(r.listen(), r.start) }, func(r *run) error { return r.both(r.sessions(1), r.arrived) }},
}

// run is one home in which a figure is taken.
type run struct {
	*host.Host
	n        int
	patience time.Duration
	sink     *host.Remote
	smtpd    *exec.Cmd
	address  string // of smtpd
}

func (r *run) close() {
	if r.sink != nil {
		r.sink.Stop()
	}
	if r.smtpd != nil {
		_ = r.smtpd.Process.Kill()
		_ = r.smtpd.Wait()
	}
}

// both goes on after a first step that went well.
func (r *run) both(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

const local = host.User + "@" + host.Name

// message is about two kilobytes.
func message(n int) string {
	return fmt.Sprintf("Subject: message %d\nX-Number: %d\n\n%s", n, n, strings.Repeat("A line of a message that is there to be measured.\n", 40))
}

func (r *run) start() error { return r.Start(r.Path("log"), "./Maildir/") }

// queueAll queues local messages with qmail-queue, one after the other.
func (r *run) queueAll() error { return r.queue(r.n, local) }

func (r *run) queue(n int, recipients ...string) error {
	envelope, err := os.CreateTemp(r.Home, "envelope.")
	if err != nil {
		return err
	}
	defer envelope.Close()
	if _, err := fmt.Fprintf(envelope, "Fsender@%s\x00T%s\x00\x00", host.Name, strings.Join(recipients, "\x00T")); err != nil {
		return err
	}
	for i := range n {
		cmd := r.Command("qmail-queue")
		cmd.Stdin = strings.NewReader(message(i))
		if _, err := envelope.Seek(0, 0); err != nil {
			return err
		}
		cmd.Stdout = envelope
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("qmail-queue: %w", err)
		}
	}
	return nil
}

// inject runs qmail-inject in several loops.
func (r *run) inject(loops int, to string) error {
	return r.inParallel(loops, func(i int) error {
		out, err := r.Run(message(i), "qmail-inject", to)
		if err != nil {
			return fmt.Errorf("qmail-inject: %w: %s", err, out)
		}
		return nil
	})
}

// inParallel does something for each of the messages in several loops.
func (r *run) inParallel(loops int, do func(i int) error) error {
	failures := make([]error, loops)
	var all sync.WaitGroup
	for loop := range loops {
		all.Go(func() {
			for i := loop; i < r.n && failures[loop] == nil; i += loops {
				failures[loop] = do(i)
			}
		})
	}
	all.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// arrived waits until every message is in the mailbox.
func (r *run) arrived() error {
	count := 0
	err := host.Within(r.patience, "all mail in the mailbox", func() bool {
		files, _ := os.ReadDir(r.Path("mail/Maildir/new"))
		count = len(files)
		return count >= r.n
	})
	if err == nil && count > r.n {
		err = fmt.Errorf("%d messages arrived, of %d", count, r.n)
	}
	return err
}

// relay makes a host that takes all mail, without latency.
func (r *run) relay() (err error) {
	if r.sink, err = host.StartRemote("sink.example"); err != nil {
		return err
	}
	return r.Control("smtproutes", fmt.Sprintf(":127.0.0.1:%d\n", r.sink.Port))
}

func (r *run) queueForRelay() error {
	return r.both(r.relay(), func() error { return r.queue(r.n, "someone@remote.example") })
}

// queueOneForMany queues a message for as many recipients, in 50 domains.
func (r *run) queueOneForMany() error {
	var recipients []string
	for i := range r.n {
		recipients = append(recipients, fmt.Sprintf("r%d@d%d.example", i, i%50))
	}
	return r.both(r.relay(), func() error { return r.queue(1, recipients...) })
}

// relayed waits until the host was asked about every recipient and has every
// message.
func (r *run) relayed() error {
	asked := 0
	err := host.Within(r.patience, "all mail at the remote host", func() bool {
		out, _ := r.Run("", "qmail-qstat")
		asked = r.sink.Asked()
		return asked >= r.n && strings.HasPrefix(out, "messages in queue: 0\n")
	})
	if err == nil && asked > r.n {
		err = fmt.Errorf("%d recipients were named, of %d", asked, r.n)
	}
	return err
}

// listen starts qmail-smtpd in its listening mode.
func (r *run) listen() error {
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.address = free.Addr().String()
	free.Close()
	if err := r.Control("rcpthosts", host.Name+"\n"); err != nil {
		return err
	}
	r.smtpd = r.Command("qmail-smtpd", "-l", r.address, "-H", "-c", "100", "-C", "100")
	r.smtpd.Stderr = os.Stderr
	if err := r.smtpd.Start(); err != nil {
		return err
	}
	return host.Until("qmail-smtpd to listen", func() bool {
		conn, err := net.Dial("tcp4", r.address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// How SMTP comes in: so many sessions at a time, and so many messages in one
// that has several.
const (
	atATime    = 20
	perSession = 20
)

// sessions sends the messages to qmail-smtpd, so many in each session.
func (r *run) sessions(each int) error {
	var open [atATime]*client
	err := r.inParallel(atATime, func(i int) (err error) {
		c := open[i%atATime]
		if c == nil || c.sent == each {
			c.end()
			if c, err = r.dial(); err != nil {
				return err
			}
			open[i%atATime] = c
		}
		return c.send(message(i))
	})
	for _, c := range open {
		c.end()
	}
	return err
}

// client is an SMTP session.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	sent int
}

func (r *run) dial() (*client, error) {
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReader(conn)}
	if err := c.conn.SetDeadline(time.Now().Add(r.patience)); err != nil {
		return nil, err
	}
	if err := c.reply("220"); err != nil {
		return nil, err
	}
	return c, c.say("HELO bench.example\r\n", "250")
}

func (c *client) send(text string) error {
	for _, step := range [][2]string{
		{"MAIL FROM:<sender@bench.example>\r\n", "250"},
		{"RCPT TO:<" + local + ">\r\n", "250"},
		{"DATA\r\n", "354"},
		{strings.ReplaceAll(text, "\n", "\r\n") + ".\r\n", "250"},
	} {
		if err := c.say(step[0], step[1]); err != nil {
			return err
		}
	}
	c.sent++
	return nil
}

func (c *client) say(text, want string) error {
	if _, err := c.conn.Write([]byte(text)); err != nil {
		return err
	}
	return c.reply(want)
}

// reply reads a reply of one line.
func (c *client) reply(want string) error {
	line, err := c.in.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, want) {
		err = fmt.Errorf("qmail-smtpd says %q, not %s", line, want)
	}
	return err
}

// end ends a session, if there is one.
func (c *client) end() {
	if c != nil {
		_ = c.say("QUIT\r\n", "221")
		c.conn.Close()
	}
}
