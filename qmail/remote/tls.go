package remote

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/reqmail/reqmail/compat/ext"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/socket"
	"github.com/reqmail/reqmail/compat/wire"
)

// The folders of the TLS patch, below the qmail home, and the file that
// restricts TLS to the hosts that the first one names.
const (
	tlsHosts   = "control/tlshosts/"
	noTLSHosts = "control/notlshosts/"
	exhaustive = tlsHosts + "exhaustivelist"
)

// handedOver carries a connection to the program that takes over at STARTTLS:
// descriptor, address, port and the host's name.
const handedOver = "REQMAIL_CONNECTION"

// security is what the control files say about TLS with a host.
type security struct {
	wanted        bool   // if the host offers it
	fromFirstByte bool   // without an offer
	mustFrom      string // file whose authorities must vouch for the host; empty: TLS may be missing
	fallback      bool   // where it fails, go on without
}

// choose finds out what the control files say about the target.
func (x *exchange) choose() *result {
	x.security = security{fromFirstByte: x.target.port == smtpsPort}
	lookups := controlFiles{home: x.Home}
	listed := lookups.find(tlsHosts, x.target.name, ".pem")
	barred := lookups.find(noTLSHosts, x.target.name, "") != "" || lookups.has(exhaustive)
	if lookups.err != nil {
		return resControls
	}
	x.security.mustFrom = listed
	x.security.wanted = !x.security.fromFirstByte && (listed != "" || !barred && x.Config.STARTTLS != Off)
	// A password that is meant for a safe connection is not said on another.
	x.security.fallback = listed == "" && x.Config.STARTTLS == Fallback && x.target.login.User == ""
	return nil
}

// controlFiles looks whether files exist, and remembers the first that could
// not be found out.
type controlFiles struct {
	home string
	err  error
}

// find returns the path of a host's file, as the name is written or in lower
// case, and nothing if there is none.
func (c *controlFiles) find(folder, host, suffix string) string {
	if host == "" || strings.ContainsAny(host, "/\x00") {
		return ""
	}
	for _, name := range []string{host, strings.ToLower(host)} {
		if path := folder + name + suffix; c.has(path) {
			return path
		}
	}
	return ""
}

func (c *controlFiles) has(path string) bool {
	var st syscall.Stat_t
	err := syscall.Stat(c.home+"/"+path, &st)
	switch err {
	case nil, syscall.ENOENT, syscall.ENOTDIR, syscall.ENAMETOOLONG:
	default:
		c.err = err
	}
	return err == nil
}

// becomeSecure makes the conversation one with TLS, if the host offers that.
func (x *exchange) becomeSecure() *result {
	_, offered := x.s.Extension("STARTTLS")
	switch {
	case offered && x.Libraries != nil && x.Libraries.TLS != nil:
		return x.startTLS()
	case offered && x.Libraries == nil && x.staying && ext.Available(x.Home):
		// The binary was not there when the process began.
		return resDeclined
	case offered && x.Libraries == nil && !x.staying:
		// Where this fails the host has heard nothing of it.
		x.handOver()
	}
	if x.security.mustFrom != "" {
		return x.insecure(&TLSFailure{Text: "No TLS achieved while " + x.security.mustFrom + " exists"})
	}
	return nil
}

// handOver lets the second binary go on with the connection. It returns only
// if that fails, and nothing is changed then.
func (x *exchange) handOver() {
	conn, ok := x.conn.(*os.File)
	if !ok || !ext.Available(x.Home) {
		return
	}
	fd, err := socket.HandOver(conn)
	if err != nil {
		return
	}
	defer fd.Close()
	_ = ext.Become(x.Home, Role, handedOver+"="+strings.Join([]string{
		strconv.Itoa(int(fd)), x.target.addr.String(), strconv.Itoa(int(x.target.port)), x.target.name}, " "))
}

// takeOver takes the connection that the first binary has handed over, and
// reports whether there is one.
func (x *exchange) takeOver() bool {
	value, _ := ext.Take(handedOver)
	f := strings.SplitN(value, " ", 4)
	if len(f) != 4 {
		return false
	}
	fd, fdErr := strconv.Atoi(f[0])
	addr, addrErr := netip.ParseAddr(f[1])
	port, portErr := strconv.ParseUint(f[2], 10, 16)
	if fdErr != nil || addrErr != nil || portErr != nil {
		return false
	}
	conn, err := socket.TakeOver(fdio.FD(fd))
	if err != nil {
		return false
	}
	r, _ := x.route()
	x.target = target{addr: addr, port: uint16(port), name: f[3], login: r.Credentials}
	x.use(conn)
	return true
}

// startTLS asks for TLS and begins it. Where that fails, and may, it goes on
// in the clear over a new connection.
func (x *exchange) startTLS() *result {
	reply, err := x.s.StartTLS()
	switch {
	case err != nil:
		return x.afterFailure(&TLSFailure{Text: "TLS connect failed: connection died"})
	case reply.Code != 220 && x.security.mustFrom != "":
		res := x.insecure(&TLSFailure{Text: "STARTTLS rejected while " + x.security.mustFrom + " exists"})
		res.text += "Remote host said: " + reply.Text
		return res
	case reply.Code != 220:
		return x.afterFailure(&TLSFailure{Text: "TLS connect failed: STARTTLS rejected"})
	}
	if failure := x.beginTLS(); failure != nil {
		return x.afterFailure(failure)
	}
	reply, err = x.s.Hello(x.source.helo)
	switch {
	case err != nil && x.security.fallback:
		// In TLS 1.3 a host's objections come behind our handshake.
		return x.afterFailure(nil)
	case err != nil:
		return x.died()
	case reply.Code != 250:
		return x.said('Z', "Connected to ", " but my name was rejected", reply)
	}
	return nil
}

// beginTLS makes the handshake and begins a session over it. What the host
// sent in the clear behind its last reply is not listened to (RFC 3207 4.2).
func (x *exchange) beginTLS() *TLSFailure {
	if x.Libraries == nil || x.Libraries.TLS == nil {
		return &TLSFailure{Text: "TLS connect failed: " + ext.Program + " is not installed"}
	}
	if x.s != nil && x.s.unread() {
		return &TLSFailure{Text: "TLS connect failed: host spoke out of turn"}
	}
	x.watch.enter(wire.PhaseTLS, "", 0)
	conn, failure := x.Libraries.TLS(x.conn, TLSOptions{
		Name: x.target.name, Authorities: x.security.mustFrom, Timeout: x.Config.Timeout,
	})
	if failure != nil {
		if x.s != nil {
			x.s.over = true
		}
		return failure
	}
	x.closers = append(x.closers, conn)
	x.s, x.secure = NewSession(conn, x.Config.Timeout), true
	return nil
}

// afterFailure goes on without TLS where that is allowed.
func (x *exchange) afterFailure(failure *TLSFailure) *result {
	if !x.security.fallback {
		return x.insecure(failure)
	}
	x.s.over = true
	x.close()
	switch err := x.connect(); {
	case err == nil:
		return x.open()
	case outOfResources(err):
		return resResources
	}
	return resNoConnection
}

// insecure is the result of TLS that is demanded and was not to be had.
func (x *exchange) insecure(failure *TLSFailure) *result {
	to := "; connecting to "
	if failure.Connected {
		to = "; connected to "
	}
	return &result{'Z', failure.Text + to + string(x.partner) + ".\n"}
}
