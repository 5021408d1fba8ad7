package steer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serve listens in a queue of the test's own, whose path is too long for a
// socket's address, and answers each request by answer.
func serve(t *testing.T, answer func(c *Conn, r *Request)) (queue string) {
	t.Helper()
	queue = filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.MkdirAll(filepath.Join(queue, Folder), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(queue)
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					r, err := c.Receive()
					if err != nil {
						return
					}
					answer(c, r)
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return queue
}

func TestConversation(t *testing.T) {
	queue := serve(t, func(c *Conn, r *Request) {
		switch r.Verb {
		case VerbStatus:
			_ = c.Send(Answer{Done: true, Status: &Status{Messages: 3}})
		case VerbList:
			for range 3 {
				m := sample()
				m.Sender = r.Query.Filter.Sender
				_ = c.Send(Answer{Message: &m})
			}
			_ = c.Send(Answer{Done: true, Total: 9})
		case Hold:
			_ = c.Send(Answer{Done: true, Result: &Result{Touched: len(r.Act.Names)}})
		default:
			_ = c.Send(Answer{Done: true, Error: "no such verb"})
		}
	})
	c, err := Dial(queue)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s, err := c.Status(); err != nil || s.Messages != 3 {
		t.Errorf("status: %+v, %v", s, err)
	}
	var senders []string
	total, err := c.List(Query{Filter: Filter{Sender: "x\n\x1b"}}, func(m Message) error {
		senders = append(senders, m.Sender)
		return nil
	})
	if err != nil || total != 9 || len(senders) != 3 || senders[0] != "x\n\x1b" {
		t.Errorf("list: %q, %d, %v", senders, total, err)
	}
	if r, err := c.Act(Act{Verb: Hold, Names: []Name{{1, 2}}}); err != nil || r.Touched != 1 {
		t.Errorf("act: %+v, %v", r, err)
	}
	var refusal *Error
	if _, err := c.Rules(); !errors.As(err, &refusal) || refusal.Text != "no such verb" {
		t.Errorf("refusal: %v", err)
	}
	if _, err := c.Status(); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// A request without end is cut off, and nobody else is the worse for it.
func TestLongRequest(t *testing.T) {
	queue := serve(t, func(c *Conn, _ *Request) { _ = c.Send(Answer{Done: true, Status: &Status{}}) })
	c, err := Dial(queue)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range MaxRequest/len(chunk) + 2 {
		if _, err = c.lines.file.WriteString(chunk); err != nil {
			break
		}
	}
	if err == nil {
		_, err = c.lines.in.ReadByte()
	}
	if err != io.EOF && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("not cut off: %v", err)
	}
	other, err := Dial(queue)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Status(); err != nil {
		t.Error(err)
	}
}

var chunk = strings.Repeat("x", 64<<10)

func TestNobody(t *testing.T) {
	dir := t.TempDir()
	if _, err := Dial(dir); err != ErrNobody {
		t.Errorf("without a folder: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, Folder), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial(dir); err != ErrNobody {
		t.Errorf("without a socket: %v", err)
	}
	// A qmail-send that died leaves its socket; the next one replaces it.
	t.Chdir(dir)
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	l.file.Close()
	if _, err := Dial(dir); err != ErrNobody {
		t.Errorf("with a stale socket: %v", err)
	}
	if l, err = Listen(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := os.Lstat(Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket outlives its listener: %v", err)
	}
}

// Who does not read is given up after a while, without anybody waiting.
func TestSilentPeer(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fds[0]), "ours")
	defer file.Close()
	defer syscall.Close(fds[1])
	began := time.Now()
	for err == nil {
		_, err = timed{file, 50 * time.Millisecond}.Write([]byte(chunk))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"verb":"list","query":{"filter":{"sender":"*"}}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		go func() {
			_, _ = w.Write(data)
			w.Close()
		}()
		c := Conn{newLines(r)}
		for {
			q, err := c.Receive()
			if err != nil {
				return
			}
			if q.Query != nil && q.Query.Filter.Check() == nil && q.Query.Sort.Check() == nil {
				m := sample()
				q.Query.Filter.Match(&m, 0)
			}
		}
	})
}
