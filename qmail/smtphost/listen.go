package smtphost

import (
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/getopt"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/ids"
	"github.com/reqmail/reqmail/compat/limits"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/intake"
	"github.com/reqmail/reqmail/qmail/listener"
	"github.com/reqmail/reqmail/qmail/smtpd"
)

// busy is the reply to a client that is one too many.
const busy = "421 too many connections, try again later (#4.3.2)\r\n"

// failed is the exit code of a listening qmail-smtpd that cannot start.
const failed = 111

// listen serves many connections in one process.
//
//	-l address:port  listen there; may be given several times
//	-x rules.cdb     who may connect, with which RELAYCLIENT and DATABYTES (tcprules(1))
//	-c max           connections at a time (1000)
//	-C max           connections at a time of one address, or IPv6 /64 (50)
//	-p               every connection begins with a PROXY line, version 1
//	-H               do not look up clients' names
//
// Operands are those of AUTH. What the rules set for a connection counts for
// it as if it were in the environment.
//
// Started by root it becomes qmaild once the addresses are bound. HUP reads
// control files and rules again; TERM stops listening and ends when the last
// client has gone. Exit codes: 0 after TERM; 100 for wrong usage; 111 if it
// cannot start.
func (h *Host) listen(args []string) int {
	h.listens, h.pool = true, submit.NewPool(listenPool, 0)
	limits.Widen(runtime.NumCPU()) // for one connection one thread would do
	limits.ManyFiles()
	o, operands, ok := listenOptions(args)
	if !ok {
		return die(100, "usage: qmail-smtpd -l address:port [ -l ... ] [ -x rules.cdb ] [ -c max ] [ -C max ] [ -pH ] [ checker ... ]")
	}
	s, err := listener.Listen(o)
	if err != nil {
		return die(failed, "fatal: unable to listen: "+errno.Text(err))
	}
	if err := ids.Become(ids.Daemon, ids.Nofiles); err != nil {
		return die(failed, "fatal: unable to become "+ids.Daemon)
	}
	var config atomic.Pointer[smtpd.Config]
	load := func() error {
		c, err := readConfig(control.Glance(home.Dir() + "/control"))
		if err == nil {
			config.Store(c)
		}
		return err
	}
	if err := load(); err != nil {
		return die(failed, "fatal: "+err.Error())
	}
	go obey(s, load)
	defer h.pool.Close()
	s.Serve(busy, func(conn *listener.Conn) {
		c := *config.Load()
		c.DataBytes = intake.LimitFrom(conn.Lookup, c.DataBytes)
		conn.Timeout = c.Timeout
		session := h.session(&c, smtpd.ParseAuth(operands, conn.Lookup), conn.Env, conn)
		d, err := control.Glance(home.Dir() + "/control")
		session.Filter(h.filters(d, err, conn.Env))
		session.serve()
	})
	return 0
}

// obey acts on signals.
func obey(s *listener.Server, load func() error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	for sig := range signals {
		if sig == syscall.SIGTERM {
			s.Close()
			continue
		}
		if load() != nil || s.Reload() != nil {
			die(0, "warning: unable to read control files or rules again; the old ones stay")
		}
	}
}

func listenOptions(args []string) (o listener.Options, operands []string, ok bool) {
	o = listener.Options{Max: listener.DefaultMax, PerHost: listener.DefaultPerHost, Names: true}
	opts := getopt.New(args, "l:x:c:C:pH", fdio.FD(2))
	for letter, more := opts.Next(); more; letter, more = opts.Next() {
		switch letter {
		case 'l':
			addr, err := netip.ParseAddrPort(opts.Arg)
			if err != nil {
				return o, nil, false
			}
			o.Addrs = append(o.Addrs, addr)
		case 'x':
			o.Rules = opts.Arg
		case 'c', 'C':
			n, ok := control.Number(opts.Arg)
			if !ok || n <= 0 {
				return o, nil, false
			}
			if letter == 'c' {
				o.Max = n
			} else {
				o.PerHost = n
			}
		case 'p':
			o.Proxy = true
		case 'H':
			o.Names = false
		default:
			return o, nil, false
		}
	}
	return o, opts.Operands(), len(o.Addrs) > 0
}

func die(code int, text string) int {
	_, _ = fdio.FD(2).WriteString("qmail-smtpd: " + text + "\n")
	return code
}
