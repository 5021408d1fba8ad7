// Package setup writes the first control files of a host: config-fast, and
// config, which finds the host's name by itself. It must not know what the
// files are used for.
package setup

import (
	"io"
	"os"
	"strings"
)

// DefaultDomain returns the domain that names without a dot belong to: the
// host's name without its first label, or the name itself where it has only
// two.
func DefaultDomain(fqdn string) string {
	_, rest, _ := strings.Cut(fqdn, ".")
	if strings.Contains(rest, ".") {
		return rest
	}
	return fqdn
}

// PlusDomain returns the last two labels of the host's name.
func PlusDomain(fqdn string) string {
	labels := strings.Split(fqdn, ".")
	if len(labels) < 3 {
		return fqdn
	}
	return strings.Join(labels[len(labels)-2:], ".")
}

// Write writes me, defaultdomain, plusdomain, locals and rcpthosts for a host
// below the qmail home, and tells on out what it does. locals and rcpthosts
// are added to.
func Write(home, fqdn string, out io.Writer) error {
	say := func(text string) { _, _ = io.WriteString(out, text+"\n") }
	say("Your fully qualified host name is " + fqdn + ".")
	for _, file := range []struct {
		name, line string
		flags      int
	}{
		{"me", fqdn, os.O_TRUNC},
		{"defaultdomain", DefaultDomain(fqdn), os.O_TRUNC},
		{"plusdomain", PlusDomain(fqdn), os.O_TRUNC},
		{"locals", fqdn, os.O_APPEND},
		{"rcpthosts", fqdn, os.O_APPEND},
	} {
		say("Putting " + file.line + " into control/" + file.name + "...")
		if err := putLine(home+"/control/"+file.name, file.line, file.flags); err != nil {
			return err
		}
	}
	say("Now qmail will refuse to accept SMTP messages except to " + fqdn + ".")
	say("Make sure to change rcpthosts if you add hosts to locals or virtualdomains!")
	return nil
}

func putLine(path, line string, flags int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	if chmodErr := f.Chmod(0o644); err == nil {
		err = chmodErr
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
