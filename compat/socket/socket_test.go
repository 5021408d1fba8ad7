package socket

import (
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestDial(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hi"))
			conn.Close()
		}
	}()
	to := netip.MustParseAddrPort(listener.Addr().String())
	// Many times: the end of a connection attempt must not be missed. A
	// timeout of 0 does for loopback, as in qmail.
	for i := range 300 {
		conn, err := Dial(to, Stream, time.Duration(i%2*5)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(conn); err != nil || string(got) != "hi" {
			t.Fatalf("got %q, %v", got, err)
		}
		conn.Close()
	}
}

func TestDialErrors(t *testing.T) {
	if _, err := Dial(netip.MustParseAddrPort("127.0.0.1:1"), Stream, time.Second); err != syscall.ECONNREFUSED {
		t.Errorf("nobody listens: got %v", err)
	}
	// A listener whose queue is full does not answer.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(sa.(*syscall.SockaddrInet4).Port))
	var conns []*os.File
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range 5 {
		conn, err := Dial(to, Stream, 100*time.Millisecond)
		if err == syscall.ETIMEDOUT {
			return
		}
		if err != nil {
			t.Fatalf("got %v, want a time-out", err)
		}
		conns = append(conns, conn)
	}
	t.Skip("this kernel's queue is never full")
}

func TestDeadline(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Dial(netip.MustParseAddrPort(listener.Addr().String()), Stream, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("got %v, want a time-out", err)
	}
}

func TestThisHost(t *testing.T) {
	h, err := ThisHost()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"0.0.0.0", "::", "127.0.0.1", "::ffff:127.0.0.1"} {
		if !h.Has(netip.MustParseAddr(addr)) {
			t.Errorf("%s is not ours", addr)
		}
	}
	if h.Has(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is ours")
	}
}

func TestZone(t *testing.T) {
	for zoned, want := range map[string]uint32{
		"fe80::1":      0,
		"fe80::1%7":    7,
		"fe80::1%lo":   1, // loopback is the first interface of every Linux
		"fe80::1%nope": 0,
	} {
		if got := zone(netip.MustParseAddr(zoned)); got != want {
			t.Errorf("%s: got %d, want %d", zoned, got, want)
		}
	}
}
