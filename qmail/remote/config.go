package remote

import (
	"errors"
	"os"
	"time"

	"github.com/reqmail/reqmail/control"
)

// Config is what qmail-remote reads from the control directory.
type Config struct {
	HeloHost       string
	ConnectTimeout time.Duration
	Timeout        time.Duration // of each read and write
	Routes         control.Map   // smtproutes
	AuthSenders    control.Map
	Sources        Sources
	STARTTLS       STARTTLS
	SMTPUTF8       bool
	Signs          bool // dkimkeys or dkimplesk is there

	// For a process that stays.
	Reuse    time.Duration // how long a connection is kept for the next message; 0: not at all
	Together int           // recipients in one transaction, at most
}

// STARTTLS is what becomes of a host's offer of TLS.
type STARTTLS int

// The words of control/tlsremote.
const (
	Fallback   STARTTLS = iota // take it, go on in the clear if that fails
	NoFallback                 // take it, defer the message if that fails
	Off                        // let it be
)

// parseSTARTTLS reads one of them.
func parseSTARTTLS(word string) (s STARTTLS, known bool) {
	switch word {
	case "", "fallback":
		return Fallback, true
	case "nofallback":
		return NoFallback, true
	case "off":
		return Off, true
	}
	return Fallback, false
}

// Sources are the files that choose this host's address, and its name, for a
// connection.
type Sources struct {
	SenderIPs, DomainBindings, DomainIPs, HeloHosts control.Map // by sender
	BindRoutes                                      control.Map // by the recipients' domain
	OutgoingIP                                      []string    // its lines
}

var (
	// errNoName says that the host has no name to greet with.
	errNoName = errors.New("neither helohost nor me")
	errWord   = errors.New("unknown word in tlsremote")
)

// ReadConfig reads the control directory at path.
func ReadConfig(path string) (*Config, error) {
	c, _, err := readConfig(path)
	return c, err
}

// readConfig returns the names of the files that it has looked at, too.
func readConfig(path string) (*Config, []control.Name, error) {
	d, err := control.Open(path)
	if err != nil {
		return nil, nil, err
	}
	r := reader{dir: d}
	c := &Config{
		ConnectTimeout: time.Duration(r.number(control.TimeoutConnect)) * time.Second,
		Timeout:        time.Duration(r.number(control.TimeoutRemote)) * time.Second,
		Routes:         r.pairs(control.SMTPRoutes),
		AuthSenders:    r.pairs(control.AuthSenders),
		SMTPUTF8:       r.number(control.SMTPUTF8) != 0,
		Reuse:          time.Duration(max(r.number(control.ConnectionReuse), 0)) * time.Second,
		Together:       r.number(control.TransactionRecipients),
		Sources: Sources{
			SenderIPs:      r.pairs(control.SenderIPs),
			DomainBindings: r.pairs(control.DomainBindings),
			DomainIPs:      r.pairs(control.DomainIPs),
			HeloHosts:      r.pairs(control.HeloHosts),
			BindRoutes:     r.pairs(control.BindRoutes),
			OutgoingIP:     r.list(control.OutgoingIP),
		},
	}
	keys, plesk := r.has(control.DKIMKeys), r.has(control.DKIMPlesk)
	c.Signs = keys || plesk
	var named, known bool
	c.HeloHost, named = r.line(control.HeloHost)
	word, _ := r.line(control.TLSRemote)
	c.STARTTLS, known = parseSTARTTLS(word)
	if ip, ok := os.LookupEnv("OUTGOINGIP"); ok {
		c.Sources.OutgoingIP = []string{ip}
	}
	switch {
	case r.err != nil:
		return nil, nil, r.err
	case !named:
		return nil, nil, errNoName
	case !known:
		return nil, nil, errWord
	}
	return c, append(r.names, control.Me), nil
}

// reader reads control files and remembers their names and the first error.
type reader struct {
	dir   *control.Dir
	names []control.Name
	err   error
}

func (r *reader) failed(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) line(name control.Name) (string, bool) {
	r.names = append(r.names, name)
	line, ok, err := r.dir.Line(name)
	r.failed(err)
	return line, ok
}

func (r *reader) has(name control.Name) bool {
	r.names = append(r.names, name)
	_, ok, err := r.dir.Raw(name)
	r.failed(err)
	return ok
}

func (r *reader) number(name control.Name) int {
	r.names = append(r.names, name)
	n, err := r.dir.Int(name)
	r.failed(err)
	return n
}

func (r *reader) list(name control.Name) []string {
	r.names = append(r.names, name)
	list, _, err := r.dir.List(name)
	r.failed(err)
	return list
}

func (r *reader) pairs(name control.Name) control.Map { return control.Pairs(r.list(name)) }
