package jsonl

import "unicode/utf8"

// appendString appends a string of JSON in which nothing can end a line, nor,
// as encoding/json has it, an element of a page.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(b, `\ufffd`...)
		case r == '\u2028' || r == '\u2029':
			b = append(b, `\u202`...)
			b = append(b, hex[r&0xf])
		case n == 1:
			b = appendASCII(b, s[0])
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return append(b, '"')
}

const hex = "0123456789abcdef"

func appendASCII(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	case '<', '>', '&':
	default:
		if c >= ' ' {
			return append(b, c)
		}
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}
