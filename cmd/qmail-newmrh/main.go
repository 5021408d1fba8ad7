// Qmail-newmrh compiles control/morercpthosts into control/morercpthosts.cdb.
//
// Synopsis: qmail-newmrh, without arguments, as root.
//
// It prints nothing and exits 0, or says on descriptor 2 what is wrong and
// exits 111; the old database then stays.
package main

import (
	"syscall"

	"github.com/reqmail/reqmail/compat/errno"
	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/newmrh"
)

const failed = 111

func main() { program.Main("qmail-newmrh", failed, run) }

func run() int {
	syscall.Umask(0o033)
	if err := syscall.Chdir(home.Dir()); err != nil {
		return fatal("unable to chdir to " + home.Dir() + ": " + errno.Text(err))
	}
	if err := newmrh.Compile(); err != nil {
		return fatal(err.Error())
	}
	return 0
}

func fatal(text string) int {
	_, _ = fdio.FD(2).WriteString("qmail-newmrh: fatal: " + text + "\n")
	return failed
}
