package filter

import (
	"regexp"
	"strings"

	"github.com/reqmail/reqmail/compat/address"
	"github.com/reqmail/reqmail/control"
)

// Matcher is a list of names or addresses that are not welcome. Nothing in it
// depends on the case of letters.
type Matcher struct {
	exact    map[string]bool // names, addresses, and domains with "@" before them
	patterns []pattern
}

// pattern is an entry of qregex: a regular expression, which hits what it
// matches somewhere, or, behind "!", what it does not match.
type pattern struct {
	expression *regexp.Regexp
	negated    bool
}

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
func (m *Matcher) addEntries(entries []string) {
	for _, e := range entries {
		if !looksRegular(e) || m.addPattern(e) != nil {
			m.addPlain(e)
		}
	}
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
		parts := strings.Split(address.Lower(entry), "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		m.patterns = append(m.patterns, pattern{expression: regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$")})
		return
	}
	if m.exact == nil {
		m.exact = map[string]bool{}
	}
	m.exact[address.Lower(entry)] = true
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

// addPattern adds an expression as regcomp(3) knows them under REG_EXTENDED
// and REG_ICASE; see expression.
func (m *Matcher) addPattern(entry string) error {
	text, negated := strings.CutPrefix(entry, "!")
	re, err := expression(text)
	if err != nil {
		return &control.Error{Path: entry, Err: err}
	}
	m.patterns = append(m.patterns, pattern{re, negated})
	return nil
}

// expression compiles a POSIX extended regular expression. It differs from
// regcomp(3) in three things: \d, \pN and other words of Perl's have their
// meaning there, where regcomp takes the letter; references back (\1), which
// POSIX does not know either, are an error; a repetition of more than 1000 is
// one too. Which of several matches is found does not matter here.
func expression(text string) (*regexp.Regexp, error) {
	return regexp.Compile("(?is:" + text + ")")
}
