package manage

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Screen is where things are shown.
type Screen struct {
	Out    io.Writer
	Err    io.Writer // remarks
	Width  int       // columns of the terminal; 0: it is none, lines are whole and fields separated by tabs
	Height int
	JSON   bool
}

// Terminal reports whether people look at it.
func (s *Screen) Terminal() bool { return s.Width > 0 && !s.JSON }

// line shows a line, cut to the width of a terminal; its text is safe.
func (s *Screen) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.Terminal() {
		text = clip(text, s.Width)
	}
	fmt.Fprintln(s.Out, text)
}

// note shows a remark that is no part of the answer.
func (s *Screen) note(text string) {
	if s.Err != nil {
		fmt.Fprintln(s.Err, "reqmail:", text)
	}
}

// The sequences that make text bold, and red, on a terminal.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

// emphasis shows a line that stands out on a terminal.
func (s *Screen) emphasis(style, text string) {
	if !s.Terminal() {
		s.line("%s", text)
		return
	}
	fmt.Fprintln(s.Out, style+clip(text, s.Width)+plain)
}

// fields shows one record as a line of fields separated by tabs.
func (s *Screen) fields(values ...string) { fmt.Fprintln(s.Out, strings.Join(values, "\t")) }

// json shows a value.
func (s *Screen) json(v any) error { return WriteJSON(s.Out, v) }

// WriteJSON writes a value in a line that is fit for a terminal.
func WriteJSON(out io.Writer, v any) error {
	text, err := safeJSON(v)
	if err == nil {
		_, err = out.Write(append(text, '\n'))
	}
	return err
}

// safeJSON returns a value as JSON in which no control or format character is
// left as it is: it may be looked at on a terminal.
func safeJSON(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var safe []byte
	for _, r := range string(text) {
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			safe = utf8.AppendRune(safe, r)
		case r < 0x10000:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		}
	}
	return safe, nil
}

// Safe makes text from outside fit for a terminal and for one line: what is
// not printable, control and format characters above all, and bytes that are no
// UTF-8 become \xNN or \u{N}.
func Safe(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		i += n
	}
	return b.String()
}

// columns returns how many columns of a terminal a printable character takes.
func columns(r rune) int {
	switch kind := width.LookupRune(r).Kind(); {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case kind == width.EastAsianWide, kind == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// columnsOf returns how many columns printable text takes.
func columnsOf(s string) (n int) {
	for _, r := range s {
		n += columns(r)
	}
	return n
}

// clip cuts printable text to a number of columns; an ellipsis tells.
func clip(s string, most int) string {
	if len(s) <= most || columnsOf(s) <= most {
		return s
	}
	n := 0
	for i, r := range s {
		if n += columns(r); n > most-1 {
			return s[:i] + "…"
		}
	}
	return s
}

// cell makes text from outside exactly so many columns wide.
func cell(s string, wide int) string {
	s = clip(Safe(s), wide)
	return s + strings.Repeat(" ", max(0, wide-columnsOf(s)))
}

// address shows an address; the empty one is that of bounces.
func address(s string) string {
	if s == "" {
		return "<>"
	}
	return s
}

// Messages counts messages in words.
func Messages(n int) string {
	if n == 1 {
		return "1 message"
	}
	return strconv.Itoa(n) + " messages"
}

// reasonText shows a reason, whose lines have slashes between them as in the
// log.
func reasonText(s string) string { return Safe(strings.ReplaceAll(strings.TrimSpace(s), "\n", "/")) }

// bytesText shows a size in words.
func bytesText(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " bytes"
	}
	return sizeText(n) + "B"
}

// sizeText shows a size in at most five columns.
func sizeText(n int64) string {
	value, units := float64(n), "KMGTPE"
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	for i := range len(units) {
		value /= 1024
		if value < 9.95 {
			return strconv.FormatFloat(value, 'f', 1, 64) + units[i:i+1]
		}
		if value < 999.5 {
			return strconv.FormatFloat(value, 'f', 0, 64) + units[i:i+1]
		}
	}
	return "huge"
}

// spanText shows a span with its two biggest units.
func spanText(seconds int64) string {
	if seconds < 0 {
		return "-" + spanText(-seconds)
	}
	text, shown := "", 0
	for _, unit := range []struct {
		name string
		n    int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}} {
		n := seconds / unit.n
		seconds %= unit.n
		if n > 0 && shown < 2 {
			text += strconv.FormatInt(n, 10) + unit.name
		}
		if n > 0 || shown > 0 {
			shown++
		}
	}
	if text == "" {
		return "0s"
	}
	return text
}

// timeText shows a time: in 12 columns on a terminal, whole elsewhere.
func (s *Screen) timeText(unix int64) string {
	t := time.Unix(unix, 0)
	switch {
	case unix == 0:
		return "-"
	case !s.Terminal():
		return t.Format(time.RFC3339)
	case time.Until(t).Abs() > 300*24*time.Hour:
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}
