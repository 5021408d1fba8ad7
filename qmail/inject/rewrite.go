package inject

import (
	"strings"

	"github.com/reqmail/reqmail/qmail/rfc822"
)

// completer makes incomplete addresses complete (qmail-header(5)).
type completer struct {
	defaultHost   []rfc822.Token // "@" and the host of addresses without one
	defaultDomain []rfc822.Token // "." and the domain of hosts without a dot
	plusDomain    []rfc822.Token // "." and what a final "+" stands for
}

// complete returns the address as it goes into header and envelope.
func (c *completer) complete(addr []rfc822.Token) []rfc822.Token {
	if len(addr) == 0 || isSpecial(addr) {
		return addr
	}
	addr = withoutRoute(addr)
	addr = without(addr, rfc822.Dot)
	addr = without(addr, rfc822.At)
	if len(addr) == 0 {
		return addr
	}
	if !has(addr, rfc822.At) {
		addr = join(addr, c.defaultHost)
	}
	last := &addr[len(addr)-1]
	if last.Kind == rfc822.Atom && strings.HasSuffix(last.Text, "+") {
		addr = join(addr, c.plusDomain)
		at := len(addr) - len(c.plusDomain) - 1
		addr[at].Text = strings.TrimSuffix(addr[at].Text, "+")
	}
	if !hasFullHost(addr) {
		addr = join(addr, c.defaultDomain)
	}
	return addr
}

// isSpecial reports whether an address ends in "@[]": the senders of double
// bounces and of variable return paths.
func isSpecial(addr []rfc822.Token) bool {
	n := len(addr)
	return n >= 2 && addr[n-2].Kind == rfc822.At && addr[n-1] == rfc822.Token{Kind: rfc822.Literal}
}

// withoutRoute drops a source route "@a,@b:" (RFC 822 6.2.7); one without
// its colon takes everything with it.
func withoutRoute(addr []rfc822.Token) []rfc822.Token {
	if addr[0].Kind != rfc822.At {
		return addr
	}
	for i, t := range addr {
		if t.Kind == rfc822.Colon {
			return addr[i+1:]
		}
	}
	return nil
}

// without drops one token of that kind from the end.
func without(addr []rfc822.Token, kind rfc822.Kind) []rfc822.Token {
	if n := len(addr); n > 0 && addr[n-1].Kind == kind {
		return addr[:n-1]
	}
	return addr
}

func has(addr []rfc822.Token, kind rfc822.Kind) bool {
	for _, t := range addr {
		if t.Kind == kind {
			return true
		}
	}
	return false
}

// hasFullHost reports whether what follows the last "@" has a dot or is a
// literal.
func hasFullHost(addr []rfc822.Token) bool {
	for i := len(addr) - 1; i >= 0 && addr[i].Kind != rfc822.At; i-- {
		if addr[i].Kind == rfc822.Dot || addr[i].Kind == rfc822.Literal {
			return true
		}
	}
	return false
}

// join never writes into the slices it is given.
func join(a, b []rfc822.Token) []rfc822.Token {
	return append(append(make([]rfc822.Token, 0, len(a)+len(b)), a...), b...)
}
