// Package tcpenv is tcp-env: it finds out about the connection on descriptor 0
// and describes it in the environment (tcp-environ(5)) for servers that are
// started by inetd. It must not know what is served.
package tcpenv

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
)

// identPort is where IDENT servers listen (RFC 1413).
const identPort = 113

// maxInfo is the length in bytes of the longest answer that is taken.
const maxInfo = 998

// Options are tcp-env's.
type Options struct {
	Ident   bool          // ask the client's IDENT server who he is
	Timeout time.Duration // for that

	dns  *resolver.Resolver // nil means the system's
	port uint16             // of IDENT servers, 0 means identPort
}

// Describe sets the environment for the connection on descriptor 0, unless it
// is described already.
func Describe(o Options) error {
	if os.Getenv("PROTO") == "TCP" {
		return nil
	}
	local, err := endpoint(syscall.Getsockname(0))
	if err != nil {
		return err
	}
	remote, err := endpoint(syscall.Getpeername(0))
	if err != nil {
		return err
	}
	dns := o.dns
	if dns == nil {
		dns = resolver.System()
	}
	os.Setenv("PROTO", "TCP")
	for i, end := range []netip.AddrPort{local, remote} {
		side := [...]string{"LOCAL", "REMOTE"}[i]
		os.Setenv("TCP"+side+"PORT", strconv.Itoa(int(end.Port())))
		os.Setenv("TCP"+side+"IP", end.Addr().String())
		if name, ok := hostName(dns, end.Addr()); ok {
			os.Setenv("TCP"+side+"HOST", name)
		} else {
			os.Unsetenv("TCP" + side + "HOST")
		}
	}
	os.Unsetenv("TCPREMOTEINFO")
	if o.Ident {
		if info, ok := o.ident(local, remote); ok {
			os.Setenv("TCPREMOTEINFO", info)
		}
	}
	return nil
}

func endpoint(sa syscall.Sockaddr, err error) (netip.AddrPort, error) {
	if err != nil {
		return netip.AddrPort{}, err
	}
	return socket.AddrPort(sa)
}

// hostName returns the name of an address, false for none.
func hostName(dns *resolver.Resolver, addr netip.Addr) (string, bool) {
	names, err := dns.PTR(addr)
	switch {
	case err == resolver.ErrTemporary:
		return "softdnserror", true
	case len(names) == 0:
		return "", false
	}
	return address.Lower(names[0]), true
}

// ident asks the client's host whose connection it is. The answer is a claim
// of that host, no more.
func (o Options) ident(local, remote netip.AddrPort) (string, bool) {
	port := o.port
	if port == 0 {
		port = identPort
	}
	conn, err := socket.DialFrom(local.Addr(), netip.AddrPortFrom(remote.Addr(), port), socket.Stream, o.Timeout)
	if err != nil {
		return "", false
	}
	defer conn.Close()
	query := strconv.Itoa(int(remote.Port())) + " , " + strconv.Itoa(int(local.Port())) + "\r\n"
	// A timeout of 0 means: ask, but do not wait. A new connection takes the
	// query at once.
	now := time.Now()
	if conn.SetReadDeadline(now.Add(o.Timeout)) != nil || conn.SetWriteDeadline(now.Add(max(o.Timeout, time.Second))) != nil {
		return "", false
	}
	if _, err := conn.WriteString(query); err != nil {
		return "", false
	}
	return answer(conn)
}

// answer takes what stands behind the third colon, without blanks.
func answer(conn io.Reader) (string, bool) {
	in := bufio.NewReader(conn)
	var info strings.Builder
	for colons := 0; info.Len() < maxInfo; {
		c, err := in.ReadByte()
		switch {
		case err != nil:
			return "", false
		case c == ' ', c == '\t', c == '\r':
		case c == '\n':
			return cString(info.String()), true
		case colons < 3:
			if c == ':' {
				colons++
			}
		default:
			info.WriteByte(c)
		}
	}
	return cString(info.String()), true
}

// cString cuts at a NUL, which no environment variable can hold.
func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}
