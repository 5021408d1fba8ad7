package remote

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// fragile is a connection on which all replies have come already. It breaks at
// a write.
type fragile struct {
	*strings.Reader
	writesLeft                    int
	reads, writes                 int
	readDeadlines, writeDeadlines int
}

var errBroken = errors.New("broken")

func (c *fragile) Read(p []byte) (int, error) {
	c.reads++
	return c.Reader.Read(p[:1])
}

func (c *fragile) Write(p []byte) (int, error) {
	c.writes++
	if c.writesLeft == 0 {
		return 0, errBroken
	}
	c.writesLeft--
	return len(p), nil
}

func (c *fragile) SetReadDeadline(at time.Time) error {
	if time.Until(at) > 0 {
		c.readDeadlines++
	}
	return nil
}

func (c *fragile) SetWriteDeadline(at time.Time) error {
	if time.Until(at) > 0 {
		c.writeDeadlines++
	}
	return nil
}

// TestBrokenWrites: whether the message may have been delivered depends on
// whether the dot behind it was on its way.
func TestBrokenWrites(t *testing.T) {
	const (
		died     = "ZConnected to 192.0.2.1 but connection died. (#4.4.2)\n"
		doubtful = "ZConnected to 192.0.2.1 but connection died. Possible duplicate! (#4.4.2)\n"
		accepted = "K192.0.2.1 accepted message.\nRemote host said: 250 f\n"
	)
	short, long := "x\n", strings.Repeat("x\n", 3*blockSize/len("x\r\n")-100)
	for _, test := range []struct {
		name    string
		message string
		writes  int // that succeed
		want    string
	}{
		{"EHLO", short, 0, died},
		{"MAIL", short, 1, died},
		{"RCPT", short, 2, died},
		{"DATA", short, 3, "r\x00" + died},
		{"a message that goes out with its dot", short, 4, "r\x00" + doubtful},
		{"a message's first part", long, 4, "r\x00" + died},
		{"a message's last part before that with the dot", long, 5, "r\x00" + died},
		{"a message's last part", long, 6, "r\x00" + doubtful},
		{"QUIT", short, 5, "r\x00" + accepted}, // what was accepted is not sent again
		{"nothing", short, 6, "r\x00" + accepted},
	} {
		conn := &fragile{Reader: strings.NewReader("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n"), writesLeft: test.writes}
		d := &Delivery{Sender: "s@x", Recipients: []string{"r@y"}, Message: strings.NewReader(test.message)}
		d.Config.Timeout = time.Minute
		if got := outputOf(newExchange(d), conn); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		if conn.reads != conn.readDeadlines || conn.writes != conn.writeDeadlines {
			t.Errorf("%s: %d of %d reads and %d of %d writes have a time limit", test.name,
				conn.readDeadlines, conn.reads, conn.writeDeadlines, conn.writes)
		}
	}
}

// TestUnfinishedMessage: the host must not take what could not be sent whole,
// so nothing may follow.
func TestUnfinishedMessage(t *testing.T) {
	for _, test := range []struct {
		name    string
		message io.Reader
		want    *result
	}{
		{"no end", strings.NewReader("x\ny"), resPartialLine},
		{"unreadable", readerFunc(func([]byte) (int, error) { return 0, errBroken }), resMessage},
	} {
		conn := &fragile{Reader: strings.NewReader("220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n"), writesLeft: 100}
		d := &Delivery{Sender: "s@x", Recipients: []string{"r@y"}, Message: test.message}
		d.Config.Timeout = time.Minute
		x := newExchange(d)
		x.conn = conn
		if res := x.run(); res != test.want {
			t.Errorf("%s: got %q", test.name, res.text)
		}
		if conn.writes != 4 { // EHLO, MAIL, RCPT, DATA
			t.Errorf("%s: %d writes, want 4", test.name, conn.writes)
		}
	}
}
