package reference

import "strings"

// Markdown is docs/controls.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("<!-- Made by go generate ./control/reference; change the tables there. -->\n\n" +
		"# Control files and environment variables\n\n" +
		"Control files lie in `/var/qmail/control`. A file that is missing means the\n" +
		"default; one that cannot be read keeps its readers from working. Programs\n" +
		"that are started for each message or connection see a change at once,\n" +
		"qmail-send and a listening qmail-smtpd when they are started again, or where\n" +
		"it says so at HUP.\n\n## Formats\n\n| format | how it is read |\n|---|---|\n")
	for _, m := range meanings {
		row(&b, string(m.format), m.text)
	}
	b.WriteString("\n## Control files\n\n| file | format | default | read by | meaning |\n|---|---|---|---|---|\n")
	for _, f := range Files {
		row(&b, "`"+string(f.Name)+"`", string(f.Format), f.Default(), joined(f.Readers), f.Meaning)
	}
	b.WriteString("\n## Environment variables\n\n" +
		"Those that qmail-local sets for commands in .qmail files are described in\n" +
		"qmail-command(8), those that describe a connection in tcp-environ(5).\n\n" +
		"| variable | read by | meaning |\n|---|---|---|\n")
	for _, v := range Variables {
		row(&b, "`"+v.Name+"`", joined(v.Readers), v.Meaning)
	}
	return b.String()
}

func row(b *strings.Builder, cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", "\\|")
	}
	b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func joined(readers string) string {
	if readers == all {
		return all
	}
	return strings.ReplaceAll(readers, " ", ", ")
}
