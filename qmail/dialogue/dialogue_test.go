package dialogue

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// conversation is a client that has said all it has to say, and gets the
// replies.
type conversation struct {
	io.Reader
	bytes.Buffer
}

func (c *conversation) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func TestCommand(t *testing.T) {
	long := strings.Repeat("x", 100000) // more than any buffer has
	for _, test := range []struct{ name, line, command, arg string }{
		{"bare", "QUIT\r\n", "QUIT", ""},
		{"with an argument", "MAIL FROM:<a b>\r\n", "MAIL", "FROM:<a b>"},
		{"leading spaces of the argument", "HELO   x y \r\n", "HELO", "x y "},
		{"a space too many", "QUIT \r\n", "QUIT", ""},
		{"LF alone ends a line", "NOOP x\n", "NOOP", "x"},
		{"one CR does not count", "NOOP x\r\r\n", "NOOP", "x\r"},
		{"a CR inside does", "NOOP a\rb\r\n", "NOOP", "a\rb"},
		{"a tab is no space", "NOOP\tx\r\n", "NOOP\tx", ""},
		{"empty", "\r\n", "", ""},
		{"no length limit", "RCPT " + long + "\r\n", "RCPT", long},
	} {
		// Both as one packet and byte by byte.
		for _, in := range []io.Reader{strings.NewReader(test.line + "NEXT\r\n"), iotest.OneByteReader(strings.NewReader(test.line + "NEXT\r\n"))} {
			d := New(&conversation{Reader: in})
			command, arg, err := d.Command()
			if err != nil || command != test.command || arg != test.arg {
				t.Errorf("%s: got %.50q, %.50q, %v, want %.50q, %.50q", test.name, command, arg, err, test.command, test.arg)
			}
			if command, _, err = d.Command(); err != nil || command != "NEXT" {
				t.Errorf("%s: then got %.50q, %v", test.name, command, err)
			}
		}
	}
}

// A command is one only with its newline: "QUIT" of a client that was cut off
// must not delete mail.
func TestCommandCutOff(t *testing.T) {
	failure := errors.New("timed out")
	for _, test := range []struct {
		name string
		in   io.Reader
		want error
	}{
		{"nothing more", strings.NewReader(""), io.EOF},
		{"half a line", strings.NewReader("QUIT"), io.EOF},
		{"trouble", io.MultiReader(strings.NewReader("QUIT"), iotest.ErrReader(failure)), failure},
	} {
		if command, arg, err := New(&conversation{Reader: test.in}).Command(); err != test.want || command+arg != "" {
			t.Errorf("%s: got %q, %q, %v, want %v", test.name, command, arg, err, test.want)
		}
	}
}

// packets is a client that sends packets and keeps what it had got before
// each of them.
type packets struct {
	send   []string
	got    bytes.Buffer
	before []string
}

func (c *packets) Read(p []byte) (int, error) {
	c.before = append(c.before, c.got.String())
	c.got.Reset()
	if len(c.send) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.send[0])
	c.send = c.send[1:]
	return n, nil
}

func (c *packets) Write(p []byte) (int, error) { return c.got.Write(p) }

// Replies wait as long as there are commands, and no longer (RFC 2920 3.2).
func TestPipelining(t *testing.T) {
	c := &packets{send: []string{"A\r\nB\r\n", "C\r", "\nD\r\n"}}
	d := New(c)
	d.Reply("hello")
	for {
		command, _, err := d.Command()
		if err != nil {
			break
		}
		d.Reply("ok " + command)
		_, _ = d.Write([]byte("."))
	}
	want := "hello\r\n|ok A\r\n.ok B\r\n.||ok C\r\n.ok D\r\n."
	if got := strings.Join(c.before, "|"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFlush(t *testing.T) {
	c := &conversation{Reader: strings.NewReader("")}
	d := New(c)
	d.Reply("221 bye")
	if got := c.String(); got != "" {
		t.Errorf("sent %q at once", got)
	}
	if err := d.Flush(); err != nil || c.String() != "221 bye\r\n" {
		t.Errorf("sent %q, %v", c.String(), err)
	}
}

// gone is a client that takes no replies any more.
type gone struct{ io.Reader }

var errGone = errors.New("broken pipe")

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestGone(t *testing.T) {
	d := New(gone{strings.NewReader("DELE 1\r\n")})
	d.Reply("hello")
	if command, _, err := d.Command(); err != errGone {
		t.Errorf("got %q, %v: who does not hear must not command", command, err)
	}
	if err := d.Flush(); err != errGone {
		t.Errorf("flush: %v", err)
	}
	if _, err := d.Write(make([]byte, 1<<16)); err != errGone {
		t.Errorf("write: %v", err)
	}
}

// FuzzCommand: every line is one command, whatever is in it.
func FuzzCommand(f *testing.F) {
	for _, seed := range []string{"QUIT\r\n", "a  b\x00c\n", "\x00\r\n", " \r\r\n", "x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := New(&conversation{Reader: bytes.NewReader(in)})
		commands := 0
		for ; ; commands++ {
			command, arg, err := d.Command()
			if err != nil {
				break
			}
			if strings.ContainsAny(command, " \n\x00") || strings.ContainsAny(arg, "\n\x00") || strings.HasPrefix(arg, " ") {
				t.Fatalf("%q: got %q, %q", in, command, arg)
			}
		}
		if want := bytes.Count(in, []byte{'\n'}); commands != want {
			t.Fatalf("%q: %d commands, want %d", in, commands, want)
		}
	})
}

// TestLongLine: what is beyond the limit is read and does not count.
func TestLongLine(t *testing.T) {
	c := &conversation{Reader: strings.NewReader("NOOP " + strings.Repeat("x", 10*maxLine) + "\r\nQUIT\r\n")}
	d := New(c)
	if _, arg, err := d.Command(); err != nil || len(arg) < maxLine-len("NOOP ") || len(arg) > 2*maxLine {
		t.Errorf("got %d bytes, %v", len(arg), err)
	}
	if name, _, err := d.Command(); err != nil || name != "QUIT" {
		t.Errorf("behind it: %q, %v", name, err)
	}
}
