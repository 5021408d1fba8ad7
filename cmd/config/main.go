// Config finds out the host's name and writes the control files that a new
// host needs.
//
// Synopsis: config, without operands.
//
// It asks the DNS for the addresses of the host's name and for the names of
// the host's own addresses, which go to locals and rcpthosts too. Exit codes:
// 0; 111 if the name cannot be found out or a file not be written; then use
// config-fast.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resolver"
	"github.com/reqmail/reqmail/qmail/setup"
)

const failed = 111

func main() { program.Main("config", failed, run) }

func run() int {
	name, err := os.Hostname()
	if err == nil {
		err = setup.Discover(home.Dir(), name, resolver.System(), fdio.FD(1))
	}
	if err != nil {
		_, _ = fdio.FD(2).WriteString("config: fatal: " + err.Error() + "\n")
		return failed
	}
	return 0
}
