package reference

import (
	"errors"
	"strings"
)

// The comments in qmail-control(5) between which the list of files stands.
const (
	begin = `.\" Made by go generate ./control/reference; change the table there.` + "\n"
	end   = `.\" End of what is made.` + "\n"
)

// InManual puts the list of files where it belongs in qmail-control(5).
func InManual(page string) (string, error) {
	before, rest, ok := strings.Cut(page, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", errors.New("unable to find where the list of control files begins and ends")
	}
	return before + begin + manual() + end + after, nil
}

func manual() string {
	var b strings.Builder
	b.WriteString(".Bl -tag -width Ds\n")
	for _, f := range Files {
		b.WriteString(".It Pa " + string(f.Name) + "\n")
		for sentence := range strings.SplitSeq(f.Meaning, ". ") {
			b.WriteString(escape(strings.TrimSuffix(sentence, ".")) + ".\n")
		}
		b.WriteString("Format: " + string(f.Format) + ".\n")
		if d := f.Default(); d != "" {
			b.WriteString("Default: " + escape(d) + ".\n")
		}
		b.WriteString("Read by" + crossReferences(f.Readers))
	}
	return b.String() + ".El\n"
}

// crossReferences lists programs as references to their manual pages.
func crossReferences(readers string) string {
	if readers == all {
		return " " + all + ".\n"
	}
	names := strings.Fields(readers)
	var b strings.Builder
	b.WriteString("\n")
	for i, name := range names {
		mark := " ,"
		switch {
		case i == len(names)-1:
			mark = " ."
		case i == len(names)-2:
			mark = "\nand"
		}
		b.WriteString(".Xr " + name + " 8" + mark + "\n")
	}
	return b.String()
}

// escape keeps a line of text from being taken for a macro.
func escape(line string) string {
	line = strings.ReplaceAll(line, `\`, `\e`)
	if line[0] == '.' || line[0] == '\'' {
		line = `\&` + line
	}
	return line
}
