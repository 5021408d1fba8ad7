package listener

import (
	"errors"
	"net/netip"
	"os"
	"strings"
)

// errProxy says that a connection does not begin with a PROXY line.
var errProxy = errors.New("no PROXY protocol line")

// maxProxyLine is the length in bytes of the longest line of version 1 of the
// PROXY protocol, CR LF included.
const maxProxyLine = 107

// readProxy reads the line with which a proxy begins a connection (PROXY
// protocol, version 1) and returns the addresses of the client and of the
// side it connected to. It reads no byte beyond the line.
func readProxy(conn *os.File) (remote, local netip.AddrPort, err error) {
	var line []byte
	var b [1]byte
	for !strings.HasSuffix(string(line), "\r\n") {
		if len(line) == maxProxyLine {
			return remote, local, errProxy
		}
		if _, err := conn.Read(b[:]); err != nil {
			return remote, local, err
		}
		line = append(line, b[0])
	}
	return parseProxy(strings.TrimSuffix(string(line), "\r\n"))
}

// parseProxy takes "PROXY TCP4 source destination sourceport destport" apart.
func parseProxy(line string) (remote, local netip.AddrPort, err error) {
	f := strings.Split(line, " ")
	if len(f) != 6 || f[0] != "PROXY" || f[1] != "TCP4" && f[1] != "TCP6" {
		return remote, local, errProxy
	}
	remote, err = endpoint(f[2], f[4])
	if err == nil {
		local, err = endpoint(f[3], f[5])
	}
	if err != nil || remote.Addr().Is4() != (f[1] == "TCP4") {
		return remote, local, errProxy
	}
	return remote, local, nil
}

func endpoint(addr, port string) (netip.AddrPort, error) {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return netip.ParseAddrPort(addr + ":" + port)
}
