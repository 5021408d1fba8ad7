package resolver

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Defaults and limits of resolv.conf(5).
const (
	defaultTimeout  = 5 * time.Second
	maxTimeout      = 30 * time.Second
	defaultAttempts = 2
	maxAttempts     = 5
	maxServers      = 3
	port            = 53
)

// System returns a resolver set up as /etc/resolv.conf says; the host itself
// is the name server where that says nothing.
func System() *Resolver {
	data, err := fdio.ReadFile("/etc/resolv.conf")
	if err != nil {
		data = nil
	}
	return Parse(string(data))
}

// Parse reads a resolv.conf(5): nameserver lines and the options timeout and
// attempts. Whatever else is there is not for us.
func Parse(conf string) *Resolver {
	r := &Resolver{Timeout: defaultTimeout, Attempts: defaultAttempts}
	for line := range strings.Lines(conf) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if addr, err := netip.ParseAddr(f[1]); err == nil && len(r.Servers) < maxServers {
				r.Servers = append(r.Servers, netip.AddrPortFrom(addr, port))
			}
		case "options":
			for _, option := range f[1:] {
				r.option(option)
			}
		}
	}
	if len(r.Servers) == 0 {
		r.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	return r
}

func (r *Resolver) option(option string) {
	name, value, _ := strings.Cut(option, ":")
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return
	}
	switch name {
	case "timeout":
		r.Timeout = min(max(time.Duration(n)*time.Second, time.Second), maxTimeout)
	case "attempts":
		r.Attempts = min(max(n, 1), maxAttempts)
	}
}

func itoa(b byte) string { return strconv.Itoa(int(b)) }
