package serve

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"golang.org/x/net/netutil"
)

// maxConnections is how many clients each address serves at a time; others
// wait.
const maxConnections = 64

// Place is where the service listens, a line of the control file:
// ADDRESS:PORT [CERTIFICATE [KEY]].
type Place struct {
	Address     netip.AddrPort
	Certificate string // file in PEM; "" for no TLS
	Key         string // likewise; the certificate's file has it unless another is named
}

// ParsePlace reads a line of the control file. Without an address it is
// 127.0.0.1; others than loopback need a certificate, for tokens must not
// travel in the clear. Relative paths begin at folder.
func ParsePlace(line, folder string) (p Place, err error) {
	f := strings.Fields(line)
	if len(f) < 1 || len(f) > 3 {
		return p, fmt.Errorf("%q is not ADDRESS:PORT [CERTIFICATE [KEY]]", line)
	}
	address := f[0]
	if strings.HasPrefix(address, ":") {
		address = "127.0.0.1" + address
	} else if !strings.Contains(address, ":") {
		address = "127.0.0.1:" + address
	}
	if p.Address, err = netip.ParseAddrPort(address); err != nil {
		return p, fmt.Errorf("%q is not ADDRESS:PORT: %w", f[0], err)
	}
	for i, file := range f[1:] {
		if !filepath.IsAbs(file) {
			file = filepath.Join(folder, file)
		}
		if i == 0 {
			p.Certificate = file
		}
		p.Key = file
	}
	if p.Certificate == "" && !p.Address.Addr().Unmap().IsLoopback() {
		return p, fmt.Errorf("%s is not loopback: a certificate is needed", p.Address)
	}
	return p, nil
}

// Listen binds the address and reads the certificate, which may need the
// privileges that the service does not keep.
func (p Place) Listen() (net.Listener, error) {
	var config *tls.Config
	if p.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return nil, fmt.Errorf("unable to read certificate %s: %w", p.Certificate, err)
		}
		config = &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		}
	}
	l, err := net.Listen("tcp", p.Address.String())
	if err != nil {
		return nil, err
	}
	l = netutil.LimitListener(l, maxConnections)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}
