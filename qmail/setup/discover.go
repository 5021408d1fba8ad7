package setup

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
)

// errNoName says that the host's canonical name is not to be found.
var errNoName = errors.New("unable to find this host's canonical name in DNS; use config-fast")

// Discover finds the canonical name of a host that is called hostname, and
// writes the control files for it; the names of its other addresses are added
// to locals and rcpthosts.
func Discover(home, hostname string, dns *resolver.Resolver, out io.Writer) error {
	addrs, err := dns.A(address.Lower(hostname))
	if err != nil || len(addrs) == 0 {
		return errNoName
	}
	names, err := dns.PTR(addrs[0])
	if err != nil || len(names) == 0 {
		return errNoName
	}
	fqdn := address.Lower(names[0])
	if err := Write(home, fqdn, out); err != nil {
		return err
	}
	host, err := socket.ThisHost()
	if err != nil {
		return err
	}
	known := []string{fqdn}
	for _, addr := range append(addrs, host.Own...) {
		names, err := dns.PTR(addr)
		if err != nil || len(names) == 0 {
			continue // an address without a name
		}
		name := address.Lower(names[0])
		if slices.Contains(known, name) {
			continue
		}
		known = append(known, name)
		_, _ = io.WriteString(out, "Adding "+name+" to control/locals and control/rcpthosts...\n")
		for _, file := range []string{"locals", "rcpthosts"} {
			if err := putLine(home+"/control/"+file, name, os.O_APPEND); err != nil {
				return err
			}
		}
	}
	return nil
}
