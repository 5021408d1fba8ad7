// Qbiff tells a user on his terminals that a message has come.
//
// Synopsis: qbiff, in a .qmail line.
//
// It reads the message from standard input and writes to every terminal where
// USER is logged in and has asked for it (biff y). The exit code is 0.
package main

import (
	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("qbiff", 0, func() int {
		program.IgnorePipe()
		return command.QBiff(command.Files{0, 1, 2})
	})
}
