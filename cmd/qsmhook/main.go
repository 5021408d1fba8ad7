// Qsmhook runs a local mailer that was written for sendmail.
//
// Synopsis: qsmhook [-DFlMmnPs] [-x prefix] program [arg …], in a .qmail line.
//
// In the arguments %u, %h and %g stand for LOCAL, HOST and SENDER. -n leaves
// out the From_ line in front of the message, -P and -l add Return-Path and
// Delivered-To, -x drops a prefix of LOCAL. preline does the same better. Exit
// codes: the program's; 100 and 111 if it cannot be run.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("qsmhook", 111, func() int {
		program.IgnorePipe()
		return command.QSMHook(command.Files{0, 1, 2}, os.Args)
	})
}
