package splog

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// listen plays a syslog daemon on a datagram socket.
func listen(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	daemon, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Close() })
	return daemon
}

// receive returns the next datagram.
func receive(t *testing.T, daemon *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 4096)
	_ = daemon.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := daemon.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

// socketPath is short enough for a socket address, which t.TempDir is not
// everywhere.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "splog")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir + "/log"
}

// syslogTo logs to path in a fixed zone.
func syslogTo(path string) *Syslog {
	s := NewSyslog(path, Config{Tag: "qmail", Facility: facilityMail})
	s.zone = time.UTC
	return s
}

func entry(text string) Entry {
	return Entry{fixed(), severityInfo, []byte(text)}
}

func TestSyslogBytes(t *testing.T) {
	path := socketPath(t)
	daemon := listen(t, path)
	s := syslogTo(path)
	s.Put(Entry{time.Unix(1795366888, 0), severityAlert, []byte("1795366888.944425 alert: x")})
	if got := receive(t, daemon); got != "<17>Nov 22 17:01:28 qmail: 1795366888.944425 alert: x" {
		t.Errorf("%q", got)
	}
	s.Put(Entry{time.Unix(1793578088, 0), severityInfo, []byte("x y")}) // the first of a month
	if got := receive(t, daemon); got != "<22>Nov  2 00:08:08 qmail: x y" {
		t.Errorf("%q", got)
	}
}

func TestSyslogSurvivesDaemon(t *testing.T) {
	path := socketPath(t)
	s := syslogTo(path)
	s.Put(entry("nobody listens yet"))
	daemon := listen(t, path)
	s.Put(entry("one"))
	if got := receive(t, daemon); !strings.HasSuffix(got, ": one") {
		t.Errorf("%q", got)
	}
	daemon.Close()
	_ = os.Remove(path)
	daemon = listen(t, path) // restarted
	s.Put(entry("two"))
	if got := receive(t, daemon); !strings.HasSuffix(got, ": two") {
		t.Errorf("%q", got)
	}
	daemon.Close()
	s.Put(entry("stopped"))
}

func TestSyslogStream(t *testing.T) {
	path := socketPath(t)
	daemon, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	s := syslogTo(path)
	s.Put(entry("one"))
	s.Put(entry("two"))
	conn, err := daemon.Accept()
	if err != nil {
		t.Fatal(err)
	}
	want := "<22>Nov 22 17:01:28 qmail: one\x00<22>Nov 22 17:01:28 qmail: two\x00"
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		m, err := conn.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	if string(got) != want {
		t.Errorf("%q", got)
	}
	conn.Close()
	s.Put(entry("three")) // a new connection: the old one is broken
	if conn, err = daemon.Accept(); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 100)
	if n, _ := conn.Read(buf); !strings.HasSuffix(string(buf[:n]), ": three\x00") {
		t.Errorf("%q", buf[:n])
	}
}

// A daemon that does not read costs one wait, not one for each line, and the
// log tells of the gap once it reads again.
func TestSyslogHungDaemon(t *testing.T) {
	path := socketPath(t)
	daemon := listen(t, path)
	s := syslogTo(path)
	s.patience = 20 * time.Millisecond
	start := time.Now()
	sent := 0
	for ; s.lost < 1000 && sent < 1_000_000; sent++ {
		s.Put(entry(fmt.Sprintf("line %d", sent)))
	}
	if s.lost < 1000 {
		t.Skip("this system's sockets take everything")
	}
	if wait := time.Since(start); wait > 5*time.Second {
		t.Errorf("%d lines took %v", sent, wait)
	}
	for range sent - s.lost {
		receive(t, daemon)
	}
	s.Put(entry("back"))
	if got := receive(t, daemon); !strings.Contains(got, "<20>") || !strings.HasSuffix(got, "warning: splogger: 1000 lines lost, syslog did not take them") {
		t.Errorf("%q", got)
	}
	if got := receive(t, daemon); !strings.HasSuffix(got, ": back") {
		t.Errorf("%q", got)
	}
}
