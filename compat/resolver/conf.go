package resolver

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/fdio"
)

// Defaults and limits of resolv.conf(5).
const (
	defaultTimeout  = 5 * time.Second
	maxTimeout      = 30 // seconds
	defaultAttempts = 2
	maxAttempts     = 5
	maxServers      = 3
	port            = 53
)

// Path is the file that says who is asked.
const Path = "/etc/resolv.conf"

// System returns a resolver set up as /etc/resolv.conf and the options in the
// environment variable RES_OPTIONS say; the host itself is the name server
// where the file names none.
func System() *Resolver {
	data, err := fdio.ReadFile(Path)
	if err != nil {
		data = nil
	}
	r := Parse(string(data))
	r.options(strings.Fields(os.Getenv("RES_OPTIONS")))
	return r
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
			r.options(f[1:])
		}
	}
	if len(r.Servers) == 0 {
		r.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
	}
	return r
}

func (r *Resolver) options(list []string) {
	for _, option := range list {
		name, value, _ := strings.Cut(option, ":")
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			continue
		}
		switch name {
		case "timeout":
			r.Timeout = time.Duration(min(max(n, 1), maxTimeout)) * time.Second
		case "attempts":
			r.Attempts = min(max(n, 1), maxAttempts)
		}
	}
}
