// Config-fast writes the control files that a new host needs.
//
// Synopsis: config-fast fully.qualified.host.name
//
// It writes me, defaultdomain and plusdomain, adds the name to locals and
// rcpthosts, and tells what it does. Exit codes: 0; 100 without operand; 111
// if a file cannot be written.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/setup"
)

const (
	failed = 111
	usage  = 100
)

func main() { program.Main("config-fast", failed, run) }

func run() int {
	if len(os.Args) < 2 {
		_, _ = fdio.FD(2).WriteString("config-fast: usage: config-fast fully.qualified.host.name\n")
		return usage
	}
	if err := setup.Write(home.Dir(), os.Args[1], fdio.FD(1)); err != nil {
		_, _ = fdio.FD(2).WriteString("config-fast: fatal: unable to write control files: " + errno.Text(err) + "\n")
		return failed
	}
	return 0
}
