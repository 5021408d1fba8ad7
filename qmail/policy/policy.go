// Package policy is control/mailpolicy: rules that hold, archive or postpone
// new mail. It owns the file's format and decides which rule applies to a
// message; it must not know how its decisions are carried out.
//
// # Format
//
// A line is a rule, an empty line or one that begins with # is none. The first
// rule whose conditions all hold decides; without one the message goes its way.
//
//	hold[:AREA]      CONDITION …   keep it until an administrator releases it
//	archive[:USER]   CONDITION …   deliver a copy to the local USER as well
//	postpone:HH:MM   CONDITION …   keep it until that time of the day
//	pass             CONDITION …   nothing
//
// AREA is a word to find the messages by, quarantine where none is given. USER
// is archive where none is given: then .qmail-archive of the alias account says
// where copies go.
//
// Conditions are globs, in which * stands for any characters and ? for one, or
// compare a size; "…" quotes blanks:
//
//	sender=GLOB     envelope sender; <> is the null sender
//	recipient=GLOB  any envelope recipient
//	domain=GLOB     any recipient's domain
//	size>BYTES, size<BYTES
//	header="Subject: *GLOB*"   any header field, unfolded
//	relay=GLOB      IP address that the message came from; local for mail of this host
package policy

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/reqmail/reqmail/compat/steer"
)

// Action is what a rule does.
type Action string

// The actions.
const (
	Pass     Action = "pass"
	Hold     Action = "hold"
	Archive  Action = "archive"
	Postpone Action = "postpone"
)

// Areas and the user of actions that name none, and of postponed and archived
// mail.
const (
	Quarantine = "quarantine"
	Archived   = "archive"
	Postponed  = "postponed"
)

// Rule is one line.
type Rule struct {
	Line   int
	Action Action
	Area   string        // hold
	User   string        // archive
	At     time.Duration // postpone: since midnight

	conditions []condition
}

// Policy is the rules of a file. A nil one lets everything pass.
type Policy struct {
	rules []Rule
	text  bool // a rule looks into messages
}

// Message is what rules look at.
type Message struct {
	Sender     string
	Recipients []string
	Size       int64
	Header     []string // fields, unfolded; see Fields
	Relay      string
}

// condition is one condition of a rule.
type condition func(m *Message) bool

// LineError is a line that is no rule.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Err.Error() }

func (e *LineError) Unwrap() error { return e.Err }

// Limits of a file.
const (
	maxRules = 10000
	maxWord  = 1000 // bytes
)

// Check reads the text of a file for its mistakes. Every error is a
// *LineError.
func Check(text string) []error {
	_, errs := Parse(text)
	return errs
}

// Parse reads the text of a file. Lines that are no rules are errors and left
// out.
func Parse(text string) (*Policy, []error) {
	p := &Policy{}
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rule, usesText, err := parseRule(line)
		if err == nil && len(p.rules) == maxRules {
			err = errors.New("too many rules")
		}
		if err != nil {
			errs = append(errs, &LineError{number, err})
			continue
		}
		rule.Line = number
		p.rules = append(p.rules, rule)
		p.text = p.text || usesText
	}
	return p, errs
}

func parseRule(line string) (r Rule, usesText bool, err error) {
	words, err := split(line)
	if err != nil {
		return r, false, err
	}
	if r, err = parseAction(words[0]); err != nil {
		return r, false, err
	}
	for _, word := range words[1:] {
		c, text, err := parseCondition(word)
		if err != nil {
			return r, false, err
		}
		r.conditions = append(r.conditions, c)
		usesText = usesText || text
	}
	return r, usesText, nil
}

// split takes a line apart at blanks outside of quotes, which it removes.
func split(line string) (words []string, err error) {
	var word strings.Builder
	quoted, inWord := false, false
	end := func() error {
		if word.Len() > maxWord {
			return errors.New("a word is too long")
		}
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
		return nil
	}
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted, inWord = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if err := end(); err != nil {
				return nil, err
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quoted {
		return nil, errors.New("a quote does not end")
	}
	return words, end()
}

func parseAction(word string) (r Rule, err error) {
	name, argument, given := strings.Cut(word, ":")
	r.Action = Action(name)
	switch r.Action {
	case Pass:
		if given {
			err = errors.New("pass takes nothing")
		}
	case Hold:
		r.Area, err = wordOr(argument, given, Quarantine)
	case Archive:
		r.User, err = wordOr(argument, given, Archived)
	case Postpone:
		r.At, err = timeOfDay(argument)
	default:
		err = errors.New("unknown action " + strconv.Quote(name))
	}
	return r, err
}

// timeOfDay returns what has passed since midnight at HH:MM. Package time's
// Parse would add what qmail-send's small memory has no room for.
func timeOfDay(s string) (time.Duration, error) {
	hours, minutes, _ := strings.Cut(s, ":")
	h, hoursErr := strconv.ParseUint(hours, 10, 8)
	m, minutesErr := strconv.ParseUint(minutes, 10, 8)
	if hoursErr != nil || minutesErr != nil || len(hours) > 2 || len(minutes) != 2 || h > 23 || m > 59 {
		return 0, errors.New("postpone needs a time of day: postpone:HH:MM")
	}
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute, nil
}

// wordOr returns an argument, which must be a plain word, or its default.
func wordOr(argument string, given bool, otherwise string) (string, error) {
	if !given {
		return otherwise, nil
	}
	for i := range len(argument) {
		c := argument[i]
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return "", errors.New("not a plain word: " + strconv.Quote(argument))
		}
	}
	if argument == "" {
		return "", errors.New("a word is missing")
	}
	return argument, nil
}

// parseCondition returns a condition, and whether it looks into the message.
func parseCondition(word string) (c condition, usesText bool, err error) {
	at := strings.IndexAny(word, "=<>")
	if at < 0 {
		return nil, false, errors.New("not a condition: " + strconv.Quote(word))
	}
	name, operator, value := word[:at], word[at], word[at+1:]
	if name == "size" {
		c, err = sizeCondition(operator, value)
		return c, false, err
	}
	if operator != '=' || value == "" {
		return nil, false, errors.New("a condition reads NAME=GLOB: " + strconv.Quote(word))
	}
	filter := steer.Filter{}
	switch name {
	case "sender":
		filter.Sender = value
	case "recipient":
		filter.Recipient = value
	case "domain":
		filter.Domain = value
	case "header":
		return func(m *Message) bool { return anyGlob(value, m.Header) }, true, nil
	case "relay":
		return func(m *Message) bool { return steer.Glob(value, m.Relay) }, true, nil
	default:
		return nil, false, errors.New("unknown condition " + strconv.Quote(name))
	}
	return func(m *Message) bool { return filter.MatchFiles(asListed(m)) }, false, nil
}

// asListed gives addresses the form in which the one filter looks at them.
func asListed(m *Message) *steer.Message {
	listed := &steer.Message{Sender: m.Sender}
	for _, r := range m.Recipients {
		listed.Recipients = append(listed.Recipients, steer.Recipient{Address: r})
	}
	return listed
}

func sizeCondition(operator byte, value string) (condition, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil || n < 0:
		return nil, errors.New("not a size in bytes: " + strconv.Quote(value))
	case operator == '>':
		return func(m *Message) bool { return m.Size > n }, nil
	case operator == '<':
		return func(m *Message) bool { return m.Size < n }, nil
	}
	return nil, errors.New("a size is compared by < or >")
}

func anyGlob(glob string, list []string) bool {
	for _, s := range list {
		if steer.Glob(glob, s) {
			return true
		}
	}
	return false
}

// NeedsText reports whether a rule looks at a message's header.
func (p *Policy) NeedsText() bool { return p != nil && p.text }

// Empty reports whether there is no rule.
func (p *Policy) Empty() bool { return p == nil || len(p.rules) == 0 }

// Decide returns the rule that applies to a message; false if none does or it
// lets it pass.
func (p *Policy) Decide(m *Message) (Rule, bool) {
	if p == nil {
		return Rule{}, false
	}
	for _, r := range p.rules {
		if r.applies(m) {
			return r, r.Action != Pass
		}
	}
	return Rule{}, false
}

func (r *Rule) applies(m *Message) bool {
	for _, c := range r.conditions {
		if !c(m) {
			return false
		}
	}
	return true
}

// Next returns when the time of day of a rule comes next.
func (r *Rule) Next(now time.Time) time.Time {
	year, month, day := now.Date()
	for {
		// By clock, not by hours since midnight: days have 23 hours, too.
		t := time.Date(year, month, day, int(r.At.Hours()), int(r.At.Minutes())%60, 0, 0, now.Location())
		if t.After(now) {
			return t
		}
		day++
	}
}

// Fields takes the header at the beginning of a message apart: its fields,
// unfolded, up to the empty line or the end of text. The relay is what
// qmail-smtpd and its like wrote in the first Received fields: an IP address, or
// local.
func Fields(text []byte) (fields []string, relay string) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			return fields, relayOf(fields)
		case (line[0] == ' ' || line[0] == '\t') && len(fields) > 0:
			fields[len(fields)-1] += " " + strings.TrimLeft(line, " \t")
		default:
			fields = append(fields, line)
		}
	}
	return fields, relayOf(fields)
}

// relayOf reads the two Received fields that this host has put in front:
// qmail-queue's, and behind it that of the server that took the message.
func relayOf(fields []string) string {
	const local = "local"
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "Received: (qmail ") || !strings.Contains(fields[0], "from network") {
		return local
	}
	from, isFrom := strings.CutPrefix(fields[1], "Received: from ")
	from, _, by := strings.Cut(from, " by ")
	open, end := strings.LastIndexByte(from, '('), strings.LastIndexByte(from, ')')
	if !isFrom || !by || open < 0 || end < open {
		return local
	}
	address := from[open+1 : end]
	return address[strings.LastIndexByte(address, '@')+1:] // with what identd says in front
}
