package remote

import (
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits on connections that are kept.
const (
	mostMessages = 100 // over one of them
	mostIdle     = 500 // that wait at a time
)

// terms are what a delivery demands of a connection. The configuration is
// among them: a change of it must be seen.
type terms struct {
	config   *Config
	to       netip.AddrPort
	from     netip.Addr
	helo     string
	security security
	login    Credentials
}

// terms returns those of the delivery with its target.
func (x *exchange) terms(config *Config) terms {
	return terms{
		config:   config,
		to:       netip.AddrPortFrom(x.target.addr, x.target.port),
		from:     x.source.to(x.target.addr),
		helo:     x.source.helo,
		security: x.security,
		login:    x.target.login,
	}
}

// idle are connections that wait for another message, each for a short time.
type idle struct {
	mu    sync.Mutex
	links map[terms][]*kept
	count int
	over  bool
}

// kept is a connection that waits.
type kept struct {
	*link
	name  string // of the host
	timer *time.Timer
}

// keep has a connection wait; when it has done so for too long the host is
// taken leave of.
func (i *idle) keep(t terms, name string, l *link, wait time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || i.count >= mostIdle {
		go l.leave()
		return
	}
	k := &kept{link: l, name: name}
	k.timer = time.AfterFunc(wait, func() { i.expire(t, k) })
	i.links[t] = append(i.links[t], k)
	i.count++
}

// take returns a connection on which the host has said nothing since, least
// of all farewell; nil if there is none. The name matters where TLS goes by it.
func (i *idle) take(t terms, name string) *link {
	for {
		k := i.first(t, name)
		switch {
		case k == nil:
			return nil
		case k.quiet():
			return k.link
		}
		k.close()
	}
}

// first takes out the connection that has waited for the shortest time.
func (i *idle) first(t terms, name string) *kept {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.links[t]
	for n := len(list) - 1; n >= 0; n-- {
		if k := list[n]; !k.secure || k.name == name {
			k.timer.Stop()
			i.remove(t, n)
			return k
		}
	}
	return nil
}

func (i *idle) remove(t terms, n int) {
	list := i.links[t]
	list[n] = list[len(list)-1]
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(i.links, t)
	} else {
		i.links[t] = list
	}
	i.count--
}

func (i *idle) expire(t terms, k *kept) {
	i.mu.Lock()
	for n, other := range i.links[t] {
		if other == k {
			i.remove(t, n)
			i.mu.Unlock()
			k.leave()
			return
		}
	}
	i.mu.Unlock() // somebody has taken it
}

// close takes leave of all hosts, and of those that are to be kept from now
// on.
func (i *idle) close() {
	i.mu.Lock()
	i.over = true
	i.mu.Unlock()
	i.dismiss()
}

// dismiss takes leave of all hosts.
func (i *idle) dismiss() {
	i.mu.Lock()
	links := i.links
	i.links, i.count = map[terms][]*kept{}, 0
	i.mu.Unlock()
	for _, list := range links {
		for _, k := range list {
			k.timer.Stop()
			k.leave()
		}
	}
}

// quiet reports whether nothing has come and the connection stands.
func (l *link) quiet() bool {
	conn, ok := l.conn.(syscall.Conn)
	if !ok || l.s.unread() {
		return false
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		quiet = n == 0 && err == nil
	})
	return quiet && err == nil
}
