package resident

import (
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// found starts a listener with a name of the test's own.
func found(t *testing.T) (name string, l *Listener) {
	t.Helper()
	name = "reqmail/test/" + strconv.Itoa(os.Getpid()) + "/" + t.Name()
	l, err := Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return name, l
}

// dial is Dial of one who waits until he is let in.
func dial(name, called string, uid int) (c *Conn, pid int, err error) {
	if c, err = Dial(name, uid, false); err != nil {
		return nil, 0, err
	}
	if pid, err = c.Greeted(called); err != nil {
		c.Close()
	}
	return c, pid, err
}

// TestFoundByName: who comes gets answers, with descriptors, to as many
// datagrams as he likes; one listener has a name.
func TestFoundByName(t *testing.T) {
	name, l := found(t)
	if other, err := Listen(name); err == nil {
		other.Close()
		t.Error("two listen under one name")
	}
	go func() {
		for {
			c, err := l.Accept(os.Geteuid())
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.Welcome("test")
				for {
					data, files, err := c.ReceiveWhole()
					if err != nil {
						return
					}
					n := 0
					if len(files) == 1 {
						text, _ := io.ReadAll(files[0])
						n = len(text)
					}
					Close(files)
					_ = c.Send([]byte(strconv.Itoa(len(data)) + " " + strconv.Itoa(n)))
				}
			}()
		}
	}()
	for range 3 {
		c, pid, err := dial(name, "test", os.Geteuid())
		if err != nil {
			t.Fatal(err)
		}
		if pid != os.Getpid() {
			t.Errorf("process %d, want %d", pid, os.Getpid())
		}
		for size := 1; size <= MaxDatagram; size *= 16 {
			r, w, err := fdio.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.WriteString("abc")
			w.Close()
			if err := c.Send(make([]byte, size), r); err != nil {
				t.Fatal(err)
			}
			r.Close()
			answer, _, err := c.Receive(make([]byte, 100))
			if want := strconv.Itoa(size) + " 3"; err != nil || string(answer) != want {
				t.Errorf("answer %q, %v, want %q", answer, err, want)
			}
		}
		c.Close()
	}
}

// TestAdopt: a socket is taken over under its own name only, and works.
func TestAdopt(t *testing.T) {
	name := "reqmail/test/" + strconv.Itoa(os.Getpid()) + "/" + t.Name()
	l, err := Listen(name)
	if err != nil {
		t.Fatal(err)
	}
	copied := func() fdio.FD {
		fd, err := syscall.Dup(int(l.Socket()))
		if err != nil {
			t.Fatal(err)
		}
		return fdio.FD(fd)
	}
	other := copied()
	if _, err := Adopt(other, name+"x"); err == nil {
		t.Error("it was taken over under another name")
	}
	other.Close()
	heir, err := Adopt(copied(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	l.Close()
	go func() {
		if c, err := heir.Accept(os.Geteuid()); err == nil {
			_ = c.Welcome("test")
		}
	}()
	c, pid, err := dial(name, "test", os.Geteuid())
	if err != nil || pid != os.Getpid() {
		t.Fatal(pid, err)
	}
	c.Close()
}

// TestStrangers: neither side takes another user for the one it looks for, or
// another program.
func TestStrangers(t *testing.T) {
	name, l := found(t)
	accepted := make(chan error)
	accept := func(uid int) {
		c, err := l.Accept(uid)
		if err == nil {
			_ = c.Welcome("test")
			c.Close()
		}
		accepted <- err
	}
	go accept(os.Geteuid() + 1)
	if _, _, err := dial(name, "test", os.Geteuid()); err == nil {
		t.Error("a stranger was let in")
	}
	if err := <-accepted; !errors.Is(err, ErrStranger) {
		t.Errorf("accepted: %v", err)
	}
	if _, _, err := dial(name, "test", os.Geteuid()+1); !errors.Is(err, ErrStranger) {
		t.Errorf("dialled to a stranger: %v", err)
	}
	go accept(os.Geteuid())
	<-accepted // the one that went
	go accept(os.Geteuid())
	if _, _, err := dial(name, "other", os.Geteuid()); err == nil {
		t.Error("dialled to another program")
	}
	<-accepted
	if _, _, err := dial(name+"x", "test", os.Geteuid()); err == nil {
		t.Error("dialled to nobody")
	}
}

// TestRefuse: what was sent before is received, what comes after fails.
func TestRefuse(t *testing.T) {
	name, l := found(t)
	inside := make(chan *Conn)
	go func() {
		c, err := l.Accept(os.Geteuid())
		if err != nil {
			t.Error(err)
		}
		_ = c.Welcome("test")
		inside <- c
	}()
	c, _, err := dial(name, "test", os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	theirs := <-inside
	defer theirs.Close()
	if err := c.Send([]byte("before")); err != nil {
		t.Fatal(err)
	}
	theirs.Refuse()
	if err := c.Send([]byte("after")); err == nil {
		t.Error("sent to who refuses")
	}
	if data, _, err := theirs.ReceiveWhole(); string(data) != "before" {
		t.Errorf("received %q, %v", data, err)
	}
	if data, _, err := theirs.ReceiveWhole(); err != io.EOF {
		t.Errorf("received %q, %v", data, err)
	}
	if err := theirs.Send([]byte("answer")); err != nil {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if data, _, err := c.Receive(make([]byte, 10)); string(data) != "answer" {
		t.Errorf("the answer: %q, %v", data, err)
	}
}

// TestFullBacklog: who lets nobody in is nobody to wait for, however many have
// come.
func TestFullBacklog(t *testing.T) {
	name, _ := found(t)
	var waiting []fdio.FD
	defer func() { Close(waiting) }()
	for range 2 * backlog {
		fd, err := abstract()
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, fd)
		if err = syscall.Connect(int(fd), &syscall.SockaddrUnix{Name: "@" + name}); err == syscall.EAGAIN {
			break
		}
	}
	began := time.Now()
	if _, _, err := dial(name, "test", os.Geteuid()); err == nil {
		t.Error("somebody answered")
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
}
