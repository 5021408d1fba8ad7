// Package socket makes network connections without package net, which would
// double the start-up time of the programs that need no more than this, and
// make them too large for hosts with small memory limits.
//
// A connection is an os.File over a non-blocking socket: the runtime's poller
// gives it deadlines. The package must not know what is spoken over it.
package socket

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
	"golang.org/x/sys/unix"
)

// The kinds of sockets.
const (
	Stream   = syscall.SOCK_STREAM
	Datagram = syscall.SOCK_DGRAM
)

// Dial connects to an address. timeout bounds the attempt, after which the
// error is ETIMEDOUT; every error is the system's number.
func Dial(to netip.AddrPort, kind int, timeout time.Duration) (*os.File, error) {
	return DialFrom(netip.Addr{}, to, kind, timeout)
}

// DialFrom is Dial from one of this host's addresses; the zero address leaves
// the choice to the kernel.
func DialFrom(from netip.Addr, to netip.AddrPort, kind int, timeout time.Duration) (*os.File, error) {
	family, sa := sockaddr(to)
	fd, err := syscall.Socket(family, kind|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &SocketError{err}
	}
	if kind == Stream {
		// What is written goes out at once: whoever writes here has collected
		// before. Nagle's algorithm would hold the rest of a message back
		// until the other side has acknowledged its beginning, which that
		// delays.
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if from.IsValid() {
		_, own := sockaddr(netip.AddrPortFrom(from, 0))
		if err := syscall.Bind(fd, own); err != nil {
			_ = syscall.Close(fd)
			return nil, err
		}
	}
	err = syscall.Connect(fd, sa)
	if err != nil && err != syscall.EINPROGRESS && err != syscall.EINTR {
		_ = syscall.Close(fd)
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), to.String())
	if err != nil {
		if err := await(conn, fd, timeout); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

func sockaddr(a netip.AddrPort) (family int, sa syscall.Sockaddr) {
	addr := a.Addr().Unmap()
	if addr.Is6() {
		return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(a.Port()), Addr: addr.As16(), ZoneId: zone(addr)}
	}
	return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(a.Port()), Addr: first4(addr)}
}

// SocketError says that not even a socket could be had.
type SocketError struct{ Err error }

func (e *SocketError) Error() string { return "unable to create socket: " + e.Err.Error() }

func (e *SocketError) Unwrap() error { return e.Err }

// await waits until a connection that is under way stands.
func await(conn *os.File, fd int, timeout time.Duration) error {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	// The poller reports a change once, perhaps before we wait for it: so
	// each wait begins with a look of our own. The look before them all is
	// for a timeout of 0, which is enough for a host as near as loopback.
	if !settled(uintptr(fd)) && raw.Write(settled) != nil {
		return syscall.ETIMEDOUT
	}
	number, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && number != 0 {
		err = syscall.Errno(number)
	}
	if err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// settled reports whether a connection attempt has come to an end.
func settled(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, 0)
	return n > 0 || err != nil && err != unix.EINTR
}

func first4(addr netip.Addr) (b [4]byte) {
	copy(b[:], addr.AsSlice())
	return b
}

// zone returns the number of a link-local address's interface, which may be
// given by number or by name; 0 for none.
func zone(addr netip.Addr) uint32 {
	name := addr.Zone()
	if name == "" {
		return 0
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n)
	}
	text, err := fdio.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	return uint32(n)
}
