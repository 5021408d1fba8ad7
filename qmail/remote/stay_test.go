package remote

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/errand"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/resident"
)

// desk is a host that counts connections and messages.
type desk struct {
	port string
	// answer returns what to say to a command, "" for consent, "close" to
	// close the connection; n is how many messages came over it before.
	answer func(conn, n int, command string) string

	mu       sync.Mutex
	conns    int
	messages []posted
	commands []string
}

// posted is a message that the host took.
type posted struct {
	conn       int
	recipients []string
	text       string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	listener, port := listen(t)
	d := &desk{port: port, answer: func(int, int, string) string { return "" }}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns++
			n := d.conns
			d.mu.Unlock()
			go d.converse(conn, n)
		}
	}()
	return d
}

var consent = map[string]string{
	"": "220 hi", "EHLO": "250-hi\r\n250-SIZE\r\n250 PIPELINING", "DATA": "354 go", "QUIT": "221 bye", ".": "250 got it",
}

func (d *desk) converse(conn net.Conn, number int) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	n, m, begun := 0, posted{conn: number}, false
	for command := ""; ; {
		verb, _, _ := strings.Cut(command, " ")
		reply := d.answers()(number, n, command)
		if reply == "" && (verb == "RCPT" && !begun || verb == "DATA" && len(m.recipients) == 0) {
			reply = "503 bad sequence"
		}
		taken := reply == ""
		begun = taken && verb == "MAIL" || begun && verb != "."
		if taken {
			if reply = consent[verb]; reply == "" {
				reply = "250 ok"
			}
		}
		if verb == "." {
			if n++; taken {
				d.mu.Lock()
				d.messages = append(d.messages, m)
				d.mu.Unlock()
			}
			m = posted{conn: number}
		}
		if reply == "close" {
			// What was said before must arrive, whatever else is on its way here.
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		fmt.Fprintf(conn, "%s\r\n", reply)
		if verb == "RCPT" && taken {
			m.recipients = append(m.recipients, strings.Trim(command[len("RCPT TO:"):], "<>"))
		}
		if verb == "QUIT" {
			return
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if verb == "DATA" && taken {
			for m.text = ""; err == nil && line != ".\r\n"; line, err = in.ReadString('\n') {
				m.text += line
			}
		}
		command = strings.TrimSuffix(line, "\r\n")
		d.mu.Lock()
		d.commands = append(d.commands, command)
		d.mu.Unlock()
	}
}

func (d *desk) answers() func(conn, n int, command string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answer
}

// say has the host answer otherwise.
func (d *desk) say(answer func(conn, n int, command string) string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

func (d *desk) seen() (conns int, messages []posted) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conns, slices.Clone(d.messages)
}

// customer sends jobs to a depot and takes its answers.
type customer struct {
	t     *testing.T
	depot *depot
	home  string
	post  *resident.Post
	last  uint32
}

// stay starts a depot.
func stay(t *testing.T, control map[string]string) *customer {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*resident.Post
	for i, fd := range fds {
		t.Setenv("REQMAIL_STAYS", strconv.Itoa(fd))
		if ends[i] = resident.TakeOver(); ends[i] == nil {
			t.Fatal("no socket")
		}
	}
	home := qmailHome(t, control)
	c := &customer{t: t, home: home, post: ends[0], depot: newDepot(ends[1], home, nil)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.depot.serve()
	}()
	t.Cleanup(func() {
		c.post.Close()
		<-done
	})
	c.settle()
	return c
}

// settle waits until the control files are old enough to be kept in memory.
func (c *customer) settle() {
	c.t.Helper()
	eventually(c.t, "the control files to be old", func() bool {
		one, _ := c.depot.config.get()
		two, _ := c.depot.config.get()
		return one == two
	})
}

// message makes a message file.
func (c *customer) message(text string) string {
	c.t.Helper()
	f, err := os.CreateTemp(c.home, "message")
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
	return f.Name()
}

// send sends a job, without waiting for its end.
func (c *customer) send(message, sender, recipient string) uint32 {
	c.t.Helper()
	in, err := fdio.Open(message, syscall.O_RDONLY, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer in.Close()
	c.last++
	_, host, _ := strings.Cut(recipient, "@")
	if err := c.post.Send(errand.Job{Number: c.last, Host: host, Sender: sender, Recipient: recipient}.Append(nil), in); err != nil {
		c.t.Fatal(err)
	}
	return c.last
}

// receive returns the outputs of n jobs by their numbers; "declined" for one
// that was.
func (c *customer) receive(n int) map[uint32]string {
	c.t.Helper()
	outputs := map[uint32]string{}
	_ = c.post.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, resident.MaxDatagram); len(outputs) < n; {
		data, _, err := c.post.Receive(buf)
		if err != nil {
			c.t.Fatal(err)
		}
		a, ok := errand.ParseAnswer(data)
		switch {
		case !ok:
			c.t.Fatalf("%q is no answer", data)
		case a.Kind == errand.Done:
			outputs[a.Number] = string(a.Output)
		case a.Kind == errand.Declined:
			outputs[a.Number] = "declined"
		}
	}
	return outputs
}

// deliver delivers a message of its own and returns the output.
func (c *customer) deliver(recipient string) string {
	c.t.Helper()
	n := c.send(c.message("text\n"), "s@x.example", recipient)
	return c.receive(1)[n]
}

func (c *customer) control(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.home, "control", name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func routeTo(d *desk) map[string]string {
	return map[string]string{"me": "me.example\n", "smtproutes": ":127.0.0.1:" + d.port + "\n"}
}

// eventually fails unless something comes to be so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 seconds", what)
		}
	}
}

const gotIt = "r\x00K127.0.0.1 accepted message.\nRemote host said: 250 got it\n\x00"

// TestReuse: messages follow each other over one connection, which is taken
// leave of when none has come for a while.
func TestReuse(t *testing.T) {
	d := newDesk(t)
	c := stay(t, routeTo(d))
	c.control("connectionreuse", "1\n")
	c.settle()
	for i := range 3 {
		if got := c.deliver("r@y.example"); got != gotIt {
			t.Errorf("message %d: got %q", i, got)
		}
	}
	conns, messages := d.seen()
	if conns != 1 || len(messages) != 3 || messages[2].text != "text\r\n" {
		t.Errorf("%d connections for %+v", conns, messages)
	}
	eventually(t, "QUIT", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.commands[len(d.commands)-1] == "QUIT"
	})
}

// TestReuseIsSilent: what a host does to a connection that has served before
// is not seen in any report, and no message is sent twice.
func TestReuseIsSilent(t *testing.T) {
	second := func(verb, reply string) func(int, int, string) string {
		return func(_, n int, command string) string {
			if n > 0 && strings.HasPrefix(command, verb) {
				return reply
			}
			return ""
		}
	}
	for _, test := range []struct {
		name   string
		answer func(conn, n int, command string) string
		reuse  string
		conns  int
	}{
		{"the host wants no second message", second("MAIL", "421 enough"), "60\n", 3},
		{"not now", second("MAIL", "451 too many"), "60\n", 3},
		{"never", second("MAIL", "503 what"), "60\n", 3},
		{"it closes", second("MAIL", "close"), "60\n", 3},
		{"it closes sooner", func(_, n int, command string) string {
			if command == "." {
				return "250 got it\r\n421 bye"
			}
			return ""
		}, "60\n", 3},
		{"switched off", second("MAIL", "553 never asked"), "0\n", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.say(test.answer)
			c := stay(t, routeTo(d))
			c.control("connectionreuse", test.reuse)
			c.settle()
			for range 3 {
				if got := c.deliver("r@y.example"); !strings.HasPrefix(got, gotIt[:len(gotIt)-1]) && !strings.Contains(got, "got it") {
					t.Errorf("got %q", got)
				}
			}
			conns, messages := d.seen()
			if test.name != "it closes sooner" && (conns != test.conns || len(messages) != 3) {
				t.Errorf("%d connections, %d messages, want %d, 3", conns, len(messages), test.conns)
			}
		})
	}
}

// TestReuseOfTheHealthy: a connection whose message did not go well is not
// kept, nor is one that has had its share.
func TestReuseOfTheHealthy(t *testing.T) {
	d := newDesk(t)
	d.say(func(_, _ int, command string) string {
		if strings.HasPrefix(command, "RCPT TO:<bad") {
			return "550 no"
		}
		return ""
	})
	c := stay(t, routeTo(d))
	if got, want := c.deliver("bad@y.example"), "h127.0.0.1 does not like recipient.\nRemote host said: 550 no\n\x00DGiving up on 127.0.0.1.\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for range mostMessages + 1 {
		if got := c.deliver("good@y.example"); got != gotIt {
			t.Fatalf("got %q", got)
		}
	}
	if conns, messages := d.seen(); conns != 3 || len(messages) != mostMessages+1 {
		t.Errorf("%d connections, %d messages", conns, len(messages))
	}
}

// TestChangesAreSeen: the next delivery goes by control files as they are.
func TestChangesAreSeen(t *testing.T) {
	a, b := newDesk(t), newDesk(t)
	c := stay(t, routeTo(a))
	for i, step := range []struct {
		name, text string
		host       *desk
		greeting   string
	}{
		{"smtproutes", routeTo(a)["smtproutes"], a, "EHLO me.example"},
		{"smtproutes", routeTo(b)["smtproutes"], b, "EHLO me.example"},
		{"helohost", "a.example\n", b, "EHLO a.example"},
		{"helohost", "b.example\n", b, "EHLO b.example"},
		{"smtproutes", routeTo(a)["smtproutes"], a, "EHLO b.example"},
	} {
		c.control(step.name, step.text)
		before, _ := step.host.seen()
		if got := c.deliver("r@y.example"); got != gotIt {
			t.Errorf("%d: got %q", i, got)
		}
		step.host.mu.Lock()
		if i > 0 && (step.host.conns != before+1 || !slices.Contains(step.host.commands, step.greeting)) {
			t.Errorf("%d: %q after %d connections, want %q", i, step.host.commands, step.host.conns, step.greeting)
		}
		step.host.mu.Unlock()
	}
	path := filepath.Join(c.home, "control/helohost")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, want := c.deliver("r@y.example"), "ZUnable to read control files. (#4.3.0)\n\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// together sends a message to many while the host keeps its greeting back, and
// returns the outputs in the recipients' order.
func together(t *testing.T, d *desk, c *customer, gathered int, recipients ...string) []string {
	t.Helper()
	c.settle()
	open := make(chan struct{})
	greet := sync.OnceFunc(func() { close(open) })
	t.Cleanup(greet) // the depot waits for its deliveries
	answer := d.answers()
	d.say(func(conn, n int, command string) string {
		if command == "" {
			<-open
		}
		return answer(conn, n, command)
	})
	message := c.message("text\n")
	for _, r := range recipients {
		c.send(message, "s@x.example", r)
	}
	eventually(t, "all to be waiting", func() bool {
		c.depot.mu.Lock()
		defer c.depot.mu.Unlock()
		waiting := 0
		for _, g := range c.depot.gathering {
			waiting += len(g.jobs)
		}
		return waiting == gathered && len(c.depot.jobs) == len(recipients)
	})
	greet()
	outputs := c.receive(len(recipients))
	var list []string
	for i := range recipients {
		list = append(list, outputs[c.last-uint32(len(recipients)-1-i)])
	}
	return list
}

// TestTogether: recipients of a message on one host share a transaction, and
// each gets the report that he would have alone.
func TestTogether(t *testing.T) {
	refused := func(code, text string) string {
		return code + "127.0.0.1 does not like recipient.\nRemote host said: " + text + "\n\x00DGiving up on 127.0.0.1.\n\x00"
	}
	const died = "ZConnected to 127.0.0.1 but connection died. (#4.4.2)\n\x00"
	to := func(verb, reply string) func(int, int, string) string {
		return func(_, _ int, command string) string {
			if strings.HasPrefix(command, verb) {
				return reply
			}
			return ""
		}
	}
	third := func(verb, reply string) func(int, int, string) string {
		n := 0
		return func(_, _ int, command string) string {
			if strings.HasPrefix(command, verb) {
				if n++; n == 3 {
					return reply
				}
			}
			return ""
		}
	}
	same := func(output string) []string { return []string{output, output, output} }
	for _, test := range []struct {
		name   string
		answer func(conn, n int, command string) string
		want   []string
		sent   [][]string // recipients of each message that was taken
	}{
		{"all is well", to("none", ""), same(gotIt), [][]string{{"a@y.example", "b@y.example", "c@z.example"}}},
		{"one is refused", to("RCPT TO:<b", "550 no"), []string{gotIt, refused("h", "550 no"), gotIt}, [][]string{{"a@y.example", "c@z.example"}}},
		{"all are", to("RCPT", "450 no"), same(refused("s", "450 no")), nil},
		{"the sender is", to("MAIL", "550 no"), same("DConnected to 127.0.0.1 but sender was rejected.\nRemote host said: 550 no\n\x00"), nil},
		{"the message is", to(".", "554 spam"), same("r\x00D127.0.0.1 failed after I sent the message.\nRemote host said: 554 spam\n\x00"), nil},
		{"the connection breaks", third("RCPT", "close"), []string{"r\x00" + died, "r\x00" + died, died}, nil},
		{"the name is refused", to("EHLO", "550 no"), same("ZConnected to 127.0.0.1 but my name was rejected.\nRemote host said: 550 no\n\x00"), nil},
		{"the host takes one at a time", func(_, _ int, command string) string {
			if strings.HasPrefix(command, "EHLO") {
				return "250 hi"
			}
			return ""
		}, same(gotIt), [][]string{{"a@y.example"}, {"b@y.example"}, {"c@z.example"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			d.say(test.answer)
			got := together(t, d, stay(t, routeTo(d)), 3, "a@y.example", "b@y.example", "c@z.example")
			if !slices.Equal(sorted(got), sorted(test.want)) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			var sent [][]string
			_, messages := d.seen()
			for _, m := range messages {
				slices.Sort(m.recipients)
				sent = append(sent, m.recipients)
			}
			slices.SortFunc(sent, slices.Compare)
			if fmt.Sprint(sent) != fmt.Sprint(test.sent) {
				t.Errorf("sent to %q, want %q", sent, test.sent)
			}
		})
	}
}

// sorted is there because which job leads, and so which recipient is named
// first, is a matter of luck.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// TestTooManyTogether: recipients that a host does not take in one
// transaction, or that control/transactionrecipients does not, go in others.
func TestTooManyTogether(t *testing.T) {
	recipients := []string{"a@y", "b@y", "c@y", "d@y", "e@y"}
	for _, test := range []struct {
		name     string
		limit    string
		refusal  string // of the third recipient
		gathered int
		least    int // messages
		together int // recipients of each, at most
		conns    int // 0: as many as there are
	}{
		{"452", "100\n", "452 too many", 5, 3, 2, 1},
		{"552", "100\n", "552 too many", 5, 3, 2, 1},
		{"by control file", "2\n", "", 1, 3, 2, 0},
		{"switched off", "1\n", "", 0, 5, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDesk(t)
			var mu sync.Mutex
			named := map[int]int{}
			d.say(func(conn, _ int, command string) string {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case strings.HasPrefix(command, "MAIL"):
					named[conn] = 0
				case strings.HasPrefix(command, "RCPT"):
					if named[conn]++; named[conn] > 2 {
						return test.refusal
					}
				}
				return ""
			})
			c := stay(t, routeTo(d))
			c.control("transactionrecipients", test.limit)
			for i, got := range together(t, d, c, test.gathered, recipients...) {
				if got != gotIt {
					t.Errorf("%s: got %q", recipients[i], got)
				}
			}
			conns, messages := d.seen()
			var served []string
			for _, m := range messages {
				served = append(served, m.recipients...)
				if len(m.recipients) > test.together {
					t.Errorf("together: %q", m.recipients)
				}
			}
			if len(messages) < test.least || test.conns > 0 && conns != test.conns || !slices.Equal(sorted(served), recipients) {
				t.Errorf("%d connections, messages %+v", conns, messages)
			}
		})
	}
}

// TestApart: other messages, senders and routes do not mix.
func TestApart(t *testing.T) {
	d, other := newDesk(t), newDesk(t)
	c := stay(t, map[string]string{"me": "me.example\n", "smtproutes": "z.example:127.0.0.1:" + other.port + "\n" + routeTo(d)["smtproutes"]})
	one, two := c.message("one\n"), c.message("two\n")
	c.send(one, "s@x.example", "a@y.example")
	c.send(two, "s@x.example", "b@y.example")
	c.send(one, "other@x.example", "c@y.example")
	c.send(one, "s@x.example", "d@z.example")
	for n, got := range c.receive(4) {
		if got != gotIt {
			t.Errorf("%d: got %q", n, got)
		}
	}
	_, messages := d.seen()
	_, more := other.seen()
	for _, m := range append(messages, more...) {
		if len(m.recipients) != 1 {
			t.Errorf("together: %q", m.recipients)
		}
	}
	if len(messages) != 3 || len(more) != 1 {
		t.Errorf("%d and %d messages", len(messages), len(more))
	}
}

// TestApartUnicode: a recipient that a host cannot be told fails alone.
func TestApartUnicode(t *testing.T) {
	d := newDesk(t)
	files := routeTo(d)
	files["me"], files["smtputf8"] = "me.example\n", "1\n"
	c := stay(t, files)
	one := c.message("one\n")
	plain, beyond := c.send(one, "s@x.example", "a@y.example"), c.send(one, "s@x.example", "ä@y.example")
	got := c.receive(2)
	if got[plain] != gotIt || !strings.HasPrefix(got[beyond], "D") {
		t.Errorf("got %q and %q", got[plain], got[beyond])
	}
}

// TestDeclinesWithoutMessage: a job whose message does not get in is not done
// here.
func TestDeclinesWithoutMessage(t *testing.T) {
	d := newDesk(t)
	c := stay(t, routeTo(d))
	j := errand.Job{Number: 7, Host: "y.example", Sender: "s@x.example", Recipient: "a@y.example"}
	if err := c.post.Send(j.Append(nil)); err != nil {
		t.Fatal(err)
	}
	data, _, err := c.post.Receive(make([]byte, resident.MaxDatagram))
	if a, ok := errand.ParseAnswer(data); err != nil || !ok || a.Number != j.Number || a.Kind != errand.Declined {
		t.Errorf("got %+v, %v", a, err)
	}
	if got := c.deliver("b@y.example"); got != gotIt {
		t.Errorf("afterwards: %q", got)
	}
}

// TestOneHangs: a silent host holds up nobody else's mail.
func TestOneHangs(t *testing.T) {
	silent, d := newDesk(t), newDesk(t)
	over := make(chan struct{})
	silent.say(func(int, int, string) string { <-over; return "close" })
	c := stay(t, map[string]string{"me": "me.example\n", "smtproutes": "z.example:127.0.0.1:" + silent.port + "\n" + routeTo(d)["smtproutes"]})
	for range 20 {
		c.send(c.message("one\n"), "s@x.example", "a@z.example")
	}
	n := c.send(c.message("two\n"), "s@x.example", "b@y.example")
	if got := c.receive(1)[n]; got != gotIt {
		t.Errorf("got %q", got)
	}
	close(over)
	c.receive(20)
}
