package rfc822

import "strings"

// FieldName returns the name of a header field in lower case, "" where the
// line is no field: printable ASCII without blanks, then perhaps blanks, then
// a colon.
func FieldName(line string) string {
	name, _, ok := strings.Cut(line, ":")
	if !ok {
		return ""
	}
	name = strings.TrimRight(name, " \t")
	for i := range len(name) {
		if name[i] <= 32 || name[i] >= 127 {
			return ""
		}
	}
	return strings.ToLower(name)
}
