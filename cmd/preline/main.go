// Preline puts the lines that an mbox has on top of a message in front of it.
//
// Synopsis: preline [ -frdFRD ] cmd [ arg … ]
//
// It runs cmd with the environment variables UFLINE (From_), RPLINE
// (Return-Path) and DTLINE (Delivered-To) and then its own standard input as
// standard input. -f, -r and -d leave these lines out; -F, -R and -D, the
// default, do not. Its exit code is that of cmd; 100 for wrong usage or if cmd
// cannot be run, 111 to be tried again.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("preline", 111, func() int {
		program.IgnorePipe()
		return command.Preline(command.Files{0, 1, 2}, os.Args)
	})
}
