// Except inverts the exit code of a program.
//
// Synopsis: except program [ arg … ]
//
// It runs the program and exits 100 if that exits 0, 111 if it exits 111 or
// crashes, and 0 otherwise.
package main

import (
	"os"

	"github.com/reqmail/reqmail/compat/program"
	"github.com/reqmail/reqmail/qmail/command"
)

func main() {
	program.Main("except", 111, func() int {
		return command.Except(command.Files{0, 1, 2}, os.Args[1:])
	})
}
