// Package address takes mail addresses apart and quotes them the way every
// qmail program does. It must not know what addresses are used for.
package address

import "strings"

// Split cuts an address at its last "@". ok is false where there is none;
// local is then the whole address.
func Split(addr string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(addr, '@')
	if at < 0 {
		return addr, "", false
	}
	return addr[:at], addr[at+1:], true
}

// Quote returns addr as it stands in an SMTP command or a header field
// (RFC 5321 4.1.2): the local part is put in double quotes where it needs
// them, the domain is left alone. An address without "@" is all local part,
// an empty one stays empty.
func Quote(addr string) string {
	if addr == "" {
		return ""
	}
	local, domain, ok := Split(addr)
	if !ok {
		return QuoteLocal(local)
	}
	return QuoteLocal(local) + "@" + domain
}

// QuoteLocal returns a local part, which may be empty or contain "@", as it
// stands before an address's last "@".
func QuoteLocal(local string) string {
	if needsQuotes(local) {
		return quote(local)
	}
	return local
}

func needsQuotes(local string) bool {
	if local == "" || local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return true
	}
	for i := range len(local) {
		c := local[i]
		if c <= ' ' || c >= 127 || strings.IndexByte(`"(),:;<>@[\]`, c) >= 0 {
			return true
		}
	}
	return false
}

func quote(local string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(local) {
		switch local[i] {
		case '\r', '\n', '"', '\\':
			b.WriteByte('\\')
		}
		b.WriteByte(local[i])
	}
	b.WriteByte('"')
	return b.String()
}

// Lower returns s with the ASCII letters in lower case; other bytes stay.
func Lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
