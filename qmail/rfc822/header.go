package rfc822

import (
	"bufio"
	"io"
	"strings"
)

// ReadHeader calls do for each field of a header, with its continuation lines
// and a newline at its end. It returns the beginning of the body: the empty
// line; or, where the header just stops, an empty line and the line that is no
// field; or nothing. A line of an mbox, "From …", is the field MBOX-Line.
func ReadHeader(r *bufio.Reader, do func(field string) error) (body string, err error) {
	field := ""
	finish := func() error {
		if field == "" {
			return nil
		}
		return do(field)
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		if line == "" {
			return "", finish()
		}
		if err == io.EOF {
			line += "\n"
		}
		if field != "" && (line[0] == ' ' || line[0] == '\t') {
			field += line
			continue
		}
		if err := finish(); err != nil {
			return "", err
		}
		switch {
		case line == "\n":
			return line, nil
		case strings.HasPrefix(line, "From "):
			field = "MBOX-Line: " + line
		case FieldName(line) != "":
			field = line
		default:
			return "\n" + line, nil
		}
	}
}

// FieldText returns what stands in a field behind its name, without the
// blanks before it.
func FieldText(field string) string {
	_, text, _ := strings.Cut(field, ":")
	return strings.TrimLeft(text, "\t\n\r ")
}
