package resident

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/child"
	"github.com/reqmail/reqmail/compat/fdio"
)

// stay names, in the environment of the test's own binary, that it is to be a
// child: it prints "first", stays if it may, and answers each job with what the
// job's descriptor has to say.
const stay = "RESIDENT_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(stay) != "" {
		os.Exit(beChild())
	}
	if os.Getenv(serve) != "" {
		os.Exit(beServed())
	}
	os.Exit(m.Run())
}

func beChild() int {
	post := Invited()
	if _, there := os.LookupEnv(Variable); there {
		return 9
	}
	_, _ = fdio.FD(1).WriteString("first")
	if post == nil || Detach() != nil || post.Stay("test", []byte("done")) != nil {
		return 7
	}
	buf := make([]byte, MaxDatagram)
	for {
		data, files, err := post.Receive(buf)
		if err != nil {
			return 0
		}
		text, _ := io.ReadAll(files[0])
		Close(files)
		if post.Send(append(data, text...)) != nil {
			return 8
		}
	}
}

// start starts a program with an offer and returns the offer, its process and
// what it prints until its descriptor 1 is closed.
func start(t *testing.T, path string) (o *Offer, pid int, printed string) {
	t.Helper()
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := &child.Command{Path: path, Args: []string{path}, Env: append(os.Environ(), stay+"=1"), Files: []fdio.FD{child.Closed, w, 2}}
	if o, err = Extend(cmd, NoOffer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Conn.Close() })
	pid, err = cmd.Start()
	o.Started()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return o, pid, string(text)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// end is how a process ends that should do so by itself.
func end(t *testing.T, pid int) int {
	t.Helper()
	status, err := child.Wait(pid)
	if err != nil {
		t.Fatal(err)
	}
	return status.ExitStatus()
}

func TestStay(t *testing.T) {
	o, pid, printed := start(t, self(t))
	first, err := o.Accepted("test")
	if err != nil || string(first) != "done" || printed != "first" {
		t.Fatalf("got %q, %v, %q", first, err, printed)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f, err := fdio.Open(path, syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Conn.Send([]byte("job "), f); err != nil {
			t.Fatal(err)
		}
		f.Close()
		answer, _, err := o.Conn.Receive(make([]byte, 100))
		if err != nil || string(answer) != "job text" {
			t.Fatalf("got %q, %v", answer, err)
		}
	}
	o.Conn.Close()
	if code := end(t, pid); code != 0 {
		t.Errorf("the child left with %d", code)
	}
}

// Whoever is not the program that the parent resolved ends with its first job.
func TestWrapper(t *testing.T) {
	wrapper := filepath.Join(t.TempDir(), "wrapper")
	if err := os.WriteFile(wrapper, []byte("#!/bin/sh\n# "+mark+"\nexec "+self(t)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	o, pid, printed := start(t, wrapper)
	if code := end(t, pid); code != 7 || printed != "first" {
		t.Errorf("exit %d, %q, want one job and an end", code, printed)
	}
	if _, err := o.Accepted("test"); err != io.EOF {
		t.Errorf("accepted: %v, want the end", err)
	}
}

// A foreign program is run as ever: it would hand the socket down.
func TestForeignProgram(t *testing.T) {
	cmd := &child.Command{Path: "/bin/sh", Args: []string{"sh"}, Files: []fdio.FD{0, 1, 2}}
	if _, err := Extend(cmd, OfferToo); err != ErrForeign || len(cmd.Files) != firstSocket || cmd.Env != nil {
		t.Errorf("%v, %+v", err, cmd)
	}
}

// A child of another name or version is not kept.
func TestOtherVersion(t *testing.T) {
	o, pid, _ := start(t, self(t))
	if _, err := o.Accepted("other"); err != syscall.EPROTO {
		t.Errorf("got %v, want %v", err, syscall.EPROTO)
	}
	o.Conn.Close()
	end(t, pid)
}

func TestForeignVariable(t *testing.T) {
	r, w, err := fdio.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	of, err := Identify(self(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		"", ":", "3", "3:1:2:3", "1:2:3", "-1:1:1", "999999999999:1:1", "700:1:1", "x:1:1",
		invitation{w, of}.String(), // no socket
	} {
		t.Setenv(Variable, value)
		if invited(self(t)) != nil {
			t.Errorf("%q is taken for an offer", value)
		}
		if _, there := os.LookupEnv(Variable); there {
			t.Errorf("%q stays in the environment", value)
		}
	}
	if _, err := w.WriteString("x"); err != nil {
		t.Errorf("somebody else's descriptor was closed: %v", err)
	}
}

// Whoever takes a child's place goes on with its end of the offer; somebody
// else's descriptor is none.
func TestHandOver(t *testing.T) {
	c, other := pair(t, Identity{})
	variable, fd, err := (&Post{c.Conn}).HandOver()
	if err != nil {
		t.Fatal(err)
	}
	name, value, _ := strings.Cut(variable, "=")
	t.Setenv(name, value)
	post := TakeOver()
	if post == nil {
		t.Fatal("nothing was handed over")
	}
	defer post.Close()
	if _, there := os.LookupEnv(name); there || post.Send([]byte("x")) != nil {
		t.Error("the variable stays, or nothing can be sent")
	}
	if got, _, err := other.Receive(make([]byte, 9)); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, value := range []string{"", "0", "700", "x", strconv.Itoa(int(fd)) + " "} {
		t.Setenv(name, value)
		if TakeOver() != nil {
			t.Errorf("%q is taken for an offer", value)
		}
	}
}

func FuzzInvitation(f *testing.F) {
	f.Add("3:1:2")
	f.Fuzz(func(t *testing.T, value string) {
		i, ok := parseInvitation(value)
		if !ok {
			return
		}
		if again, ok := parseInvitation(i.String()); !ok || again != i || i.socket < firstSocket {
			t.Errorf("%q: %+v, then %+v", value, i, again)
		}
	})
}

// pair returns a child of a pool, and the other end of its socket.
func pair(t *testing.T, of Identity) (*Child, *Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Conn
	for i, fd := range fds {
		if ends[i], err = newConn(fdio.FD(fd)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return &Child{Conn: ends[0], Of: of}, ends[1]
}

// gone fails unless a child is let go within some seconds.
func gone(t *testing.T, other *Conn, why string) {
	t.Helper()
	if err := other.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Receive(make([]byte, 1)); err != io.EOF {
		t.Errorf("%s: %v, want its end", why, err)
	}
}

func TestPool(t *testing.T) {
	old, current := Identity{1, 1}, Identity{1, 2}
	p := Pool{Most: 2, Idle: time.Hour}
	a, _ := pair(t, current)
	b, otherB := pair(t, current)
	c, _ := pair(t, current)
	p.Keep("joe", b)
	p.Keep("joe", a)
	p.Keep("ann", c)
	gone(t, otherB, "the third one")
	if got := p.Take("joe", current); got != a {
		t.Errorf("joe: got %v, want the child that was kept", got)
	}
	if got := p.Take("joe", current); got != nil {
		t.Error("joe: the same child twice")
	}
	d, otherD := pair(t, old)
	p.Keep("joe", d)
	if p.Take("joe", current) != nil {
		t.Error("joe: a child of an executable that is not there any more")
	}
	gone(t, otherD, "an old one")
	p.Close()
	if p.Take("ann", current) != nil {
		t.Error("ann: a child of a closed pool")
	}
}

func TestPoolForgets(t *testing.T) {
	p := Pool{Most: 9, Idle: time.Millisecond}
	for range 3 {
		c, other := pair(t, Identity{})
		p.Keep("joe", c)
		gone(t, other, "a child that nobody needs")
	}
	if p.Take("joe", Identity{}) != nil {
		t.Error("one is still there")
	}
}

func TestTooLarge(t *testing.T) {
	c, other := pair(t, Identity{})
	if err := c.Send(make([]byte, MaxDatagram+1)); err != syscall.EMSGSIZE {
		t.Errorf("send: %v", err)
	}
	if err := c.Send([]byte(strings.Repeat("x", 100))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := other.Receive(make([]byte, 10)); err != syscall.EMSGSIZE {
		t.Errorf("receive: %v", err)
	}
}

// Who sends waits until the other side takes in what is there, or the end.
func TestSendWaits(t *testing.T) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*Conn
	for i, end := range ends {
		if conns[i], err = newConn(fdio.FD(end)); err != nil {
			t.Fatal(err)
		}
	}
	const many = 2000 // do not fit
	data := make([]byte, 1000)
	sent := make(chan error, many+1)
	go func() {
		for range many + 1 {
			sent <- conns[0].Send(data)
		}
	}()
	buf := make([]byte, MaxDatagram)
	for range many / 2 {
		if got, _, err := conns[1].Receive(buf); err != nil || len(got) != len(data) {
			t.Fatal(len(got), err)
		}
	}
	conns[0].Close()
	refused := 0
	for range many + 1 {
		if <-sent != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("all was sent")
	}
	for err == nil {
		_, _, err = conns[1].Receive(buf)
	}
	if err != io.EOF {
		t.Errorf("the end: %v", err)
	}
	conns[1].Close()
}
