package socket

import (
	"net/netip"
	"os"
	"syscall"
)

// Listener accepts connections on one address.
type Listener struct {
	file *os.File
	raw  syscall.RawConn
}

// Listen binds an address. backlog is how many connections wait to be
// accepted.
func Listen(at netip.AddrPort, backlog int) (*Listener, error) {
	family, sa := sockaddr(at)
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, &SocketError{err}
	}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil && family == syscall.AF_INET6 {
		err = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1)
	}
	if err == nil {
		err = syscall.Bind(fd, sa)
	}
	if err == nil {
		err = syscall.Listen(fd, backlog)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	l := &Listener{file: os.NewFile(uintptr(fd), at.String())}
	l.raw, err = l.file.SyscallConn()
	return l, err
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() (addr netip.AddrPort, err error) {
	controlErr := l.raw.Control(func(fd uintptr) {
		var sa syscall.Sockaddr
		if sa, err = syscall.Getsockname(int(fd)); err == nil {
			addr, err = AddrPort(sa)
		}
	})
	if controlErr != nil {
		return addr, controlErr
	}
	return addr, err
}

// Accept waits for a connection and returns it with the addresses of both
// sides.
func (l *Listener) Accept() (conn *os.File, local, remote netip.AddrPort, err error) {
	fd := -1
	var sa syscall.Sockaddr
	readErr := l.raw.Read(func(listening uintptr) bool {
		for {
			fd, sa, err = syscall.Accept4(int(listening), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err != syscall.EINTR && err != syscall.ECONNABORTED {
				return err != syscall.EAGAIN
			}
		}
	})
	if readErr != nil {
		return nil, local, remote, readErr // closed
	}
	if err != nil {
		return nil, local, remote, err
	}
	if remote, err = AddrPort(sa); err == nil {
		if sa, err = syscall.Getsockname(fd); err == nil {
			local, err = AddrPort(sa)
		}
	}
	if err != nil {
		_ = syscall.Close(fd)
		return nil, local, remote, err
	}
	return os.NewFile(uintptr(fd), remote.String()), local, remote, nil
}

// Close stops listening; Accept returns with an error.
func (l *Listener) Close() error { return l.file.Close() }

// AddrPort returns the address in a system's form of it.
func AddrPort(sa syscall.Sockaddr) (netip.AddrPort, error) {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, syscall.EAFNOSUPPORT
}
