package filter

import (
	"errors"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
)

// Matcher is a list of names or addresses that are not welcome. Nothing in it
// depends on the case of letters.
type Matcher struct {
	exact    map[string]bool // names, addresses, and domains with "@" before them
	patterns []pattern
	compile  Compile
}

// pattern is an entry of qregex: a regular expression, which hits what it
// matches somewhere, or, behind "!", what it does not match.
type pattern struct {
	expression Expression
	negated    bool
}

// Expression is a regular expression.
type Expression interface{ MatchString(text string) bool }

// Compile makes an expression as regcomp(3) knows them under REG_EXTENDED and
// REG_ICASE. The second binary has one: package regexp would keep qmail-smtpd
// from being executed under small memory limits.
type Compile func(text string) (Expression, error)

// errNoExpressions is what lists with expressions are without the second
// binary.
var errNoExpressions = errors.New("regular expressions need reqmail-ext")

// Empty reports whether nothing is in the list.
func (m *Matcher) Empty() bool { return len(m.exact) == 0 && len(m.patterns) == 0 }

// Hits reports whether a name or address is in the list.
func (m *Matcher) Hits(text string) bool {
	text = address.Lower(text)
	if m.exact[text] {
		return true
	}
	if _, domain, ok := address.Split(text); ok && m.exact["@"+domain] {
		return true
	}
	for _, p := range m.patterns {
		if p.expression.MatchString(text) != p.negated {
			return true
		}
	}
	return false
}

// addEntries adds the entries of a list that the patch sets read in different
// ways: what can only be a regular expression is one, "*" alone stands for
// any characters, all else for itself.
func (m *Matcher) addEntries(entries []string) error {
	for _, e := range entries {
		if !looksRegular(e) {
			m.addPlain(e)
			continue
		}
		switch err := m.addPattern(e); {
		case errors.Is(err, errNoExpressions):
			return err
		case err != nil:
			m.addPlain(e)
		}
	}
	return nil
}

// looksRegular reports whether an entry has what neither names nor addresses
// have.
func looksRegular(entry string) bool {
	return strings.HasPrefix(entry, "!") || strings.ContainsAny(entry, `^$\()|`) || strings.Contains(entry, ".*")
}

// addWildcards adds those entries of a list that have a "*".
func (m *Matcher) addWildcards(entries []string) {
	for _, e := range entries {
		if strings.Contains(e, "*") {
			m.addPlain(e)
		}
	}
}

func (m *Matcher) addPlain(entry string) {
	if strings.Contains(entry, "*") {
		m.patterns = append(m.patterns, pattern{expression: wildcard(strings.Split(address.Lower(entry), "*"))})
		return
	}
	if m.exact == nil {
		m.exact = map[string]bool{}
	}
	m.exact[address.Lower(entry)] = true
}

// wildcard is an entry with "*": the texts before, between and behind them.
type wildcard []string

// MatchString reports whether the texts stand in it in their order, the first
// at its begin and the last at its end.
func (w wildcard) MatchString(text string) bool {
	first, last := w[0], w[len(w)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	rest := text[len(first) : len(text)-len(last)]
	for _, part := range w[1 : len(w)-1] {
		_, behind, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = behind
	}
	return true
}

// addPatterns adds regular expressions.
func (m *Matcher) addPatterns(entries []string) error {
	for _, e := range entries {
		if err := m.addPattern(e); err != nil {
			return err
		}
	}
	return nil
}

// addPattern adds a regular expression; see Compile.
func (m *Matcher) addPattern(entry string) error {
	if m.compile == nil {
		return errNoExpressions
	}
	text, negated := strings.CutPrefix(entry, "!")
	re, err := m.compile(text)
	if err != nil {
		return &control.Error{Path: entry, Err: err}
	}
	m.patterns = append(m.patterns, pattern{re, negated})
	return nil
}
