// Qmail-getpw finds the account for a local address in the password database.
//
// Synopsis: qmail-getpw local
//
// It prints user, uid, gid, home directory, dash and extension, each followed
// by a NUL: of the user whose name local is or begins with (up to a "-"), who
// must own his home and not be root; else of alias. Exit codes: 0; 100
// without operand; 115 if a home directory cannot be looked at now; 116
// without alias user; 118 if the database does not answer. qmail-lspawn makes
// these the result of the delivery, and may keep the process for more of them
// (compat/resident).
package main

import (
	"io"
	"os"

	"github.com/reqmail/reqmail/compat/home"
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/compat/resident"
	"github.com/reqmail/reqmail/qmail/users"
)

func main() { program.Main("qmail-getpw", users.GetpwTemporary, run) }

func run() int {
	private := home.Private()
	program := resident.Program{Name: "qmail-getpw", Do: func(j *resident.Job) (code int, stays bool) {
		if len(j.Args) < 2 {
			return users.GetpwUsage, false
		}
		answer, code := users.Getpw(j.Args[1], private)
		_, _ = io.WriteString(j, answer)
		return code, true
	}}
	return program.Serve(os.Args)
}
