package filter

import (
	"slices"
	"time"

	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/control"
)

// Lookup finds a variable in the environment of a connection.
type Lookup = func(name string) (value string, ok bool)

// Libraries are what filters get from the second binary.
type Libraries struct {
	Compile Compile
	Chain   Chain // its own filters; they stand where the order wants them
}

// NeedsLibraries reports whether filters are switched on that the second
// binary alone has: SPF, and lists with regular expressions. Trouble with a
// control file shows later.
func NeedsLibraries(d *control.Dir, lookup Lookup) bool {
	if behavior, err := SPFBehavior(d, lookup); err == nil && behavior > 0 {
		return true
	}
	has := func(name control.Name, wanted func(entry string) bool) bool {
		entries, _, err := d.List(name)
		return err == nil && slices.ContainsFunc(entries, wanted)
	}
	anything := func(string) bool { return true }
	return slices.ContainsFunc(expressions, func(n control.Name) bool { return has(n, anything) }) ||
		slices.ContainsFunc(mixed, func(n control.Name) bool { return has(n, looksRegular) })
}

// expressions are the lists that have nothing but regular expressions, mixed
// those whose entries tell by their looks.
var (
	expressions = []control.Name{control.BadHeloPatterns, control.BadMailFromPatterns, control.BadMailPatterns,
		control.BadRcptPatterns, control.BadMailToPatterns}
	mixed = []control.Name{control.BadHelo, control.BadHeloNoRelay, control.BadMailFromNoRelay,
		control.BadRcptTo, control.BadRcptToNoRelay, control.BadMailTo}
)

// SPFBehavior is what SPF is used for: SPFBEHAVIOR, else control/spfbehavior.
// 0 means not at all.
func SPFBehavior(d *control.Dir, lookup Lookup) (int, error) {
	s := &settings{dir: d, lookup: lookup}
	n := s.number([]string{"SPFBEHAVIOR"}, control.SPFBehavior)
	return n, s.err
}

// Configured returns the filters that are switched on by control files, those
// of d, below home, and by the environment of the connection. libraries are those
// of the second binary.
func Configured(d *control.Dir, home string, lookup Lookup, libraries Libraries) (Chain, error) {
	s := &settings{home: home, dir: d, lookup: lookup, compile: libraries.Compile}
	s.addPace()
	s.addNames()
	s.addSenders()
	s.addPlugins()
	s.addDomains()
	s.chain = append(s.chain, libraries.Chain...)
	s.addLimits()
	s.addRecipients()
	s.addKnown()
	s.addChecker()
	s.addTarpit()
	return s.chain, s.err
}

// settings gathers filters. The first error stays.
type settings struct {
	home    string
	dir     *control.Dir
	lookup  Lookup
	compile Compile
	chain   Chain
	err     error
}

func (s *settings) add(f Filter) { s.chain = append(s.chain, f) }

// number is that of the first variable that is set, else of the first control
// file that has one, else 0.
func (s *settings) number(variables []string, names ...control.Name) int {
	for _, variable := range variables {
		if value, ok := s.lookup(variable); ok {
			n, _ := control.Number(value)
			return max(n, 0)
		}
	}
	for _, name := range names {
		n, err := s.dir.Int(name)
		s.keep(err)
		if n > 0 {
			return n
		}
	}
	return 0
}

func (s *settings) list(name control.Name) []string {
	entries, _, err := s.dir.List(name)
	s.keep(err)
	return entries
}

// matcher reads lists of what a client may say that is not welcome: exact
// control files, and others whose entries are patterns.
func (s *settings) matcher(exact, patterns []control.Name) (m Matcher) {
	m.compile = s.compile
	for _, name := range exact {
		s.keep(m.addEntries(s.list(name)))
	}
	for _, name := range patterns {
		s.keep(m.addPatterns(s.list(name)))
	}
	return m
}

func (s *settings) keep(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *settings) addPace() {
	if n := s.number([]string{"GREETDELAY"}, control.GreetDelay); n > 0 {
		s.add(greetDelay{delay: time.Duration(n) * time.Second})
	}
}

func (s *settings) addNames() {
	var names badHelo
	if _, off := s.lookup("NOBADHELO"); !off {
		names.all = s.matcher([]control.Name{control.BadHelo}, []control.Name{control.BadHeloPatterns})
		names.strangers = s.matcher([]control.Name{control.BadHeloNoRelay}, nil)
	}
	names.check, _ = s.lookup("HELOCHECK")
	if !names.all.Empty() || !names.strangers.Empty() || names.check != "" {
		names.dns = resolver.System()
		s.add(names)
	}
}

func (s *settings) addSenders() {
	senders := badSender{
		all:       s.matcher(nil, []control.Name{control.BadMailFromPatterns, control.BadMailPatterns}),
		strangers: s.matcher([]control.Name{control.BadMailFromNoRelay}, nil),
	}
	// qmail-smtpd itself knows badmailfrom's addresses and domains.
	senders.all.addWildcards(s.list(control.BadMailFrom))
	if !senders.all.Empty() || !senders.strangers.Empty() {
		s.add(senders)
	}
}

func (s *settings) addPlugins() {
	p, err := newPlugins(s.dir, s.home, s.lookup)
	s.keep(err)
	if p != nil {
		s.add(p)
	}
}

func (s *settings) addDomains() {
	on := s.number([]string{"MFCHECK"}, control.MFCheck) > 0
	if value, ok := s.lookup("MFDNSCHECK"); ok && value != "0" {
		on = true
	}
	if on {
		s.add(senderDomain{dns: resolver.System(), exempt: control.Set(s.list(control.NoDNSCheck))})
	}
}

func (s *settings) addLimits() {
	if limit := s.number([]string{"MAXRCPT", "MAXRECIPIENTS"}, control.MaxRcpt, control.MaxRecipients); limit > 0 {
		s.add(maxRecipients{limit: limit})
	}
	if limit := s.number([]string{"BRTLIMIT"}, control.BrtLimit); limit > 0 {
		s.add(maxRejected{limit: limit})
	}
}

func (s *settings) addRecipients() {
	for _, list := range []struct {
		exact, strangers, patterns control.Name
		reply                      string
	}{
		{control.BadRcptTo, control.BadRcptToNoRelay, control.BadRcptPatterns, replyBadRcptTo},
		{control.BadMailTo, "", control.BadMailToPatterns, replyBadMailTo},
	} {
		f := badRecipient{reply: list.reply, all: s.matcher([]control.Name{list.exact}, []control.Name{list.patterns})}
		if list.strangers != "" {
			f.strangers = s.matcher([]control.Name{list.strangers}, nil)
		}
		if !f.all.Empty() || !f.strangers.Empty() {
			s.add(f)
		}
	}
}

func (s *settings) addKnown() {
	k, err := newKnown(s.dir, s.home, s.lookup)
	s.keep(err)
	if k != nil {
		s.add(k)
	}
}

func (s *settings) addChecker() {
	if program, ok := s.lookup("RCPTCHECK"); ok && program != "" {
		s.add(checker{home: s.home, program: program})
	}
}

func (s *settings) addTarpit() {
	if count := s.number([]string{"TARPITCOUNT"}, control.TarpitCount); count > 0 {
		delay := s.number([]string{"TARPITDELAY"}, control.TarpitDelay)
		s.add(tarpit{count: count, delay: time.Duration(delay) * time.Second, sleep: time.Sleep})
	}
}
