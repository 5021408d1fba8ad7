// Package control reads the files of /var/qmail/control. It is the one place
// that knows every file, its format and its default (qmail-control(5)); it
// must not know what a value is used for.
package control

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/compat/fdio"
)

// Name is the name of a control file.
type Name string

// The control files of the plain program set.
const (
	Me                Name = "me"
	BadMailFrom       Name = "badmailfrom"
	BounceFrom        Name = "bouncefrom"
	BounceHost        Name = "bouncehost"
	ConcurrencyLocal  Name = "concurrencylocal"
	ConcurrencyRemote Name = "concurrencyremote"
	DataBytes         Name = "databytes"
	DefaultDomain     Name = "defaultdomain"
	DefaultHost       Name = "defaulthost"
	DoubleBounceHost  Name = "doublebouncehost"
	DoubleBounceTo    Name = "doublebounceto"
	EnvNoAtHost       Name = "envnoathost"
	HeloHost          Name = "helohost"
	IDHost            Name = "idhost"
	LocalIPHost       Name = "localiphost"
	Locals            Name = "locals"
	MoreRcptHosts     Name = "morercpthosts"
	MoreRcptHostsCDB  Name = "morercpthosts.cdb"
	PercentHack       Name = "percenthack"
	PlusDomain        Name = "plusdomain"
	QMQPServers       Name = "qmqpservers"
	QueueLifetime     Name = "queuelifetime"
	RcptHosts         Name = "rcpthosts"
	SMTPGreeting      Name = "smtpgreeting"
	SMTPRoutes        Name = "smtproutes"
	TimeoutConnect    Name = "timeoutconnect"
	TimeoutRemote     Name = "timeoutremote"
	TimeoutSMTPD      Name = "timeoutsmtpd"
	VirtualDomains    Name = "virtualdomains"
)

// Control files of the deployed patches.
const (
	AuthSenders         Name = "authsenders"
	BadHelo             Name = "badhelo"
	BadHeloNoRelay      Name = "badhelonorelay"
	BadHeloPatterns     Name = "badhelopatterns"
	BadMailFromNoRelay  Name = "badmailfromnorelay"
	BadMailFromPatterns Name = "badmailfrompatterns"
	BadMailPatterns     Name = "badmailpatterns"
	BadMailTo           Name = "badmailto"
	BadMailToPatterns   Name = "badmailtopatterns"
	BadRcptPatterns     Name = "badrcptpatterns"
	BadRcptTo           Name = "badrcptto"
	BadRcptToNoRelay    Name = "badrcpttonorelay"
	BindRoutes          Name = "bindroutes"
	BrtLimit            Name = "brtlimit"
	DKIMKeys            Name = "dkimkeys"
	DomainBindings      Name = "domainbindings"
	DomainIPs           Name = "domainips"
	GreetDelay          Name = "greetdelay"
	HeloHosts           Name = "helohosts"
	MaxRcpt             Name = "maxrcpt"
	MaxRecipients       Name = "maxrecipients"
	MFCheck             Name = "mfcheck"
	NoDNSCheck          Name = "nodnscheck"
	OutgoingIP          Name = "outgoingip"
	SenderIPs           Name = "senderips"
	SMTPPlugins         Name = "smtpplugins"
	SMTPUTF8            Name = "smtputf8"
	SPFBehavior         Name = "spfbehavior"
	SPFExp              Name = "spfexp"
	SPFGuess            Name = "spfguess"
	SPFRules            Name = "spfrules"
	TarpitCount         Name = "tarpitcount"
	TarpitDelay         Name = "tarpitdelay"
	TLSClientCiphers    Name = "tlsclientciphers"
	TLSClients          Name = "tlsclients"
	TLSServerCiphers    Name = "tlsserverciphers"
	ValidRcptToCDB      Name = "validrcptto.cdb"
)

// Control files of reqmail alone.
const (
	// ConcurrencySpawn is how many deliveries at a time a spawner offers.
	ConcurrencySpawn Name = "concurrencyspawn"
	// ConnectionReuse is for how many seconds qmail-remote keeps a connection
	// for another message; 0 for not at all.
	ConnectionReuse Name = "connectionreuse"
	// DKIMPlesk switches signatures with Plesk's keys on.
	DKIMPlesk Name = "dkimplesk"
	// RcptCallout switches on that destinations are asked whether a recipient
	// exists, RcptCalloutKnown lists those who do in any case.
	RcptCallout      Name = "rcptcallout"
	RcptCalloutKnown Name = "rcptcalloutknown"
	// DomainLifetime is how many seconds mail to a domain is tried for, in
	// place of queuelifetime: lines DOMAIN:SECONDS, with a dot in front for
	// every domain below it.
	DomainLifetime Name = "domainlifetime"
	// FairScheduler other than 0 has destinations share the slots of the remote
	// channel, and fresh mail go before retries (qmail-send).
	FairScheduler Name = "fairscheduler"
	// FreezeBounces other than 0 keeps bounces that can neither be delivered
	// nor returned, held, instead of discarding them.
	FreezeBounces Name = "freezebounces"
	// MailPolicy are the rules that hold, archive or postpone new mail (package
	// qmail/policy knows them).
	MailPolicy Name = "mailpolicy"
	// ReqmailServe is where the HTTP service listens: lines ADDRESS:PORT
	// [CERTIFICATE [KEY]]; package qmail/serve knows them. ReqmailTokens are
	// the hashes of its tokens.
	ReqmailServe  Name = "reqmailserve"
	ReqmailTokens Name = "reqmailtokens"
	// ResidentChildren other than 0 lets children that are ours stay for more
	// jobs (package compat/resident).
	ResidentChildren Name = "residentchildren"
	// TLSMinimum is the lowest version of TLS that qmail-smtpd and
	// qmail-remote speak.
	TLSMinimum Name = "tlsminimum"
	// TLSRemote is whether qmail-remote uses STARTTLS where it is offered.
	TLSRemote Name = "tlsremote"
	// TransactionRecipients is how many recipients of a message on one host
	// qmail-remote names in one transaction; 1 for one, as in qmail.
	TransactionRecipients Name = "transactionrecipients"
)

// Default is what stands in for a missing file.
type Default struct {
	Me   bool   // the content of control/me …
	Text string // … or, without that, this text; empty means none
	Int  int    // for integer files
}

// DefaultOf returns the default of a line or integer file; seconds and bytes
// are the units of the latter.
func DefaultOf(name Name) Default {
	switch name {
	case BounceHost, DefaultDomain, DefaultHost, DoubleBounceHost, EnvNoAtHost, IDHost, PlusDomain:
		return Default{Me: true, Text: string(name)}
	case HeloHost, LocalIPHost, SMTPGreeting, Locals:
		return Default{Me: true}
	case BounceFrom:
		return Default{Text: "MAILER-DAEMON"}
	case DoubleBounceTo:
		return Default{Text: "postmaster"}
	case ConcurrencyLocal:
		return Default{Int: 10}
	case ConcurrencyRemote:
		return Default{Int: 20}
	case ConcurrencySpawn:
		return Default{Int: 120}
	case ConnectionReuse:
		return Default{Int: 2}
	case FairScheduler, ResidentChildren:
		return Default{Int: 1}
	case TransactionRecipients:
		return Default{Int: 100}
	case SPFExp:
		return Default{Text: "See http://spf.pobox.com/why.html?sender=%{S}&ip=%{I}&receiver=%{xR}"}
	case TarpitDelay:
		return Default{Int: 5}
	case QueueLifetime:
		return Default{Int: 604800}
	case TimeoutConnect:
		return Default{Int: 60}
	case TimeoutRemote, TimeoutSMTPD:
		return Default{Int: 1200}
	}
	return Default{}
}

// Dir is a control directory, read afresh at every call but for me, which is
// read once.
type Dir struct {
	path  string
	me    string
	hasMe bool
	names string // of the files that were there, each between two NULs; empty where nobody has looked
}

// Open reads control/me of the control directory at path. A missing me is no
// error.
func Open(path string) (*Dir, error) {
	d := &Dir{path: path}
	line, ok, err := d.Raw(Me)
	d.me, d.hasMe = line, ok
	return d, err
}

// Glance is Open for who asks for many files at once, most of which are not
// there: it lists the directory, and what that lacks is taken for missing from
// then on. Each file is asked for where the directory cannot be listed, or has
// changed just now: one that is being renamed may be in no list.
func Glance(path string) (*Dir, error) {
	d := &Dir{path: path, names: list(path)}
	line, ok, err := d.Raw(Me)
	d.me, d.hasMe = line, ok
	return d, err
}

const (
	// maxNames is how many bytes of names a directory may have to be listed. One
	// that has more is not worth it.
	maxNames = 16 << 10

	// settled is how long a directory must not have changed: there are file systems
	// that note times by the second.
	settled = 3 * time.Second
)

// list returns what names is to be.
func list(path string) string {
	dir, err := fdio.Open(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return ""
	}
	defer dir.Close()
	buf := make([]byte, 4<<10)
	names := make([]byte, 1, 1<<10)
	for {
		more, err := dir.Entries(buf, func(_ byte, name []byte) { names = append(append(names, name...), 0) })
		if err != nil || len(names) > maxNames {
			return ""
		}
		if !more {
			break
		}
	}
	st, err := dir.Stat()
	if err != nil || time.Since(time.Unix(st.Mtim.Unix())) < settled {
		return ""
	}
	return string(names)
}

// Lacks reports whether Glance has found a file to be missing. That is never said
// of rcpthosts, without which a server relays for everybody.
func (d *Dir) Lacks(name Name) bool {
	return d.names != "" && name != RcptHosts && !strings.Contains(d.names, "\x00"+string(name)+"\x00")
}

// Me returns the host's name, false where control/me does not exist.
func (d *Dir) Me() (string, bool) { return d.me, d.hasMe }

// Line returns the first line of a file without trailing blanks, or its
// default. ok is false where there is neither.
func (d *Dir) Line(name Name) (line string, ok bool, err error) {
	line, ok, err = d.Raw(name)
	if ok || err != nil {
		return line, ok, err
	}
	def := DefaultOf(name)
	if def.Me && d.hasMe {
		return d.me, true, nil
	}
	return def.Text, def.Text != "", nil
}

// Int returns the number at the start of a file, or its default where the
// file or the number is missing.
func (d *Dir) Int(name Name) (int, error) {
	def := DefaultOf(name).Int
	line, ok, err := d.Raw(name)
	if !ok || err != nil {
		return def, err
	}
	n, ok := Number(line)
	if !ok {
		return def, nil
	}
	return n, nil
}

// Residents reports whether residentchildren of the qmail home lets programs
// stay for more jobs. A file that cannot be read lets none.
func Residents(home string) bool {
	d := &Dir{path: home + "/control"}
	n, err := d.Int(ResidentChildren)
	return err == nil && n != 0
}

// Number reads the digits at the start of s, as a C int keeps them.
func Number(s string) (int, bool) {
	digits := 0
	var n uint64
	for digits < len(s) && '0' <= s[digits] && s[digits] <= '9' {
		n = n*10 + uint64(s[digits]-'0')
		digits++
	}
	return int(int32(n)), digits > 0
}

// List returns the entries of a list file: lines without trailing blanks,
// but no empty ones and no comments. ok is false where the file is missing;
// the default of me (locals) is the one entry of that list.
func (d *Dir) List(name Name) (entries []string, ok bool, err error) {
	data, ok, err := d.read(name)
	if err != nil {
		return nil, false, err
	}
	if !ok {
		if DefaultOf(name).Me && d.hasMe {
			return []string{d.me}, true, nil
		}
		return nil, false, nil
	}
	return ParseList(data), true, nil
}

// Text returns the whole text of a file; ok is false where it is missing.
func (d *Dir) Text(name Name) (text string, ok bool, err error) { return d.read(name) }

// ReadList returns the entries of a list file anywhere; ok is false where it
// is missing.
func ReadList(path string) (entries []string, ok bool, err error) {
	data, ok, err := readFile(path)
	if !ok || err != nil {
		return nil, false, err
	}
	return ParseList(data), true, nil
}

// ParseList takes the text of a list file apart. A NUL in a line splits it.
func ParseList(text string) []string {
	var entries []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n \t")
		if line == "" || line[0] == '#' || line[0] == 0 {
			continue
		}
		entries = append(entries, strings.Split(line, "\x00")...)
	}
	return entries
}

// Raw returns the first line of a file without trailing blanks, and no default:
// ok is false where the file is missing.
func (d *Dir) Raw(name Name) (line string, ok bool, err error) {
	data, ok, err := d.read(name)
	line, _, _ = strings.Cut(data, "\n")
	return strings.TrimRight(line, " \t\n"), ok, err
}

func (d *Dir) read(name Name) (string, bool, error) {
	if d.Lacks(name) {
		return "", false, nil
	}
	return readFile(d.path + "/" + string(name))
}

func readFile(path string) (string, bool, error) {
	data, err := fdio.ReadFile(path)
	if err == syscall.ENOENT {
		return "", false, nil
	}
	if err != nil {
		return "", false, &Error{path, err}
	}
	return string(data), true, nil
}

// Error is trouble with a control file.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string {
	return "unable to read " + strconv.Quote(e.Path) + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Map is a list file as a table; its keys are compared without regard to
// ASCII case, and of equal ones the last counts.
type Map map[string]string

// Set makes a table of entries that are keys alone.
func Set(entries []string) Map {
	m := make(Map, len(entries))
	for _, e := range entries {
		m[address.Lower(e)] = ""
	}
	return m
}

// Pairs makes a table of entries of the form "key:value"; entries without a
// colon are ignored.
func Pairs(entries []string) Map {
	m := make(Map, len(entries))
	for _, e := range entries {
		if key, value, ok := strings.Cut(e, ":"); ok {
			m[address.Lower(key)] = value
		}
	}
	return m
}

// Get looks a key up.
func (m Map) Get(key string) (value string, ok bool) {
	if len(m) == 0 {
		return "", false
	}
	value, ok = m[address.Lower(key)]
	return value, ok
}

// Has reports whether the key is there.
func (m Map) Has(key string) bool {
	_, ok := m.Get(key)
	return ok
}

// Domain looks up a domain, then each of its suffixes that begins at a dot,
// then the empty key.
func (m Map) Domain(domain string) (value string, ok bool) {
	for i := 0; i <= len(domain); i++ {
		if i != 0 && i != len(domain) && domain[i] != '.' {
			continue
		}
		if value, ok := m.Get(domain[i:]); ok {
			return value, true
		}
	}
	return "", false
}
