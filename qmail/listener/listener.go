// Package listener accepts connections for servers that listen by themselves:
// one process and a goroutine for each connection, limits in total and for
// each address, tcpserver's rules and variables. It must not know what is
// served.
package listener

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/compat/socket"
)

// Defaults and limits.
const (
	DefaultMax     = 1000 // connections at a time
	DefaultPerHost = 50   // … of one address
	backlog        = 1024 // connections that wait to be accepted
	pause          = 100 * time.Millisecond
	refusalTime    = time.Second      // for the reply to a client too many
	proxyTime      = 10 * time.Second // for the PROXY line
)

// Options are what an administrator chooses.
type Options struct {
	Addrs   []netip.AddrPort
	Rules   string // tcprules database; empty for none
	Max     int    // connections at a time
	PerHost int    // … of one address
	Proxy   bool   // every connection begins with a PROXY line
	Names   bool   // look up clients' names
}

// Conn is a connection and what is known about it. Reads and writes wait at
// most Timeout; then their error is ETIMEDOUT.
type Conn struct {
	file    *os.File
	Timeout time.Duration
	Env     environ.List // environment of tcp-environ(5), for children too
}

// Lookup returns an environment variable of the connection.
func (c *Conn) Lookup(name string) (value string, ok bool) { return c.Env.Lookup(name) }

// SetTimeout changes how long reads and writes wait, and returns how long they
// did.
func (c *Conn) SetTimeout(d time.Duration) (before time.Duration) {
	before, c.Timeout = c.Timeout, d
	return before
}

func (c *Conn) Read(p []byte) (int, error) {
	if err := c.file.SetReadDeadline(time.Now().Add(c.Timeout)); err != nil {
		return 0, err
	}
	n, err := c.file.Read(p)
	return n, plain(err)
}

func (c *Conn) Write(p []byte) (int, error) {
	if err := c.file.SetWriteDeadline(time.Now().Add(c.Timeout)); err != nil {
		return 0, err
	}
	n, err := c.file.Write(p)
	return n, plain(err)
}

// plain makes the poller's time-out the system's.
func plain(err error) error {
	if err != nil && os.IsTimeout(err) {
		return syscall.ETIMEDOUT
	}
	return err
}

// Server listens.
type Server struct {
	options   Options
	listeners []*socket.Listener
	base      environ.List // environment of the process, without a connection's

	mu      sync.Mutex
	total   int
	perHost map[netip.Addr]int
	rules   *os.File
	running sync.WaitGroup
}

// Listen binds the addresses and opens the rules.
func Listen(o Options) (*Server, error) {
	s := &Server{options: o, perHost: map[netip.Addr]int{}, base: baseEnvironment(os.Environ())}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	for _, at := range o.Addrs {
		l, err := socket.Listen(at, backlog)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

// baseEnvironment drops the variables that describe a connection.
func baseEnvironment(env []string) environ.List {
	var base environ.List
	for _, e := range env {
		if !strings.HasPrefix(e, "TCP") && !strings.HasPrefix(e, "PROTO=") {
			base = append(base, e)
		}
	}
	return base
}

// Addrs returns the addresses that are listened on.
func (s *Server) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, l := range s.listeners {
		if addr, err := l.Addr(); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

// Reload opens the rules again. After an error the old ones stay.
func (s *Server) Reload() error {
	if s.options.Rules == "" {
		return nil
	}
	f, err := os.Open(s.options.Rules)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = f // the old file is closed when nobody reads it any more
	return nil
}

// Close stops accepting; connections go on.
func (s *Server) Close() {
	for _, l := range s.listeners {
		_ = l.Close()
	}
}

// Serve accepts connections until Close and calls handle for each, in a
// goroutine of its own; clients too many get the line busy. It returns when
// the last connection has ended.
func (s *Server) Serve(busy string, handle func(*Conn)) {
	var accepting sync.WaitGroup
	for _, l := range s.listeners {
		accepting.Add(1)
		go func() {
			defer accepting.Done()
			s.accept(l, busy, handle)
		}()
	}
	accepting.Wait()
	s.running.Wait()
}

func (s *Server) accept(l *socket.Listener, busy string, handle func(*Conn)) {
	for {
		conn, local, remote, err := l.Accept()
		if err != nil {
			if os.IsTimeout(err) || isResource(err) {
				time.Sleep(pause) // until somebody has let go of one
				continue
			}
			return // closed
		}
		if !s.enter() {
			go refuse(conn, busy)
			continue
		}
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			defer s.leave()
			defer conn.Close()
			if s.options.Proxy {
				if remote, local, err = introduced(conn); err != nil {
					return
				}
			}
			from := network(remote.Addr())
			if !s.enterFrom(from) {
				refuse(conn, busy)
				return
			}
			defer s.leaveFrom(from)
			s.serve(conn, local, remote, handle)
		}()
	}
}

func isResource(err error) bool {
	switch err {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM:
		return true
	}
	return false
}

// introduced reads the PROXY line, which says who the client is.
func introduced(conn *os.File) (remote, local netip.AddrPort, err error) {
	if err := conn.SetDeadline(time.Now().Add(proxyTime)); err != nil {
		return remote, local, err
	}
	return readProxy(conn)
}

// refuse tells a client that it is one too many.
func refuse(conn *os.File, busy string) {
	if conn.SetDeadline(time.Now().Add(refusalTime)) == nil {
		_, _ = conn.WriteString(busy)
	}
	_ = conn.Close()
}

// enter counts a connection in, unless there are as many as may be.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= s.options.Max {
		return false
	}
	s.total++
	return true
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
}

// network is what counts as one address: for IPv6 all of a /64, of which every
// client has at least one to itself.
func network(ip netip.Addr) netip.Addr {
	const prefix = 64
	if ip.Is4() || ip.Is4In6() {
		return ip
	}
	return netip.PrefixFrom(ip.WithZone(""), prefix).Masked().Addr()
}

// enterFrom counts in a connection of an address, unless it has as many as it
// may.
func (s *Server) enterFrom(ip netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perHost[ip] >= s.options.PerHost {
		return false
	}
	s.perHost[ip]++
	return true
}

func (s *Server) leaveFrom(ip netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.perHost[ip]--; s.perHost[ip] == 0 {
		delete(s.perHost, ip)
	}
}

// serve finds out what there is to know about a client and handles it.
func (s *Server) serve(file *os.File, local, remote netip.AddrPort, handle func(*Conn)) {
	c := &Conn{file: file}
	c.Env = s.base.With("PROTO=TCP",
		"TCPLOCALIP="+local.Addr().String(), "TCPLOCALPORT="+strconv.Itoa(int(local.Port())),
		"TCPREMOTEIP="+remote.Addr().String(), "TCPREMOTEPORT="+strconv.Itoa(int(remote.Port())))
	host := ""
	if s.options.Names {
		if names, err := resolver.System().PTR(remote.Addr()); err == nil && len(names) > 0 {
			host = address.Lower(names[0])
			c.Env = c.Env.With("TCPREMOTEHOST=" + host)
		}
	}
	s.mu.Lock()
	rules := s.rules
	s.mu.Unlock()
	if rules != nil {
		v, err := Look(rules, remote.Addr().String(), host)
		if err != nil || v.Deny {
			return
		}
		c.Env = c.Env.With(v.Env...)
	}
	handle(c)
}
