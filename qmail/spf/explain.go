package spf

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	library "blitiri.com.ar/go/spf"

	"github.com/reqmail/reqmail/compat/ascii"
)

// maxExplanation is how much a domain may say in a reply, in bytes.
const maxExplanation = 400

// explain words a refusal: as the domain wants it where it refuses, else as
// spfexp has it.
func (c *checker) explain(ctx context.Context, q question, result library.Result) string {
	q.name = func() string { return lookups{c.dns, q.ip.Is6()}.validated(ctx, q.ip, q.domain) }
	if result == library.Fail {
		if text, ok := c.domains(ctx, q); ok {
			return text
		}
	}
	text, ok := expand(c.explanation, q)
	if !ok {
		text = c.explanation
	}
	return ascii.Printable(text)
}

// domains is the explanation of the domain itself (RFC 7208 6.2): the text
// that exp= of its record points at, or of the record it redirects to. The
// library leaves it to us.
func (c *checker) domains(ctx context.Context, q question) (text string, ok bool) {
	const redirections = 10 // RFC 7208 4.6.4
	dns := lookups{c.dns, q.ip.Is6()}
	for range redirections {
		record, ok := recordOf(ctx, dns, q.domain)
		if !ok {
			return "", false
		}
		m := modifiersOf(record)
		if m.redirect != "" && evaluate(ctx, q, instead{dns, q.domain, m.rest}) != library.Fail {
			if q.domain, ok = expand(m.redirect, q); !ok {
				return "", false
			}
			continue
		}
		return textAt(ctx, dns, m.explanation, q)
	}
	return "", false
}

// textAt is the text that a domain has for others to read.
func textAt(ctx context.Context, dns lookups, where string, q question) (text string, ok bool) {
	name, ok := expand(where, q)
	if !ok || name == "" {
		return "", false
	}
	texts, err := dns.LookupTXT(ctx, shortened(name))
	if err != nil || len(texts) != 1 {
		return "", false
	}
	if text, ok = expand(texts[0], q); !ok || text != ascii.Printable(text) {
		return "", false
	}
	return text[:min(len(text), maxExplanation)], true
}

// shortened is a name without as many labels at its left as make it too long
// (RFC 7208 7.3).
func shortened(name string) string {
	const longest = 253
	for len(name) > longest {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

// recordOf is a domain's record without its version.
func recordOf(ctx context.Context, dns lookups, domain string) (record string, ok bool) {
	texts, err := dns.LookupTXT(ctx, domain)
	if err != nil {
		return "", false
	}
	for _, text := range texts {
		version, rest, _ := strings.Cut(text, " ")
		if strings.EqualFold(version, "v=spf1") {
			return rest, true
		}
	}
	return "", false
}

// modifiers are those terms of a record that do not match anything.
type modifiers struct {
	explanation string
	redirect    string
	rest        string // the record without redirect
}

func modifiersOf(record string) (m modifiers) {
	var rest []string
	for term := range strings.FieldsSeq(record) {
		name, value, ok := strings.Cut(term, "=")
		switch {
		case ok && strings.EqualFold(name, "exp"):
			m.explanation = value
		case ok && strings.EqualFold(name, "redirect"):
			m.redirect = value
			continue
		}
		rest = append(rest, term)
	}
	m.rest = strings.Join(rest, " ")
	return m
}

// expand replaces the macros in an explanation (RFC 7208 7), and %{xR}, the
// name of this host, which spfexp knows too. ok is false where a macro makes
// no sense.
func expand(s string, q question) (text string, ok bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "%")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), true
		case rest == "":
			return "", false
		}
		s = rest[1:]
		switch rest[0] {
		case '%':
			b.WriteByte('%')
		case '_':
			b.WriteByte(' ')
		case '-':
			b.WriteString("%20")
		case '{':
			macro, after, closed := strings.Cut(s, "}")
			value, known := q.macro(macro)
			if !closed || !known {
				return "", false
			}
			b.WriteString(value)
			s = after
		default:
			return "", false
		}
	}
}

// macro is the value of what stands in braces: a letter, in upper case for
// URLs, how many parts of it count, whether they are reversed, and where they
// are parted.
func (q question) macro(macro string) (value string, ok bool) {
	if macro == "" {
		return "", false
	}
	letter, transformers := macro[:1], macro[1:]
	if macro == "xR" {
		letter, transformers = "R", ""
	}
	if value, ok = q.letter(strings.ToLower(letter)); !ok {
		return "", false
	}
	if value, ok = transform(value, strings.ToLower(transformers)); !ok {
		return "", false
	}
	if letter == strings.ToUpper(letter) {
		value = escape(value)
	}
	return value, true
}

func (q question) letter(letter string) (value string, ok bool) {
	switch letter {
	case "s":
		return q.local + "@" + q.domain, true
	case "l":
		return q.local, true
	case "o", "d":
		return q.domain, true
	case "i":
		return dotted(q.ip), true
	case "p":
		return q.name(), true
	case "v":
		if q.ip.Is4() {
			return "in-addr", true
		}
		return "ip6", true
	case "h":
		return q.helo, true
	case "c":
		return q.ip.String(), true
	case "r":
		return q.receiver, true
	case "t":
		return strconv.FormatInt(time.Now().Unix(), 10), true
	}
	return "", false
}

// dotted is an address with dots: IPv6 by its hexadecimal digits.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	digits := strings.ReplaceAll(ip.StringExpanded(), ":", "")
	return strings.ToUpper(strings.Join(strings.Split(digits, ""), "."))
}

// transform takes parts of a value.
func transform(value, by string) (result string, ok bool) {
	digits := len(by) - len(strings.TrimLeft(by, "0123456789"))
	number, by := by[:digits], by[digits:]
	by, reversed := strings.CutPrefix(by, "r")
	if strings.Trim(by, ".-+,/_=") != "" {
		return "", false
	}
	if by == "" {
		by = "."
	}
	parts := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(by, r) })
	if reversed {
		slices.Reverse(parts)
	}
	if number != "" {
		n, err := strconv.Atoi(number)
		if err != nil || n == 0 {
			return "", false
		}
		parts = parts[max(0, len(parts)-n):]
	}
	return strings.Join(parts, "."), true
}

// escape makes a value fit for a URL (RFC 7208 7.3).
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
		}
	}
	return b.String()
}
