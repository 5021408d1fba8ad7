// Package smtphost runs qmail-smtpd's sessions: one on descriptors 0 and 1, as
// under tcpserver and xinetd, or many in a process that listens by itself. It
// puts together what a session gets: AUTH, TLS, filters. It must not know the
// dialogue.
package smtphost

import (
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/environ"
	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/submit"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/callout"
	"github.com/reqmail/reqmail/qmail/filter"
	"github.com/reqmail/reqmail/qmail/smtpd"
	"github.com/reqmail/reqmail/qmail/splog"
)

// Role is the program's name for package ext.
const Role = "qmail-smtpd"

// handedHelo carries the client's name to the program that takes over at
// STARTTLS.
const handedHelo = "REQMAIL_STARTTLS"

// Host is what differs between qmail-smtpd and the second binary in its role.
type Host struct {
	// Whole says that this is the second binary: it does by itself what the
	// first must become it for.
	Whole bool
	// TLS gives sessions their security. env is the connection's.
	TLS func(env environ.List) smtpd.Security
	// Filters gives sessions' filters what needs libraries.
	Filters func(home string, env environ.List) (filter.Libraries, error)

	listens bool         // for many clients
	pool    *submit.Pool // of queue programs, for all sessions
}

// One session's queue program stays from the second message on: most clients
// have but one.
const (
	sessionSpare = 1
	listenPool   = 20 // queue programs that wait, where many sessions share them
)

// Run is qmail-smtpd; args is its command line. It returns the exit code.
func (h *Host) Run(args []string) int {
	helo, continued := ext.Take(handedHelo)
	env := environ.List(os.Environ())
	listens := len(args) > 1 && strings.HasPrefix(args[1], "-l")
	d, err := control.Glance(home.Dir() + "/control")
	if !h.Whole && (listens || mustBeWhole(d, err, env)) && ext.Available(home.Dir()) {
		// Where that fails the client learns it: STARTTLS is not offered.
		_ = ext.Become(home.Dir(), Role)
	}
	if listens {
		return h.listen(args)
	}
	config, err := readConfig(d, err)
	if err != nil {
		_, _ = fdio.FD(1).WriteString(err.Error() + "\r\n")
		return int(smtpd.Lost)
	}
	h.pool = submit.NewPool(1, sessionSpare)
	conn := &fdio.Timed{In: 0, Out: 1, Timeout: config.Timeout}
	s := h.session(config, smtpd.ParseAuth(args[1:], os.LookupEnv), env, conn)
	s.Filter(h.filters(d, nil, env))
	if continued {
		return int(s.Session.ServeAfterSTARTTLS(helo))
	}
	return int(s.serve())
}

// mustBeWhole reports whether a session needs the second binary from its start;
// d are the control files, err is what went wrong with them. A process that
// listens becomes it always: its sessions may need it by the rules' word, or when
// a control file comes into being.
func mustBeWhole(d *control.Dir, err error, env environ.List) bool {
	return fromFirstByte(env) || err == nil && filter.NeedsLibraries(d, env.Lookup)
}

// readConfig reads what all sessions share out of the control files d; err is
// what went wrong with them so far.
func readConfig(d *control.Dir, err error) (*smtpd.Config, error) {
	if err != nil {
		return nil, smtpd.ErrControls
	}
	return smtpd.ReadConfig(d, home.Dir(), os.LookupEnv)
}

// smtpsPort is where clients begin with TLS (RFC 8314 3.3).
const smtpsPort = "465"

// fromFirstByte reports whether TLS begins with the connection: SMTPS is set,
// or the client came to the port for that and no sslserver, which would say so
// in SSLLOCALPORT, has done it already.
func fromFirstByte(env environ.List) bool {
	if _, ok := env.Lookup("SMTPS"); ok {
		return true
	}
	_, done := env.Lookup("SSLLOCALPORT")
	port, _ := env.Lookup("TCPLOCALPORT")
	return port == smtpsPort && !done
}

// hasCertificate reports whether there is anything to begin TLS with.
func hasCertificate(home string) bool {
	const readable = 4 // R_OK of access(2)
	return syscall.Access(home+"/control/servercert.pem", readable) == nil
}

// session is a conversation that is ready to begin.
type session struct {
	*smtpd.Session
	fromFirstByte bool // TLS, as on port 465
}

func (s session) serve() smtpd.End {
	if s.fromFirstByte {
		return s.ServeSecured()
	}
	return s.Serve()
}

// session equips a conversation as the connection's environment asks.
func (h *Host) session(config *smtpd.Config, auth smtpd.Auth, env environ.List, conn smtpd.Conn) session {
	s := session{Session: smtpd.NewSession(config, env, conn)}
	s.UseAuth(auth, report)
	if config.Resident {
		s.KeepQueuers(h.pool)
	}
	if mode, ok := env.Lookup("SMTPAUTH"); ok && mode != "-" || auth.Offered() {
		s.AnnounceSize()
	}
	if security := h.security(env); security != nil {
		s.UseTLS(security)
		s.fromFirstByte = fromFirstByte(env)
	}
	return s
}

// filters are those that the control files d, unless err says that they cannot be
// read, and the connection's environment switch on.
func (h *Host) filters(d *control.Dir, err error, env environ.List) filter.Chain {
	var libraries filter.Libraries
	if err == nil && h.Filters != nil {
		libraries, err = h.Filters(home.Dir(), env)
	}
	var chain filter.Chain
	if err == nil {
		chain, err = filter.Configured(d, home.Dir(), env.Lookup, libraries)
	}
	if err == nil {
		var last filter.Chain // what would be refused anyway is not asked for
		last, err = callout.Configured(d, home.Dir())
		chain = append(chain, last...)
	}
	if err != nil {
		return filter.Chain{filter.Broken{}}
	}
	return chain
}

// security returns what begins TLS, nil where there is nothing.
func (h *Host) security(env environ.List) smtpd.Security {
	if mode, ok := env.Lookup("UCSPITLS"); ok && mode != "-" {
		return ucspi{env}
	}
	switch {
	case !hasCertificate(home.Dir()):
		return nil
	case h.TLS != nil:
		return h.TLS(env)
	case h.listens:
		return nil // the process must not become another for one of its clients
	case ext.Available(home.Dir()):
		return becoming{}
	}
	return nil
}

// becoming is security by the second binary, which takes over with the
// client's STARTTLS.
type becoming struct{}

func (becoming) Offered() bool { return true }

func (becoming) Start(_ smtpd.Conn, helo string, _ func() error) (*smtpd.Secured, error) {
	err := ext.Become(home.Dir(), Role, handedHelo+"="+helo)
	return nil, &smtpd.TLSError{What: "unable to initialize ctx", Detail: err.Error()}
}

// ucspi is security by ucspi-ssl's sslserver: it is told on one descriptor to
// begin, and speaks on two others.
type ucspi struct{ env environ.List }

func (ucspi) Offered() bool { return true }

func (u ucspi) Start(conn smtpd.Conn, _ string, ready func() error) (*smtpd.Secured, error) {
	var fds [3]fdio.FD
	for i, name := range []string{"SSLCTLFD", "SSLREADFD", "SSLWRITEFD"} {
		value, _ := u.env.Lookup(name)
		fd, ok := descriptor(value)
		if !ok {
			return nil, &smtpd.TLSError{What: "unable to initialize ssl", Detail: "no " + name}
		}
		fds[i] = fd
	}
	if err := ready(); err != nil {
		return nil, err
	}
	if _, err := fds[0].WriteString("y"); err != nil {
		return nil, &smtpd.TLSError{What: "connection failed", Detail: err.Error()}
	}
	timeout := conn.SetTimeout(time.Hour)
	conn.SetTimeout(timeout)
	return &smtpd.Secured{ReadWriter: io.ReadWriter(&fdio.Timed{In: fds[1], Out: fds[2], Timeout: timeout})}, nil
}

// report logs a line for fail2ban and people to read: on descriptor 2, or
// through syslog where that is the client's connection, as under xinetd.
func report(line string) {
	if isSocket(2) {
		splog.Say(Role, line)
		return
	}
	_, _ = fdio.FD(2).WriteString(Role + ": " + line + "\n")
}

func isSocket(fd fdio.FD) bool {
	st, err := fd.Stat()
	return err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFSOCK
}

// descriptor reads a descriptor's number out of a variable.
func descriptor(value string) (fdio.FD, bool) {
	n, ok := control.Number(value)
	return fdio.FD(n), ok && value != "" && n > 2
}
