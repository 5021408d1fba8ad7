package inject

import (
	"os"
	"strconv"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
	"github.com/reqmail/reqmail/qmail/rfc822"
)

// Config is what control files and environment tell qmail-inject.
type Config struct {
	completer
	IDHost       string
	MailingLists control.Map // of QMAILMFTFILE

	options
	user, host             string // of From
	hasHost                bool
	senderUser, senderHost string // of the envelope sender
	hasSenderHost          bool
	fullName               string
	hasName                bool
}

// options are the letters of QMAILINJECT.
type options struct {
	NameAsComment   bool // c
	DeleteSender    bool // s
	DeleteFrom      bool // f
	DeleteMessageID bool // i
	PerRecipient    bool // r
	PerMessage      bool // m
}

// deletes tells whether fields of a name are dropped as if they had not been
// there.
func (o options) deletes(name string) bool {
	return o.DeleteFrom && name == "from" ||
		o.DeleteMessageID && name == "message-id" ||
		o.DeleteSender && name == returnPathName
}

func parseOptions(letters string) options {
	has := func(letter string) bool { return strings.Contains(letters, letter) }
	return options{has("c"), has("s"), has("f"), has("i"), has("r"), has("m")}
}

// ReadConfig reads the environment and the control files below home.
func ReadConfig(home string) (*Config, *Failure) {
	c := &Config{options: parseOptions(os.Getenv("QMAILINJECT"))}
	c.readEnvironment()
	if f := c.readMailingLists(); f != nil {
		return nil, f
	}
	d, err := control.Open(home + "/control")
	if err != nil {
		return nil, temporary("read error")
	}
	for _, part := range []struct {
		name     control.Name
		variable string
		prefix   string
		into     *[]rfc822.Token
	}{
		{control.DefaultDomain, "QMAILDEFAULTDOMAIN", ".", &c.defaultDomain},
		{control.DefaultHost, "QMAILDEFAULTHOST", "@", &c.defaultHost},
		{control.PlusDomain, "QMAILPLUSDOMAIN", ".", &c.plusDomain},
	} {
		value, f := setting(d, part.name, part.variable)
		if f != nil {
			return nil, f
		}
		tokens, ok := rfc822.Parse(part.prefix + value)
		if !ok {
			return nil, unparsable(part.prefix + value)
		}
		*part.into = tokens
	}
	idHost, f := setting(d, control.IDHost, "QMAILIDHOST")
	c.IDHost = cString(idHost)
	return c, f
}

// setting returns the value of an environment variable or control file.
func setting(d *control.Dir, name control.Name, variable string) (string, *Failure) {
	line, _, err := d.Line(name)
	if err != nil {
		return "", temporary("read error")
	}
	if value, ok := os.LookupEnv(variable); ok {
		return value, nil
	}
	return line, nil
}

// firstSet returns the first of several environment variables that is set.
func firstSet(names ...string) (string, bool) {
	for _, name := range names {
		if value, ok := os.LookupEnv(name); ok {
			return value, true
		}
	}
	return "", false
}

func (c *Config) readEnvironment() {
	var ok bool
	c.host, c.hasHost = firstSet("QMAILHOST", "MAILHOST")
	if c.senderHost, c.hasSenderHost = firstSet("QMAILSHOST"); !c.hasSenderHost {
		c.senderHost, c.hasSenderHost = c.host, c.hasHost
	}
	if c.user, ok = firstSet("QMAILUSER", "MAILUSER", "USER", "LOGNAME"); !ok {
		c.user = "anonymous"
	}
	if c.senderUser, ok = firstSet("QMAILSUSER"); !ok {
		c.senderUser = c.user
	}
	c.fullName, c.hasName = firstSet("QMAILNAME", "MAILNAME", "NAME")
}

// readMailingLists reads the file that QMAILMFTFILE names, relative to the
// caller's directory.
func (c *Config) readMailingLists() *Failure {
	path, ok := os.LookupEnv("QMAILMFTFILE")
	if !ok {
		return nil
	}
	entries, _, err := control.ReadList(path)
	if err != nil {
		return temporary("read error")
	}
	c.MailingLists = control.Set(entries)
	return nil
}

// field makes a field "name: …" of tokens and completes its address.
func (c *Config) field(name string, tokens []rfc822.Token, note func(addr string)) (string, error) {
	all := append([]rfc822.Token{{Kind: rfc822.Atom, Text: name}, {Kind: rfc822.Colon}}, tokens...)
	text := rfc822.Unparse(all, lineLen)
	parsed, ok := rfc822.Parse(text)
	if ok {
		parsed, ok = rfc822.RewriteList(parsed, func(addr []rfc822.Token) []rfc822.Token {
			addr = c.complete(addr)
			note(rfc822.Unquote(addr))
			return addr
		})
	}
	if !ok {
		return "", unparsable(text)
	}
	return rfc822.Unparse(parsed, lineLen), nil
}

func word(kind rfc822.Kind, text string) rfc822.Token { return rfc822.Token{Kind: kind, Text: text} }

// at returns "@" and a host, nothing where there is none.
func at(host string, ok bool) []rfc822.Token {
	if !ok {
		return nil
	}
	return []rfc822.Token{{Kind: rfc822.At}, word(rfc822.Atom, host)}
}

// defaultFrom makes the From field of a message without one.
func (m *Message) defaultFrom() (string, error) {
	c := m.config
	kind := rfc822.Atom
	if address.QuoteLocal(c.user) != c.user {
		kind = rfc822.Quoted
	}
	addr := append([]rfc822.Token{word(kind, c.user)}, at(c.host, c.hasHost)...)
	var tokens []rfc822.Token
	switch {
	case !c.hasName:
		tokens = addr
	case c.NameAsComment:
		tokens = append(addr, word(rfc822.Comment, c.fullName))
	default:
		tokens = append([]rfc822.Token{word(rfc822.Quoted, c.fullName), {Kind: rfc822.Left}}, addr...)
		tokens = append(tokens, rfc822.Token{Kind: rfc822.Right})
	}
	return c.field("From", tokens, func(string) {})
}

// defaultSender makes the envelope sender of a message that names none.
func (m *Message) defaultSender() error {
	c := m.config
	user := c.senderUser
	if c.PerMessage {
		user += "-" + strconv.FormatInt(m.now.Unix(), 10) + "." + strconv.Itoa(m.pid)
	}
	if c.PerRecipient {
		user += "-"
	}
	tokens := append([]rfc822.Token{word(rfc822.Quoted, user)}, at(c.senderHost, c.hasSenderHost)...)
	_, err := c.field("Return-Path", tokens, func(addr string) { m.note(addr, returnPath) })
	return err
}
