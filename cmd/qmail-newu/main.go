// Qmail-newu compiles users/assign into users/cdb.
//
// Synopsis: qmail-newu, without arguments, as root.
//
// It prints nothing and exits 0, or prints what is wrong and exits 111; the
// old database then stays.
package main

import (
	"errors"
	"syscall"

	"github.com/reqmail/reqmail/compat/fdio"
	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/users"
)

const failed = 111

func main() { program.Main("qmail-newu", failed, run) }

func run() int {
	syscall.Umask(0o033)
	err := errors.New("unable to chdir")
	if syscall.Chdir(home.Dir()) == nil {
		err = users.Newu()
	}
	if err != nil {
		_, _ = fdio.FD(2).WriteString("qmail-newu: fatal: " + err.Error() + "\n")
		return failed
	}
	return 0
}
