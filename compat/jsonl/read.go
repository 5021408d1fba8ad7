package jsonl

import (
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of what is read, beside those of numbers.
const (
	maxDepth  = 64      // of objects and lists within each other
	maxValues = 1 << 17 // in a list; an empty one takes more memory than text
)

// Error says what is wrong with a line, and where.
type Error struct {
	Offset int // in bytes
	Text   string
}

func (e *Error) Error() string {
	return "JSON, byte " + strconv.Itoa(e.Offset+1) + ": " + e.Text
}

const errRange = "number is out of range"

// reader takes values from a line. After an error it is at the line's end,
// where nothing more is found.
type reader struct {
	line  []byte
	at    int
	depth int
	err   *Error // the first
}

func (r *reader) fail(text string) {
	if r.err == nil {
		r.err = &Error{r.at, text}
	}
	r.at = len(r.line)
}

// next skips white space and returns the byte at hand, 0 at the end.
func (r *reader) next() byte {
	for ; r.at < len(r.line); r.at++ {
		switch c := r.line[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips a byte if it is the next one.
func (r *reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.at++
	return true
}

// word skips a word if it is what comes next.
func (r *reader) word(w string) bool {
	r.next()
	if len(r.line)-r.at < len(w) || string(r.line[r.at:r.at+len(w)]) != w {
		return false
	}
	r.at += len(w)
	return true
}

func (r *reader) null() bool { return r.word("null") }

func (r *reader) bool() bool {
	if r.word("true") {
		return true
	}
	if !r.word("false") {
		r.fail("true or false expected")
	}
	return false
}

func (r *reader) int() int64 {
	n, err := strconv.ParseInt(string(r.number()), 10, 64)
	r.checkNumber(err)
	return n
}

func (r *reader) uint() uint64 {
	n, err := strconv.ParseUint(string(r.number()), 10, 64)
	r.checkNumber(err)
	return n
}

func (r *reader) checkNumber(err error) {
	switch {
	case errors.Is(err, strconv.ErrRange):
		r.fail(errRange)
	case err != nil:
		r.fail("number of another kind expected")
	}
}

// number takes a number as it is written (RFC 8259 6).
func (r *reader) number() []byte {
	r.next()
	start := r.at
	r.sign("-")
	if r.at < len(r.line) && r.line[r.at] == '0' {
		r.at++
	} else {
		r.digits()
	}
	if r.at < len(r.line) && r.line[r.at] == '.' {
		r.at++
		r.digits()
	}
	if r.at < len(r.line) && r.line[r.at]|' ' == 'e' {
		r.at++
		r.sign("+-")
		r.digits()
	}
	return r.line[start:r.at]
}

func (r *reader) sign(signs string) {
	for i := range len(signs) {
		if r.at < len(r.line) && r.line[r.at] == signs[i] {
			r.at++
			return
		}
	}
}

// digits skips digits, at least one.
func (r *reader) digits() {
	start := r.at
	for r.at < len(r.line) && '0' <= r.line[r.at] && r.line[r.at] <= '9' {
		r.at++
	}
	if r.at == start {
		r.fail("number expected")
	}
}

// members takes an object; each takes the value of one member.
func (r *reader) members(each func(key []byte)) {
	r.sequence('{', '}', func() {
		key := r.string()
		if !r.take(':') {
			r.fail("colon expected")
			return
		}
		each(key)
	})
}

// elements takes a list; each takes one value.
func (r *reader) elements(each func()) {
	n := 0
	r.sequence('[', ']', func() {
		if n++; n > maxValues {
			r.fail("list is too long")
			return
		}
		each()
	})
}

func (r *reader) sequence(open, end byte, each func()) {
	if !r.take(open) {
		r.fail(string(open) + " expected")
		return
	}
	if r.depth++; r.depth > maxDepth {
		r.fail("too many levels")
		return
	}
	if !r.take(end) {
		each()
		for r.take(',') {
			each()
		}
		if !r.take(end) {
			r.fail("comma or " + string(end) + " expected")
		}
	}
	r.depth--
}

// skip takes a value of any kind.
func (r *reader) skip() {
	switch r.next() {
	case '{':
		r.members(func([]byte) { r.skip() })
	case '[':
		r.sequence('[', ']', r.skip)
	case '"':
		r.string()
	case 't', 'f':
		r.bool()
	case 'n':
		if !r.null() {
			r.fail("value expected")
		}
	default:
		r.number()
	}
}

// string takes a string and returns its text, in place where that is possible.
func (r *reader) string() []byte {
	if !r.take('"') {
		r.fail("string expected")
		return nil
	}
	start := r.at
	for r.at < len(r.line) && plain(r.line[r.at]) {
		r.at++
	}
	text := r.line[start:r.at:r.at] // what is appended to it goes elsewhere
	for r.at < len(r.line) {
		switch c := r.line[r.at]; {
		case c == '"':
			r.at++
			return text
		case c == '\\':
			text = utf8.AppendRune(text, r.escape())
		case c < ' ':
			r.fail("control character in a string")
			return nil
		default:
			c, n := utf8.DecodeRune(r.line[r.at:])
			text = utf8.AppendRune(text, c)
			r.at += n
		}
	}
	r.fail("string without an end")
	return nil
}

// plain reports whether a byte in a string stands for itself, alone.
func plain(c byte) bool { return c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' }

// escape takes a backslash and what belongs to it.
func (r *reader) escape() rune {
	if r.at++; r.at == len(r.line) {
		return 0 // the string has no end
	}
	c := r.line[r.at]
	r.at++
	switch c {
	case '"', '\\', '/':
		return rune(c)
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'u':
		return r.unit()
	}
	r.at--
	r.fail("unknown escape")
	return 0
}

// unit takes the digits of an escaped character, or of two that are one
// (RFC 8259 7); half a character is U+FFFD.
func (r *reader) unit() rune {
	c, ok := hexDigits(r.line[r.at:])
	if !ok {
		r.fail("four hexadecimal digits expected")
		return 0
	}
	r.at += 4
	if !utf16.IsSurrogate(c) {
		return c
	}
	if rest := r.line[r.at:]; len(rest) > 2 && rest[0] == '\\' && rest[1] == 'u' {
		if low, ok := hexDigits(rest[2:]); ok {
			if pair := utf16.DecodeRune(c, low); pair != utf8.RuneError {
				r.at += 6
				return pair
			}
		}
	}
	return utf8.RuneError
}

// hexDigits reads four digits.
func hexDigits(b []byte) (c rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, d := range b[:4] {
		switch {
		case '0' <= d && d <= '9':
			d -= '0'
		case 'a' <= d|' ' && d|' ' <= 'f':
			d = (d | ' ') - 'a' + 10
		default:
			return 0, false
		}
		c = c<<4 | rune(d)
	}
	return c, true
}
