// Predate runs a program with a Date field, in local time, in front of its
// input.
//
// Synopsis: predate program [arg …]
//
// Exit codes: the program's; 100 for wrong usage, 111 if it cannot be run.
package main

import (
	"os"
	"time"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("predate", 111, func() int {
		program.IgnorePipe()
		return command.Predate(command.Files{0, 1, 2}, os.Args[1:], time.Now())
	})
}
