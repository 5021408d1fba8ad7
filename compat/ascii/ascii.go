// Package ascii makes text from outside fit for one line of a report, a reply
// or a log. It must not know whose line that is.
package ascii

// Printable returns s with a question mark for each byte that is not printable
// ASCII.
func Printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
